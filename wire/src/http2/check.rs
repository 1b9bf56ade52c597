//! What must hold for any head that is translated between HTTP/2 and HTTP/1.1. The fuzz target `http2_heads` and the test
//! below run it; it panics when a claim is broken.

use hatchway_proto::http1::{Framing, Limits, RequestHead, parse_request, parse_response};
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Request};

use super::head;

/// A request as lines (method, path, authority, then fields) is written as HTTP/1.1 and means the same there, or is refused;
/// the same bytes as an answer of HTTP/1.1 mean the same as one of HTTP/2.
pub fn heads(data: &[u8]) {
    request(data);
    response(data);
}

fn request(data: &[u8]) {
    let Some(parts) = parts(data) else { return };
    for has_body in [false, true] {
        let Ok(written) = head::to_http1(&parts, has_body, None) else { continue };
        match parse_request(&written, &Limits::default()) {
            Ok(Some(head)) => {
                assert_eq!(head.len, written.len(), "one head became two");
                same_request(&parts, has_body, &head);
            }
            Ok(None) => panic!("a whole head became a part of one"),
            Err(_) => {}
        }
    }
}

/// What `h2` hands over: it has refused everything that is malformed by RFC 9113 section 8 alone.
fn parts(data: &[u8]) -> Option<Parts> {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut word = || std::str::from_utf8(lines.next()?).ok();
    let (method, path, authority) = (word()?, word()?, word()?);
    let uri =
        if authority.is_empty() { path.to_owned() } else { format!("http://{authority}{path}") };
    let (mut parts, ()) = Request::builder().method(method).uri(uri).body(()).ok()?.into_parts();
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        let value = HeaderValue::from_bytes(&line[colon + 1..]).ok()?;
        if is_for_a_connection(&name) || (name == header::TE && value != "trailers") {
            return None;
        }
        parts.headers.append(name, value);
    }
    Some(parts)
}

fn is_for_a_connection(name: &HeaderName) -> bool {
    matches!(*name, header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn same_request(parts: &Parts, has_body: bool, head: &RequestHead<'_>) {
    assert_eq!(head.method, parts.method.as_str());
    if let Some(target) = parts.uri.path_and_query() {
        assert!(target.as_str().starts_with(head.path), "{} of {target}", head.path);
    }
    if let Some(authority) = parts.uri.authority() {
        assert_eq!(head.host.to_ascii_lowercase(), authority.as_str().to_ascii_lowercase());
    }
    let length = parts.headers.get(header::CONTENT_LENGTH);
    match head.framing {
        Framing::None => {
            let is_empty = length.is_some_and(|length| length.as_bytes().trim_ascii() == b"0");
            assert!(!has_body || is_empty, "a body has no framing");
        }
        Framing::Length(declared) => {
            let given = length.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            assert_eq!(given, Some(declared));
        }
        Framing::Chunked => assert!(has_body && length.is_none(), "chunks that nobody sends"),
        Framing::UntilClose => panic!("a request does not end with its connection"),
    }
    for name in parts.headers.keys() {
        let is_merged = [header::COOKIE, header::HOST].contains(name);
        let given = parts.headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii());
        let given: Vec<&[u8]> = given.collect();
        let found = head.fields().filter(|field| field.name.eq_ignore_ascii_case(name.as_str()));
        let found: Vec<&[u8]> = found.map(|field| field.value).collect();
        if is_merged {
            assert_eq!(found.len(), 1, "{name} is one field");
        } else {
            assert_eq!(found, given, "{name}");
        }
    }
}

fn response(data: &[u8]) {
    for to_head in [false, true] {
        let Ok(translated) = head::to_http2(data, to_head) else { continue };
        let given = parse_response(data, to_head, &head::OWN);
        let given = given.ok().flatten().expect("what was translated was read");
        assert_eq!(translated.status().as_u16(), given.status);
        let fields: &HeaderMap = translated.headers();
        assert!(!fields.keys().any(is_for_a_connection), "a field of a connection went on");
        let count = given.fields().filter(|field| {
            let name = HeaderName::from_bytes(field.name.as_bytes()).expect("names were checked");
            !is_for_a_connection(&name)
        });
        assert_eq!(fields.len(), count.count());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_kept_input_breaks_a_claim() {
        hatchway_proto::corpus::replay("http2_heads", super::heads);
    }
}
