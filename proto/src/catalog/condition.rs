//! What a rule may ask of a request: its method, its fields, its query, its cookies, its client; or anything of these in an expression.

use serde::{Deserialize, Serialize};

use crate::seldom::Blank;

/// What a request must have: all of it. Without any condition every request will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// One of these methods, in upper case; any when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// All of these header fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<FieldMatch>,
    /// All of these query parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<FieldMatch>,
    /// All of these cookies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<FieldMatch>,
    /// A client address in one of these networks (`10.0.0.0/8`, `2001:db8::/32`, or one address); any when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// In the Common Expression Language, of the parts `request.method`, `request.host`, `request.path`, `request.query`,
    /// `request.headers["name"]` and `client.address`; it has to be true. Asked when all else holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

/// A field by name, and what its value must be. Neither `value` nor `regex`: that it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldMatch {
    /// Header names are compared without case, all others byte by byte.
    pub name: String,
    /// The whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// A regular expression that the whole value must match (syntax of the `regex` crate: linear time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

impl Blank for Conditions {
    const BLANK: &'static Self = &Self {
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
        cookies: Vec::new(),
        clients: Vec::new(),
        expression: None,
    };
}

impl Conditions {
    /// True for every request.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
