//! What is done with a request and its answer on the way, in the names and with the meaning of the filters of the
//! Kubernetes Gateway API's `HTTPRoute`.

use serde::{Deserialize, Serialize};

use crate::seldom::Blank;

/// What a route or a rule changes. Without any filter a request goes on as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filters {
    /// Header fields of the request, before the function reads them.
    #[serde(skip_serializing_if = "HeaderModifier::is_empty")]
    pub request_header_modifier: HeaderModifier,
    /// Header fields of the function's answer, before the client reads them. Answers of the platform stay as they are.
    #[serde(skip_serializing_if = "HeaderModifier::is_empty")]
    pub response_header_modifier: HeaderModifier,
    /// Another host or path for the function. The choice of the function and of its files was made before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_rewrite: Option<UrlRewrite>,
    /// Sends the client elsewhere; the function is not called. Not together with `url_rewrite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_redirect: Option<RequestRedirect>,
}

/// Changes of header fields. A field is named once in all three lists, in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderModifier {
    /// The field has this value and no other, whether it was there or not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<HeaderField>,
    /// One more field, behind those of its name that are there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<HeaderField>,
    /// Names of fields that are taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A header field as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderField {
    /// A token; fields of the connection, of the framing and of the platform cannot be changed.
    pub name: String,
    /// One line.
    pub value: String,
}

/// Another host or path, as the function reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UrlRewrite {
    /// Takes the place of `Host`; what the client asked for is told as `X-Forwarded-Host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Takes the place of the path, or of a part of it. The query stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
}

/// Another path. Both start with `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PathModifier {
    /// The whole path.
    ReplaceFullPath(String),
    /// The prefix by which the route was found, in whole segments; what follows it stays.
    ReplacePrefixMatch(String),
}

/// Where a client is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestRedirect {
    /// That of the request when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// That of the request when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// That of the request when absent. The query stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
    /// When absent: the scheme's own where a scheme is given, else that of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "found")]
    pub status_code: u16,
}

/// What a client is told to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Port 80.
    Http,
    /// Port 443.
    Https,
}

/// As in the Gateway API.
fn found() -> u16 {
    302
}

const UNCHANGED: HeaderModifier =
    HeaderModifier { set: Vec::new(), add: Vec::new(), remove: Vec::new() };

impl Blank for Filters {
    const BLANK: &'static Self = &Self {
        request_header_modifier: UNCHANGED,
        response_header_modifier: UNCHANGED,
        url_rewrite: None,
        request_redirect: None,
    };
}

impl Filters {
    /// Nothing is changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl HeaderModifier {
    /// No field is changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Scheme {
    /// As it stands in front of `://`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URL with this scheme does without.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}
