//! What is wrong with an object, seen by itself: each mistake with its field and what would be right.

mod degrade;
mod filters;
mod growth;
mod mirror;

use std::fmt;
use std::net::IpAddr;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::name::FunctionName;
use crate::network::Network;

use super::{
    BASIS_POINTS, Conditions, FieldMatch, Filters, Function, Mirror, PathMatch, Release, Route,
    Share, Sticky, Test,
};

/// The longest regular expression of a rule, in bytes.
const REGEX_BYTES: usize = 1024;

/// Conditions of one kind in one rule.
const CONDITIONS: usize = 64;

/// Rules of one release.
const RULES: usize = 256;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Mistake {
    /// Where: `rules[2].when.headers[0].regex`.
    pub field: String,
    /// What it is, and what would be right.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Collects mistakes below one field.
struct Found(Vec<Mistake>);

impl Found {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Mistake { field: field.into(), message: message.into() });
    }
}

/// The whole of a text has to match it.
///
/// # Errors
/// What is wrong with the expression.
pub fn whole(expression: &str) -> Result<Regex, String> {
    if expression.len() > REGEX_BYTES {
        return Err(format!("has {} bytes, {REGEX_BYTES} are allowed", expression.len()));
    }
    // The first error line of the crate repeats the expression; the last says what is wrong.
    Regex::new(&format!("^(?:{expression})$")).map_err(|error| {
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

impl Route {
    /// Everything that is wrong with it, by itself.
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut found = Found(Vec::new());
        if let Some(why) = self.host.as_deref().and_then(wrong_host) {
            found.add("host", why);
        }
        match self.path_match {
            PathMatch::Regex => {
                if let Err(why) = whole(&self.path) {
                    found.add("path", why);
                }
            }
            PathMatch::Prefix | PathMatch::Exact if !self.path.starts_with('/') => {
                found.add("path", format!("{:?} does not start with /", self.path));
            }
            PathMatch::Prefix | PathMatch::Exact => {}
        }
        lane(&mut found, "lane", self.lane.as_deref());
        conditions(&mut found, "when", &self.when);
        filters::filters(&mut found, "filters", &self.filters, Some(self.path_match));
        found.0
    }
}

impl Function {
    /// Everything that is wrong with the settings of the function `name`, by themselves.
    pub fn mistakes(&self, name: &FunctionName) -> Vec<Mistake> {
        let mut found = Found(Vec::new());
        degrade::degrade(&mut found, &self.degrade, Some(name));
        if let Some(growth) = &*self.growth {
            growth::growth(&mut found, growth);
        }
        found.0
    }
}

impl Mirror {
    /// Everything that is wrong with it, as one of the function `name`.
    pub fn mistakes(&self, name: &FunctionName) -> Vec<Mistake> {
        let mut found = Found(Vec::new());
        mirror::mirror(&mut found, "mirror", self, Some(name));
        found.0
    }
}

impl Filters {
    /// Everything that is wrong with them on a route that compares paths by `path_match`.
    pub fn mistakes(&self, path_match: PathMatch) -> Vec<Mistake> {
        let mut found = Found(Vec::new());
        filters::filters(&mut found, "filters", self, Some(path_match));
        found.0
    }
}

impl Release {
    /// Everything that is wrong with it, by itself: whether its versions are there is for the catalog to know.
    pub fn mistakes(&self) -> Vec<Mistake> {
        self.mistakes_of(None)
    }

    /// The same where it is known whose release it is.
    pub fn mistakes_of(&self, name: Option<&FunctionName>) -> Vec<Mistake> {
        let mut found = Found(Vec::new());
        degrade::degrade(&mut found, &self.degrade, name);
        if let Some(mirror) = &*self.mirror {
            mirror::mirror(&mut found, "mirror", mirror, name);
        }
        shares(&mut found, "shares", &self.shares);
        if self.rules.len() > RULES {
            found.add("rules", format!("there are {}, {RULES} are allowed", self.rules.len()));
        }
        for (index, rule) in self.rules.iter().enumerate() {
            conditions(&mut found, &format!("rules[{index}].when"), &rule.when);
            shares(&mut found, &format!("rules[{index}].shares"), &rule.shares);
            lane(&mut found, &format!("rules[{index}].lane"), rule.lane.as_deref());
            filters::filters(&mut found, &format!("rules[{index}].filters"), &rule.filters, None);
            if let Some(mirror) = &rule.mirror {
                mirror::mirror(&mut found, &format!("rules[{index}].mirror"), mirror, name);
            }
        }
        match &*self.sticky {
            Some(Sticky::Header(name) | Sticky::Cookie(name)) if !is_token(name) => {
                found.add("sticky", format!("{name:?} is not the name of a field"));
            }
            Some(Sticky::Query(name)) if name.is_empty() => {
                found.add("sticky", "a name is missing")
            }
            Some(_) | None => {}
        }
        for name in self.lanes.keys() {
            lane(&mut found, "lanes", Some(name));
        }
        for tag in self.tags.keys().filter(|tag| !is_label(tag) || tag.contains("--")) {
            found.add(
                "tags",
                format!("{tag:?} is not a tag: use a-z, 0-9 and single hyphens inside"),
            );
        }
        found.0
    }
}

/// A name that `baggage` can carry as it is.
fn lane(found: &mut Found, field: &str, lane: Option<&str>) {
    if let Some(lane) = lane.filter(|lane| !is_label(lane)) {
        found.add(field, format!("{lane:?} is not a lane: use a-z, 0-9 and hyphens inside"));
    }
}

fn shares(found: &mut Found, field: &str, shares: &[Share]) {
    let total: u32 = shares.iter().map(|share| u32::from(share.basis_points)).sum();
    if total > u32::from(BASIS_POINTS) {
        found.add(field, format!("{total} basis points are given away, there are {BASIS_POINTS}"));
    }
}

fn conditions(found: &mut Found, field: &str, when: &Conditions) {
    for method in when.methods.iter().filter(|method| !is_token(method)) {
        found.add(format!("{field}.methods"), format!("{method:?} is not a method"));
    }
    for method in
        when.methods.iter().filter(|method| method.bytes().any(|b| b.is_ascii_lowercase()))
    {
        let upper = method.to_ascii_uppercase();
        found.add(
            format!("{field}.methods"),
            format!("methods have case: {method:?} is not {upper:?}"),
        );
    }
    for (kind, matches) in
        [("headers", &when.headers), ("query", &when.query), ("cookies", &when.cookies)]
    {
        if matches.len() > CONDITIONS {
            let message = format!("there are {}, {CONDITIONS} are allowed", matches.len());
            found.add(format!("{field}.{kind}"), message);
        }
        for (index, one) in matches.iter().enumerate() {
            field_match(found, &format!("{field}.{kind}[{index}]"), one, kind != "query");
        }
    }
    if let Some(Err(why)) = when.expression.as_deref().map(Test::parse) {
        found.add(format!("{field}.expression"), why);
    }
    for client in &when.clients {
        if let Err(why) = client.parse::<Network>() {
            found.add(format!("{field}.clients"), why);
        }
    }
}

fn field_match(found: &mut Found, field: &str, one: &FieldMatch, is_field: bool) {
    if one.name.is_empty() || is_field && !is_token(&one.name) {
        found.add(format!("{field}.name"), format!("{:?} is not the name of a field", one.name));
    }
    if let (Some(_), Some(_)) = (&one.value, &one.regex) {
        found.add(field, "has a value and a regex; leave one of them out");
    }
    if let Some(Err(why)) = one.regex.as_deref().map(whole) {
        found.add(format!("{field}.regex"), why);
    }
}

/// A token (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_tchar)
}

/// A name that can be a part of a host: at most 63 of a-z, 0-9 and hyphens inside.
pub fn is_label(text: &str) -> bool {
    let is_inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inside)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn wrong_host(host: &str) -> Option<String> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_address = bare.is_some_and(|bare| bare.parse::<IpAddr>().is_ok());
    if name.contains('*') {
        Some(format!("{host:?}: a * stands for the first labels only, as in *.example.com"))
    } else if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some(format!("{host:?} has upper case: write {:?}", host.to_ascii_lowercase()))
    } else if !is_address && name.contains(':') {
        Some(format!("{host:?} has a port: a route is for every port"))
    } else if !is_address && !name.split('.').all(is_label) {
        Some(format!("{host:?} is not a host"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Vec<String> {
        let route: Route = serde_json::from_str(text).unwrap();
        route.mistakes().iter().map(ToString::to_string).collect()
    }

    fn release(text: &str) -> Vec<String> {
        let release: Release = serde_json::from_str(text).unwrap();
        release.mistakes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_route_has_no_mistakes() {
        for text in [
            r#"{"path": "/", "function": "a"}"#,
            r#"{"host": "*.example.com", "path": "/a", "path_match": "exact", "function": "a"}"#,
            r#"{"host": "[::1]", "path": "/", "function": "a"}"#,
            r#"{"path": "/u/[0-9]+", "path_match": "regex", "function": "a",
                "when": {"methods": ["GET"], "headers": [{"name": "x-beta"}], "clients": ["10.0.0.0/8", "::1"],
                         "cookies": [{"name": "user", "regex": "a.*"}], "query": [{"name": "v", "value": "2"}]}}"#,
        ] {
            assert_eq!(route(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn all_mistakes_of_a_route_are_named_with_their_field() {
        let found = route(
            r#"{"host": "Shop.example:80", "path": "a", "function": "a",
                "when": {"methods": ["get"], "headers": [{"name": "a b"}, {"name": "x", "value": "1", "regex": "("}],
                         "clients": ["10.0.0.0/33", "here"]}}"#,
        );
        let fields: Vec<_> = found.iter().map(|text| text.split(": ").next().unwrap()).collect();
        let expected = [
            "host",
            "path",
            "when.methods",
            "when.headers[0].name",
            "when.headers[1]",
            "when.headers[1].regex",
            "when.clients",
            "when.clients",
        ];
        assert_eq!(fields, expected, "{found:#?}");
        assert_eq!(found[5], "when.headers[1].regex: unclosed group");
    }

    #[test]
    fn more_than_everybody_cannot_be_given_away() {
        let found = release(
            r#"{"stable": "0123456789abcdef", "tags": {"Next": "0123456789abcdef", "a--b": "0123456789abcdef"},
                "shares": [{"version": "00000000000000aa", "basis_points": 9000},
                           {"version": "00000000000000bb", "basis_points": 1001}]}"#,
        );
        assert_eq!(found.len(), 3, "{found:#?}");
        assert_eq!(found[0], "shares: 10001 basis points are given away, there are 10000");
    }

    #[test]
    fn lanes_are_labels() {
        let stable = "0123456789abcdef";
        let found = release(&format!(
            r#"{{"stable": "{stable}", "lanes": {{"Blue": "{stable}"}},
                "rules": [{{"when": {{}}, "shares": [], "lane": "a b"}}]}}"#
        ));
        assert_eq!(
            found[0],
            "rules[0].lane: \"a b\" is not a lane: use a-z, 0-9 and hyphens inside"
        );
        assert_eq!(found[1], "lanes: \"Blue\" is not a lane: use a-z, 0-9 and hyphens inside");
        assert!(route(r#"{"path": "/", "lane": "-", "function": "a"}"#)[0].starts_with("lane: "));
    }

    #[test]
    fn hosts_say_what_they_should_have_been() {
        for (host, part) in [
            ("a.*.b", "first labels"),
            ("A.b", "write \"a.b\""),
            ("a:80", "port"),
            ("a..b", "not a host"),
        ] {
            let text = format!(r#"{{"host": "{host}", "path": "/", "function": "a"}}"#);
            assert!(route(&text)[0].contains(part), "{host}: {:?}", route(&text));
        }
    }
}
