//! Conditions of routes and rules, compiled when they are pushed.

use std::borrow::Cow;
use std::net::IpAddr;

use hatchway_proto::catalog::{Conditions, FieldMatch, Test, check};
use hatchway_proto::http1::RequestHead;
use hatchway_proto::network::Network;
use regex::Regex;

use super::expression;

/// What is asked of a request: its head, and who sent it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'r> {
    /// As the client sent it.
    pub head: &'r RequestHead<'r>,
    /// Absent on a Unix socket.
    pub client: Option<IpAddr>,
}

impl<'r> Asked<'r> {
    /// The values of all header fields with this name, given in lower case; those that are no text are left out.
    pub fn headers(self, lower_name: &str) -> impl Iterator<Item = &'r str> {
        let fields =
            self.head.fields().filter(move |field| field.name.eq_ignore_ascii_case(lower_name));
        fields.filter_map(|field| std::str::from_utf8(field.value).ok())
    }

    /// The values of all query parameters with this name, decoded.
    pub fn query(self, name: &str) -> impl Iterator<Item = Cow<'r, str>> {
        let pairs = form_urlencoded::parse(self.head.query.unwrap_or_default().as_bytes());
        pairs.filter(move |(key, _)| key == name).map(|(_, value)| value)
    }

    /// The values of all cookies with this name (RFC 6265 section 4.2.1).
    pub fn cookies(self, name: &str) -> impl Iterator<Item = &'r str> {
        let pairs = self.headers("cookie").flat_map(|line| line.split(';'));
        let pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// How particular conditions are.
pub type Rank = (bool, usize, usize, usize);

/// Compiled conditions.
#[derive(Clone, Debug)]
pub struct Matcher {
    methods: Box<[Box<str>]>,
    headers: Box<[Field]>,
    query: Box<[Field]>,
    cookies: Box<[Field]>,
    clients: Box<[Network]>,
    expression: Option<Box<Test>>,
}

#[derive(Clone, Debug)]
struct Field {
    name: Box<str>,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Any,
    Exact(Box<str>),
    Regex(Regex),
}

impl Matcher {
    /// Compiles what was found to be right.
    ///
    /// # Errors
    /// The first thing that is wrong after all.
    pub fn new(when: &Conditions) -> Result<Self, String> {
        let fields = |all: &[FieldMatch], is_header: bool| -> Result<Box<[Field]>, String> {
            all.iter().map(|one| Field::new(one, is_header)).collect()
        };
        Ok(Self {
            methods: when.methods.iter().map(|method| method.as_str().into()).collect(),
            headers: fields(&when.headers, true)?,
            query: fields(&when.query, false)?,
            cookies: fields(&when.cookies, false)?,
            clients: when.clients.iter().map(|text| text.parse()).collect::<Result<_, _>>()?,
            expression: when.expression.as_deref().map(Test::parse).transpose()?.map(Box::new),
        })
    }

    /// Whether the request has all of it.
    pub fn holds(&self, asked: Asked<'_>) -> bool {
        let is_method =
            self.methods.is_empty() || self.methods.iter().any(|m| **m == *asked.head.method);
        is_method
            && self
                .headers
                .iter()
                .all(|field| asked.headers(&field.name).any(|value| field.fits(value)))
            && self
                .query
                .iter()
                .all(|field| asked.query(&field.name).any(|value| field.fits(&value)))
            && self
                .cookies
                .iter()
                .all(|field| asked.cookies(&field.name).any(|value| field.fits(value)))
            && (self.clients.is_empty()
                || asked.client.is_some_and(|client| self.has_client(client)))
            // The dearest comes last.
            && self.expression.as_ref().is_none_or(|test| expression::holds(test, asked) == Some(true))
    }

    /// More particular conditions compare greater, in the order of the Gateway API: a method, then the number of header
    /// fields, then of query parameters, then of all else.
    pub fn rank(&self) -> Rank {
        let rest = self.cookies.len()
            + usize::from(!self.clients.is_empty())
            + usize::from(self.expression.is_some());
        (!self.methods.is_empty(), self.headers.len(), self.query.len(), rest)
    }

    fn has_client(&self, client: IpAddr) -> bool {
        self.clients.iter().any(|network| network.contains(client))
    }
}

impl Field {
    fn new(one: &FieldMatch, is_header: bool) -> Result<Self, String> {
        let name = if is_header { one.name.to_ascii_lowercase() } else { one.name.clone() };
        let value = match (&one.value, &one.regex) {
            (_, Some(regex)) => Value::Regex(check::whole(regex)?),
            (Some(value), None) => Value::Exact(value.as_str().into()),
            (None, None) => Value::Any,
        };
        Ok(Self { name: name.into(), value })
    }

    fn fits(&self, value: &str) -> bool {
        match &self.value {
            Value::Any => true,
            Value::Exact(exact) => **exact == *value,
            Value::Regex(regex) => regex.is_match(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::http1::{Limits, parse_request};

    use super::*;

    fn holds(when: &str, request: &str, client: &str) -> bool {
        let when: Conditions = serde_json::from_str(when).unwrap();
        let text =
            format!("{request}\r\nHost: h\r\n\r\n").replace('\n', "\r\n").replace("\r\r", "\r");
        let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        let asked = Asked { head: &head, client: client.parse().ok() };
        Matcher::new(&when).unwrap().holds(asked)
    }

    #[test]
    fn conditions_look_at_every_part_of_a_request() {
        let request =
            "POST /a?v=1&n=%C3%A9+x&v=2 HTTP/1.1\nX-Beta: on\nx-beta: yes\nCookie: a=1; user=ada";
        for (when, expected) in [
            (r#"{}"#, true),
            (r#"{"methods": ["GET", "POST"]}"#, true),
            (r#"{"methods": ["GET"]}"#, false),
            (r#"{"headers": [{"name": "X-BETA"}]}"#, true),
            (r#"{"headers": [{"name": "x-beta", "value": "yes"}]}"#, true),
            (r#"{"headers": [{"name": "x-beta", "value": "ye"}]}"#, false),
            (r#"{"headers": [{"name": "x-beta", "regex": "o."}]}"#, true),
            (r#"{"headers": [{"name": "x-beta", "regex": "o"}]}"#, false),
            (r#"{"headers": [{"name": "x-beta"}, {"name": "x-none"}]}"#, false),
            (r#"{"query": [{"name": "v", "value": "2"}, {"name": "n", "value": "é x"}]}"#, true),
            (r#"{"query": [{"name": "V"}]}"#, false),
            (r#"{"cookies": [{"name": "user", "value": "ada"}]}"#, true),
            (r#"{"cookies": [{"name": "use"}]}"#, false),
            (r#"{"clients": ["10.1.0.0/16"]}"#, true),
            (r#"{"clients": ["10.2.0.0/16", "::/0"]}"#, false),
            (r#"{"clients": ["0.0.0.0/0"]}"#, true),
            (r#"{"clients": ["10.1.2.3"]}"#, true),
        ] {
            assert_eq!(holds(when, request, "10.1.2.3"), expected, "{when}");
        }
    }

    #[test]
    fn who_has_no_address_is_in_no_network() {
        assert!(!holds(r#"{"clients": ["0.0.0.0/0"]}"#, "GET / HTTP/1.1", "none"));
        assert!(holds(r#"{"clients": ["10.0.0.0/8"]}"#, "GET / HTTP/1.1", "::ffff:10.0.0.1"));
        assert!(holds(r#"{"clients": ["2001:db8::/32"]}"#, "GET / HTTP/1.1", "2001:db8:1::1"));
    }
}
