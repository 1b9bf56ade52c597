//! What is wrong with a filter.

use crate::catalog::{
    Filters, HeaderField, HeaderModifier, PathMatch, PathModifier, RequestRedirect,
};
use crate::http1;

use super::{Found, wrong_host};

/// Fields in each list, as in the Gateway API.
const FIELDS: usize = 16;

/// Bytes of all fields of one modifier: a head at the border's limit still passes inside with them.
const FIELD_BYTES: usize = 4096;

/// The longest path that is put in the place of another.
const PATH_BYTES: usize = 1024;

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

/// Adds what is wrong with `filters`. `path_match`: how their route compares paths; none for a rule, whose route may be any.
pub(super) fn filters(
    found: &mut Found,
    field: &str,
    filters: &Filters,
    path_match: Option<PathMatch>,
) {
    for (name, modifier) in [
        ("request_header_modifier", &filters.request_header_modifier),
        ("response_header_modifier", &filters.response_header_modifier),
    ] {
        headers(found, &format!("{field}.{name}"), modifier);
    }
    if let Some(rewrite) = &filters.url_rewrite {
        let field = format!("{field}.url_rewrite");
        if rewrite.hostname.is_none() && rewrite.path.is_none() {
            found.add(&field, "changes nothing: give it a hostname or a path");
        }
        place(found, &field, (rewrite.hostname.as_deref(), rewrite.path.as_ref()), path_match);
    }
    if let Some(redirect) = &filters.request_redirect {
        let field = format!("{field}.request_redirect");
        if filters.url_rewrite.is_some() {
            found.add(&field, "excludes url_rewrite: leave one of them out");
        }
        place(found, &field, (redirect.hostname.as_deref(), redirect.path.as_ref()), path_match);
        answer(found, &field, redirect);
    }
}

fn answer(found: &mut Found, field: &str, redirect: &RequestRedirect) {
    if !REDIRECTS.contains(&redirect.status_code) {
        let message =
            format!("{} is no redirect: use 301, 302, 303, 307 or 308", redirect.status_code);
        found.add(format!("{field}.status_code"), message);
    }
    if redirect.port == Some(0) {
        found.add(format!("{field}.port"), "0 is no port: use 1 to 65535");
    }
    if *redirect == (RequestRedirect { status_code: redirect.status_code, ..UNCHANGED }) {
        let message = "leads back to where it is: give it a scheme, a hostname, a path or a port";
        found.add(field, message);
    }
}

const UNCHANGED: RequestRedirect =
    RequestRedirect { scheme: None, hostname: None, path: None, port: None, status_code: 302 };

fn place(
    found: &mut Found,
    field: &str,
    (hostname, path): (Option<&str>, Option<&PathModifier>),
    path_match: Option<PathMatch>,
) {
    if let Some(hostname) = hostname {
        let why = match hostname.contains('*') {
            true => Some(format!("{hostname:?} has a *: write one host")),
            false => wrong_host(hostname),
        };
        if let Some(why) = why {
            found.add(format!("{field}.hostname"), why);
        }
    }
    let (name, path) = match path {
        None => return,
        Some(PathModifier::ReplaceFullPath(path)) => ("replace_full_path", path),
        Some(PathModifier::ReplacePrefixMatch(path)) => ("replace_prefix_match", path),
    };
    let field = format!("{field}.path.{name}");
    if name == "replace_prefix_match" && path_match.is_some_and(|how| how != PathMatch::Prefix) {
        found.add(&field, "the route has no prefix: use replace_full_path, or path_match prefix");
    }
    if let Some(why) = wrong_path(path) {
        found.add(field, why);
    }
}

fn wrong_path(path: &str) -> Option<String> {
    let is_odd = |byte: &u8| !byte.is_ascii_graphic() || b"?#\\\"<>^`{|}".contains(byte);
    if !path.starts_with('/') {
        Some(format!("{path:?} does not start with /"))
    } else if path.starts_with("//") {
        Some(format!("{path:?} starts with //, which some take for a host: write one /"))
    } else if path.len() > PATH_BYTES {
        Some(format!("has {} bytes, {PATH_BYTES} are allowed", path.len()))
    } else if path.bytes().any(|byte| is_odd(&byte)) {
        Some(format!("{path:?} is no path: escape what is not in RFC 3986 as %XX; it has no query"))
    } else {
        None
    }
}

fn headers(found: &mut Found, field: &str, modifier: &HeaderModifier) {
    let HeaderModifier { set, add, remove } = modifier;
    for (list, len) in [("set", set.len()), ("add", add.len()), ("remove", remove.len())] {
        if len > FIELDS {
            found.add(format!("{field}.{list}"), format!("there are {len}, {FIELDS} are allowed"));
        }
    }
    let mut names: Vec<String> = Vec::new();
    for (list, fields) in [("set", set), ("add", add)] {
        for (index, HeaderField { name: given, value }) in fields.iter().enumerate() {
            let field = format!("{field}.{list}[{index}]");
            name(found, &format!("{field}.name"), given, &mut names);
            if !http1::is_field_value(value.as_bytes()) || value.trim() != value {
                let message =
                    format!("{value:?} is no value of a field: one line without blanks around it");
                found.add(format!("{field}.value"), message);
            }
        }
    }
    for (index, given) in remove.iter().enumerate() {
        name(found, &format!("{field}.remove[{index}]"), given, &mut names);
    }
    let bytes = |fields: &[HeaderField]| -> usize {
        fields.iter().map(|field| field.name.len() + field.value.len()).sum()
    };
    let bytes = bytes(set) + bytes(add);
    if bytes > FIELD_BYTES {
        found.add(field, format!("its fields have {bytes} bytes, {FIELD_BYTES} are allowed"));
    }
}

fn name(found: &mut Found, field: &str, given: &str, names: &mut Vec<String>) {
    // As servers of the CGI family read it: what cannot be set by one spelling must not be set by another.
    let folded = given.to_ascii_lowercase().replace('_', "-");
    if let Some(why) = wrong_name(given, &folded) {
        found.add(field, why);
    } else if names.contains(&folded) {
        found.add(field, format!("{given:?} is named twice: set, add or remove it"));
    } else {
        names.push(folded);
    }
}

fn wrong_name(given: &str, folded: &str) -> Option<String> {
    let why = match folded {
        _ if !http1::is_token(given.as_bytes()) => "is not the name of a field",
        "host" => "is not changed as a field: use url_rewrite.hostname",
        "forwarded" | "x-real-ip" => {
            "tells who the client is, which the gateway says: choose another name"
        }
        "x-request-id" | "traceparent" | "tracestate" => {
            "is written by the gateway: choose another name"
        }
        "x-original-url" | "x-rewrite-url" => "is taken for the path by some: use url_rewrite.path",
        _ if folded.starts_with("x-forwarded-") => {
            "tells who the client is, which the gateway says: choose another name"
        }
        _ if folded.starts_with("hatchway-") => {
            "is a word between programs of the platform: choose a name without hatchway-"
        }
        _ if !http1::is_end_to_end(folded.as_bytes()) => {
            "belongs to the connection or frames the message: leave it to the gateway"
        }
        _ => return None,
    };
    Some(format!("{given:?} {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str, path_match: Option<PathMatch>) -> Vec<String> {
        let mut found = Found(Vec::new());
        filters(&mut found, "filters", &serde_json::from_str(text).unwrap(), path_match);
        found.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_filters_have_no_mistakes() {
        for text in [
            "{}",
            r#"{"request_header_modifier": {"set": [{"name": "X-Team", "value": "a b"}], "add": [{"name": "via", "value": ""}],
                                            "remove": ["Cookie", "authorization"]}}"#,
            r#"{"response_header_modifier": {"set": [{"name": "cache-control", "value": "no-store"}]}}"#,
            r#"{"url_rewrite": {"hostname": "inner.example", "path": {"replace_prefix_match": "/"}}}"#,
            r#"{"request_redirect": {"scheme": "https", "status_code": 308, "port": 8443, "hostname": "[::1]"}}"#,
        ] {
            assert_eq!(mistakes(text, Some(PathMatch::Prefix)), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn fields_of_the_connection_and_of_the_platform_cannot_be_changed() {
        for (name, part) in [
            ("Host", "use url_rewrite.hostname"),
            ("content-length", "leave it to the gateway"),
            ("Transfer_Encoding", "leave it to the gateway"),
            ("TE", "leave it to the gateway"),
            ("Connection", "leave it to the gateway"),
            ("trailer", "leave it to the gateway"),
            ("upgrade", "leave it to the gateway"),
            ("Hatchway-Tenant", "without hatchway-"),
            ("HATCHWAY_TENANT", "without hatchway-"),
            ("x_forwarded_for", "which the gateway says"),
            ("X-Forwarded-Prefix", "which the gateway says"),
            ("X-Request-Id", "written by the gateway"),
            ("a b", "is not the name of a field"),
            ("", "is not the name of a field"),
        ] {
            for list in ["set", "add", "remove"] {
                let one = match list {
                    "remove" => format!("{name:?}"),
                    _ => format!(r#"{{"name": {name:?}, "value": "1"}}"#),
                };
                let text = format!(r#"{{"response_header_modifier": {{"{list}": [{one}]}}}}"#);
                let found = mistakes(&text, None);
                assert_eq!(found.len(), 1, "{text}: {found:?}");
                let place = format!("filters.response_header_modifier.{list}[0]");
                assert!(found[0].starts_with(&place) && found[0].contains(part), "{}", found[0]);
            }
        }
    }

    #[test]
    fn mistakes_name_their_field_and_what_would_be_right() {
        for (text, expected) in [
            (
                r#"{"request_header_modifier": {"set": [{"name": "a", "value": "1"}], "remove": ["A"]}}"#,
                "filters.request_header_modifier.remove[0]: \"A\" is named twice",
            ),
            (
                r#"{"request_header_modifier": {"add": [{"name": "a", "value": "1\r\nb: 2"}]}}"#,
                "filters.request_header_modifier.add[0].value",
            ),
            (r#"{"url_rewrite": {}}"#, "filters.url_rewrite: changes nothing"),
            (
                r#"{"url_rewrite": {"hostname": "*.a"}}"#,
                "filters.url_rewrite.hostname: \"*.a\" has a *",
            ),
            (
                r#"{"url_rewrite": {"path": {"replace_full_path": "a"}}}"#,
                "filters.url_rewrite.path.replace_full_path: \"a\" does not start with /",
            ),
            (
                r#"{"url_rewrite": {"path": {"replace_full_path": "/a?b"}}}"#,
                "filters.url_rewrite.path.replace_full_path: \"/a?b\" is no path",
            ),
            (
                r#"{"url_rewrite": {"path": {"replace_prefix_match": "/a"}}}"#,
                "filters.url_rewrite.path.replace_prefix_match: the route has no prefix",
            ),
            (
                r#"{"request_redirect": {"path": {"replace_full_path": "//evil.example"}}}"#,
                "filters.request_redirect.path.replace_full_path: \"//evil.example\" starts with //",
            ),
            (r#"{"request_redirect": {}}"#, "filters.request_redirect: leads back"),
            (
                r#"{"request_redirect": {"port": 0, "status_code": 200}}"#,
                "filters.request_redirect.status_code: 200 is no redirect",
            ),
            (
                r#"{"request_redirect": {"scheme": "https"}, "url_rewrite": {"hostname": "a"}}"#,
                "filters.request_redirect: excludes url_rewrite",
            ),
        ] {
            let found = mistakes(text, Some(PathMatch::Exact));
            assert!(found.iter().any(|one| one.starts_with(expected)), "{text}: {found:?}");
        }
        let many: Vec<_> = (0..17).map(|n| format!("\"x-{n}\"")).collect();
        let text = format!(r#"{{"request_header_modifier": {{"remove": [{}]}}}}"#, many.join(","));
        assert!(mistakes(&text, None)[0].contains("there are 17, 16 are allowed"));
        let value = "v".repeat(FIELD_BYTES);
        let text = format!(
            r#"{{"request_header_modifier": {{"add": [{{"name": "a", "value": "{value}"}}]}}}}"#
        );
        assert!(mistakes(&text, None)[0].contains("4097 bytes, 4096 are allowed"));
    }
}
