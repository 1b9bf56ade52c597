//! The four forms of a request target (RFC 9112 3.2), of which a gateway serves three.

use super::HeadError;
use super::host::check_authority;

/// A request target taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'b> {
    /// Begins with `/`, or is `*`.
    pub(super) path: &'b str,
    pub(super) query: Option<&'b str>,
    /// Of the absolute form. It wins over `Host` (RFC 9112 3.2.2).
    pub(super) authority: Option<&'b str>,
}

/// Takes a target apart.
///
/// `httparse` has refused blanks and control bytes. Refused here: bytes above 127 and `#` (RFC 3986 has neither in a
/// target), and `\` in the path, which some take for `/`. Other bytes outside RFC 3986 (`|`, `{`, `"`) reach us from browsers
/// and are opaque to everyone.
pub(super) fn parse_target<'b>(method: &str, target: &'b str) -> Result<Target<'b>, HeadError> {
    if method == "CONNECT" {
        return Err(HeadError::Connect);
    }
    match target.as_bytes() {
        [b'/', ..] => origin_form(target, None),
        b"*" if method == "OPTIONS" => Ok(Target { path: "*", query: None, authority: None }),
        _ => absolute_form(method, target),
    }
}

#[inline]
fn origin_form<'b>(target: &'b str, authority: Option<&'b str>) -> Result<Target<'b>, HeadError> {
    let stops = |&byte: &u8| matches!(byte, b'?' | b'#' | b'\\' | 0x80..);
    let Some(path_end) = target.as_bytes().iter().position(stops) else {
        return Ok(Target { path: target, query: None, authority });
    };
    let (path, rest) = target.split_at_checked(path_end).ok_or(HeadError::BadTarget)?;
    let query = rest.strip_prefix('?').ok_or(HeadError::BadTarget)?;
    if query.bytes().any(|b| b == b'#' || b >= 0x80) {
        return Err(HeadError::BadTarget);
    }
    Ok(Target { path, query: Some(query), authority })
}

/// `http://authority/path?query`. An empty path means `/`, and `*` in `OPTIONS` without a query (RFC 9112 3.2.4).
#[cold]
fn absolute_form<'b>(method: &str, target: &'b str) -> Result<Target<'b>, HeadError> {
    let rest = strip_scheme(target).ok_or(HeadError::BadTarget)?;
    let end = rest.bytes().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority = Some(check_authority(authority.as_bytes())?);
    match rest.as_bytes() {
        [] if method == "OPTIONS" => Ok(Target { path: "*", query: None, authority }),
        [] => Ok(Target { path: "/", query: None, authority }),
        [b'/', ..] => origin_form(rest, authority),
        _ => origin_form(rest, authority).map(|target| Target { path: "/", ..target }),
    }
}

fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(
        method: &str,
        target: &'static str,
    ) -> Result<(&'static str, Option<&'static str>, Option<&'static str>), HeadError> {
        parse_target(method, target).map(|t| (t.path, t.query, t.authority))
    }

    #[test]
    fn three_forms_are_taken_apart() {
        for (method, target, expected) in [
            ("GET", "/", ("/", None, None)),
            ("GET", "/a/b?c=d?e", ("/a/b", Some("c=d?e"), None)),
            ("GET", "/?", ("/", Some(""), None)),
            ("GET", "//a", ("//a", None, None)),
            ("GET", "/a|{\"}?\\", ("/a|{\"}", Some("\\"), None)),
            ("OPTIONS", "*", ("*", None, None)),
            ("GET", "http://a", ("/", None, Some("a"))),
            ("OPTIONS", "http://a", ("*", None, Some("a"))),
            ("OPTIONS", "http://a?x", ("/", Some("x"), Some("a"))),
            ("GET", "HTTPS://a:1/b?c", ("/b", Some("c"), Some("a:1"))),
            ("GET", "http://[::1]:80?q", ("/", Some("q"), Some("[::1]:80"))),
        ] {
            assert_eq!(parts(method, target), Ok(expected), "{target}");
        }
    }

    #[test]
    fn other_forms_and_bytes_are_refused() {
        for (method, target, error) in [
            ("CONNECT", "a:443", HeadError::Connect),
            ("CONNECT", "/", HeadError::Connect),
            ("GET", "*", HeadError::BadTarget),
            ("GET", "a:443", HeadError::BadTarget),
            ("GET", "a", HeadError::BadTarget),
            ("GET", "?a", HeadError::BadTarget),
            ("OPTIONS", "**", HeadError::BadTarget),
            ("OPTIONS", "*?a", HeadError::BadTarget),
            ("GET", "ftp://a/", HeadError::BadTarget),
            ("GET", "http:/a", HeadError::BadTarget),
            ("GET", "http:///a", HeadError::BadHost),
            ("GET", "http://u@a/", HeadError::BadHost),
            ("GET", "http://a\\b/", HeadError::BadHost),
            ("GET", "http://a#b", HeadError::BadTarget),
            ("GET", "/a#b", HeadError::BadTarget),
            ("GET", "/a?b#c", HeadError::BadTarget),
            ("GET", "/a\\b", HeadError::BadTarget),
            ("GET", "/\u{fc}", HeadError::BadTarget),
            ("GET", "/?\u{fc}", HeadError::BadTarget),
        ] {
            assert_eq!(parts(method, target), Err(error), "{target}");
        }
    }
}
