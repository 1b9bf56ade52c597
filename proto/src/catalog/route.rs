//! Hosts and paths that lead to functions, in the shape and with the precedence of the Kubernetes Gateway API's
//! `HTTPRouteMatch`.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::{Conditions, Filters};
use crate::name::FunctionName;
use crate::seldom::Seldom;

/// Where requests lead that match it. Of several that match, the most particular one wins: the host (exact, then the
/// longest wildcard, then any), the path (exact, then the longest regular expression, then the longest
/// prefix), then the number of conditions, then the name of the route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    // Host and path stand in it themselves where they have no more than 23 bytes: whoever compares them has both at once.
    /// Lower-case host without port, or `*.` and a domain for every host below it; none matches every host that
    /// no other route names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub host: Option<SmolStr>,
    /// Starts with `/`, unless it is a regular expression.
    #[schemars(with = "String")]
    pub path: SmolStr,
    /// How `path` is compared.
    #[serde(default, skip_serializing_if = "PathMatch::is_prefix")]
    pub path_match: PathMatch,
    /// What else the request must have.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub when: Seldom<Conditions>,
    /// What is done with requests that take it, before those of the release's rule.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub filters: Seldom<Filters>,
    /// The lane of requests that take it and are in none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Box<str>>,
    /// Any client may say in `baggage` (W3C Baggage) which lane it is in: `hatchway-lane=NAME`. Otherwise only trusted proxies may,
    /// functions among them where their addresses are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepts_lane: bool,
    /// Where it leads.
    pub function: FunctionName,
}

/// How the path of a route is compared with that of a request.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PathMatch {
    /// In whole segments: `/a` matches `/a` and `/a/b`, not `/ab`.
    #[default]
    Prefix,
    /// Byte by byte.
    Exact,
    /// The whole path matches it (syntax of the `regex` crate: linear time).
    Regex,
}

impl PathMatch {
    fn is_prefix(&self) -> bool {
        *self == Self::Prefix
    }
}

impl Route {
    /// Every request for `path` and below it on `host`.
    pub fn prefix(host: Option<String>, path: String, function: FunctionName) -> Self {
        let (host, path) = (host.map(SmolStr::from), SmolStr::from(path));
        let path_match = PathMatch::Prefix;
        let (when, filters) = (Seldom::default(), Seldom::default());
        Self { host, path, path_match, when, filters, lane: None, accepts_lane: false, function }
    }
}
