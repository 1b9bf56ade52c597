//! What routes and rules do with a request on its way, compiled when it is pushed.
//!
//! A route's filters come first, then those of the release's rule; where both say where a request goes, the rule is heard.
//! Requests are changed in [`trigger`](crate::trigger), with the rest of their head; answers here.

use std::sync::Arc;

use hatchway_proto::catalog::{self, HeaderModifier, PathModifier, RequestRedirect, Scheme};
use hatchway_proto::http1::{RequestHead, ResponseEdit, ResponseHead, write_response};
use hatchway_wire::http1::Answer;

/// Compiled filters.
#[derive(Clone, Debug)]
pub struct Filters {
    /// Of the request.
    pub request: FieldEdit,
    /// Of the answer.
    pub response: FieldEdit,
    /// In the place of `Host`.
    pub host: Option<Box<str>>,
    /// In the place of the path.
    pub path: Option<PathModifier>,
    /// Where the client is sent.
    pub redirect: Option<RequestRedirect>,
}

/// Fields that go and fields that come.
#[derive(Clone, Debug, Default)]
pub struct FieldEdit {
    /// In lower case.
    pub drop: Box<[Box<str>]>,
    /// Name and value.
    pub add: Box<[(Box<str>, Box<str>)]>,
}

/// The filters of one request: of its route, and of its rule.
#[derive(Clone, Copy, Debug, Default)]
pub struct Applied<'f> {
    /// Of the route that it took.
    pub route: Option<&'f Arc<Filters>>,
    /// Of the rule that chose its version.
    pub rule: Option<&'f Arc<Filters>>,
}

/// The changes of an answer that is still to come. They outlive the rules that they are from.
#[derive(Clone, Debug)]
pub struct AnswerFilters([Option<Arc<Filters>>; 2]);

impl Filters {
    /// Compiles what was found to be right; none where nothing is changed.
    pub fn new(written: &catalog::Filters) -> Option<Arc<Self>> {
        let rewrite = written.url_rewrite.as_ref();
        (!written.is_empty()).then(|| {
            Arc::new(Self {
                request: FieldEdit::new(&written.request_header_modifier),
                response: FieldEdit::new(&written.response_header_modifier),
                host: rewrite.and_then(|rewrite| rewrite.hostname.as_deref()).map(Into::into),
                path: rewrite.and_then(|rewrite| rewrite.path.clone()),
                redirect: written.request_redirect.clone(),
            })
        })
    }
}

impl FieldEdit {
    fn new(written: &HeaderModifier) -> Self {
        let lower = |name: &str| name.to_ascii_lowercase().into();
        let set = written.set.iter().map(|field| lower(&field.name));
        let drop = set.chain(written.remove.iter().map(|name| lower(name)));
        let add = written.set.iter().chain(&written.add);
        let add = add.map(|field| (lower(&field.name), field.value.as_str().into()));
        Self { drop: drop.collect(), add: add.collect() }
    }

    /// True when no field is changed.
    pub fn is_empty(&self) -> bool {
        self.drop.is_empty() && self.add.is_empty()
    }
}

impl<'f> Applied<'f> {
    /// True when the request and its answer go on as they came.
    pub fn is_none(self) -> bool {
        self.route.is_none() && self.rule.is_none()
    }

    /// Those of the route, then those of the rule.
    pub fn each(self) -> impl Iterator<Item = &'f Filters> {
        self.route.into_iter().chain(self.rule).map(|filters| &**filters)
    }

    /// Where the client is sent, by the route before the rule.
    pub fn redirect(self) -> Option<&'f RequestRedirect> {
        self.each().find_map(|filters| filters.redirect.as_ref())
    }

    /// The host that the function reads, when it is another one.
    pub fn host(self) -> Option<&'f str> {
        self.each().filter_map(|filters| filters.host.as_deref()).last()
    }

    /// The path that the function reads, when it is another one. `rest`: what follows the prefix of the route.
    pub fn path(self, head: &RequestHead<'_>, rest: &str) -> Option<String> {
        let modifier = self.each().filter_map(|filters| filters.path.as_ref()).last()?;
        Some(modified(modifier, head.path, rest))
    }

    /// What is left for the answer.
    pub fn of_answer(self) -> Option<AnswerFilters> {
        let kept = |filters: Option<&Arc<Filters>>| {
            filters.filter(|filters| !filters.response.is_empty()).map(Arc::clone)
        };
        let both = [kept(self.route), kept(self.rule)];
        both.iter().any(Option::is_some).then_some(AnswerFilters(both))
    }
}

impl AnswerFilters {
    /// Writes the head of an answer as it is after the changes. Interim answers are no answers yet.
    pub fn respond(&self, out: &mut Vec<u8>, head: &ResponseHead<'_>, edit: &ResponseEdit<'_>) {
        if head.is_interim() {
            return write_response(out, head, edit);
        }
        let edits = self.0.iter().flatten().map(|filters| &filters.response);
        let (drop, mut added) = joined(edits, edit.drop);
        added.extend_from_slice(edit.extra);
        write_response(out, head, &ResponseEdit { extra: &added, drop: &drop, ..*edit });
    }

    /// Changes an answer that comes from a file of the function.
    pub fn change(&self, answer: &mut Answer) {
        for filters in self.0.iter().flatten() {
            let is_gone = |name: &str| filters.response.drop.iter().any(|gone| **gone == *name);
            answer.fields.retain(|(name, _)| !is_gone(name));
            let added = filters.response.add.iter();
            answer.fields.extend(
                added.map(|(name, value)| (name.to_string().into(), value.to_string().into())),
            );
        }
    }
}

/// What all of them drop, beside `dropped`, and add. Each may take away what the one before has added.
pub fn joined<'f>(
    edits: impl Iterator<Item = &'f FieldEdit>,
    dropped: &[&'f str],
) -> (Vec<&'f str>, Vec<(&'f str, &'f str)>) {
    let (mut drop, mut added) = (dropped.to_vec(), Vec::<(&str, &str)>::new());
    for edit in edits {
        drop.extend(edit.drop.iter().map(|name| &**name));
        added.retain(|(name, _)| !edit.drop.iter().any(|gone| **gone == **name));
        added.extend(edit.add.iter().map(|(name, value)| (&**name, &**value)));
    }
    (drop, added)
}

/// A path after a modifier (the table of `ReplacePrefixMatch` in the Gateway API): `/` is the only path that ends with the slash
/// of its replacement.
fn modified(modifier: &PathModifier, path: &str, rest: &str) -> String {
    match modifier {
        PathModifier::ReplaceFullPath(full) => full.clone(),
        PathModifier::ReplacePrefixMatch(prefix) => {
            let prefix = prefix.trim_end_matches('/');
            // `/a` and `/a/` are the same to a prefix of `/a`, and not to the function.
            let rest = if rest == "/" && !path.ends_with('/') { "" } else { rest };
            if prefix.is_empty() && rest.is_empty() {
                return "/".to_owned();
            }
            format!("{prefix}{rest}")
        }
    }
}

/// Where a redirect leads a request, as an absolute URL. `is_encrypted`: the client came by TLS.
pub fn location(
    redirect: &RequestRedirect,
    head: &RequestHead<'_>,
    rest: &str,
    is_encrypted: bool,
) -> String {
    let asked = if is_encrypted { Scheme::Https } else { Scheme::Http };
    let scheme = redirect.scheme.unwrap_or(asked);
    let (own_host, own_port) = split_port(head.host);
    let host = redirect.hostname.as_deref().unwrap_or(own_host);
    let port = match (redirect.port, redirect.scheme) {
        (Some(port), _) => Some(port).filter(|port| *port != scheme.port()),
        (None, Some(_)) => None,
        (None, None) => own_port,
    };
    let mut location = format!("{}://{host}", scheme.word());
    if let Some(port) = port {
        location.push_str(&format!(":{port}"));
    }
    match &redirect.path {
        Some(modifier) => location.push_str(&modified(modifier, head.path, rest)),
        None => location.push_str(head.path),
    }
    if let Some(query) = head.query {
        location.push('?');
        location.push_str(query);
    }
    location
}

/// An authority without its port, and the port.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        // The last colon of `[::1]` belongs to the address.
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::http1::{Limits, parse_request};

    use super::*;

    #[test]
    fn a_prefix_is_replaced_in_whole_segments() {
        // Path and what follows the prefix `/foo`, the replacement, the result: as the Gateway API has it.
        for (path, rest, prefix, expected) in [
            ("/foo/bar", "/bar", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/bar", "/xyz/", "/xyz/bar"),
            ("/foo", "/", "/xyz", "/xyz"),
            ("/foo/", "/", "/xyz", "/xyz/"),
            ("/foo/bar", "/bar", "/", "/bar"),
            ("/foo/", "/", "/", "/"),
            ("/foo", "/", "/", "/"),
        ] {
            let modifier = PathModifier::ReplacePrefixMatch(prefix.to_owned());
            assert_eq!(modified(&modifier, path, rest), expected, "{path} {prefix}");
        }
    }

    fn led(redirect: &str, host: &str, target: &str, is_encrypted: bool) -> String {
        let redirect = serde_json::from_str(redirect).unwrap();
        let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        location(&redirect, &head, head.path, is_encrypted)
    }

    #[test]
    fn a_redirect_keeps_what_it_does_not_change() {
        for (redirect, host, target, is_encrypted, expected) in [
            (r#"{"scheme": "https"}"#, "a.b:8080", "/x?y=1", false, "https://a.b/x?y=1"),
            (r#"{"hostname": "c"}"#, "a.b:8080", "/x", false, "http://c:8080/x"),
            (r#"{"hostname": "c"}"#, "a.b", "/x?", true, "https://c/x?"),
            (r#"{"port": 8443}"#, "[::1]:80", "/", true, "https://[::1]:8443/"),
            (r#"{"port": 443}"#, "a:1", "/", true, "https://a/"),
            (r#"{"scheme": "http", "port": 443}"#, "a", "/", true, "http://a:443/"),
            (r#"{"path": {"replace_full_path": "/n"}}"#, "a", "/x?q", false, "http://a/n?q"),
            (r#"{"path": {"replace_prefix_match": "/n"}}"#, "a", "/x", false, "http://a/n/x"),
        ] {
            assert_eq!(led(redirect, host, target, is_encrypted), expected, "{redirect}");
        }
    }

    #[test]
    fn a_rule_is_heard_after_its_route() {
        let compiled = |text: &str| Filters::new(&serde_json::from_str(text).unwrap()).unwrap();
        let route = compiled(
            r#"{"url_rewrite": {"hostname": "a", "path": {"replace_full_path": "/a"}},
                "response_header_modifier": {"add": [{"name": "X-One", "value": "route"}]}}"#,
        );
        let rule = compiled(
            r#"{"url_rewrite": {"path": {"replace_full_path": "/b"}},
                "response_header_modifier": {"set": [{"name": "x-one", "value": "rule"}]}}"#,
        );
        let both = Applied { route: Some(&route), rule: Some(&rule) };
        let text = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
        let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        assert_eq!((both.host(), both.path(&head, "/x").as_deref()), (Some("a"), Some("/b")));
        let mut answer = Answer::new(200, "").with("x-one", "file").with("etag", "1");
        both.of_answer().unwrap().change(&mut answer);
        let fields: Vec<_> =
            answer.fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(fields, [("etag", "1"), ("x-one", "rule")]);
        assert!(Filters::new(&catalog::Filters::default()).is_none());
        assert!(Applied::default().of_answer().is_none());
    }
}
