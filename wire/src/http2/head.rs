//! Heads from HTTP/2 to HTTP/1.1 and back, so that one parser and one writer decide about all of them.

use bytes::Bytes;
use hatchway_proto::http1::{
    self, Framing, HEAD_BYTES_MAX, HeadError, Limits, MAX_FIELDS, ResponseHead, Version,
};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};

use crate::http1::Shape;
use crate::http2::websocket::Key;

/// For heads that we wrote ourselves from one that was checked.
pub(super) const OWN: Limits =
    Limits { head_bytes: HEAD_BYTES_MAX, fields: MAX_FIELDS, target_bytes: HEAD_BYTES_MAX };

/// Writes the head of a stream as HTTP/1.1 (RFC 9113 section 8.3.1), to be parsed as any other. `has_body`: the stream
/// goes on behind its head.
///
/// What `h2` refuses before this: fields of a connection (`connection`, `transfer-encoding`, ...), `te` other than
/// `trailers`, upper case in names, pseudo-fields that are missing, repeated or late, and control bytes anywhere.
///
/// `key`: the stream asks for a web socket, and this is what it asks the function with.
///
/// # Errors
/// A `host` beside an `:authority` that it contradicts: the two are for two servers.
pub(super) fn to_http1(
    parts: &Parts,
    has_body: bool,
    key: Option<&Key>,
) -> Result<Vec<u8>, HeadError> {
    let mut out = crate::scratch::take();
    let method = if key.is_some() { "GET" } else { parts.method.as_str() };
    let target = match parts.uri.path_and_query() {
        Some(target) => target.as_str(),
        // CONNECT has none, and is refused by its name.
        None => "/",
    };
    put(&mut out, &[method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    if let Some(authority) = authority {
        put(&mut out, &[b"host: ", authority.as_bytes(), b"\r\n"]);
    }
    for (name, value) in &parts.headers {
        match (name, authority) {
            (&header::HOST, Some(authority)) => {
                if !value.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) {
                    return Err(HeadError::RepeatedHost);
                }
            }
            (&header::COOKIE, _) => {}
            _ => put(&mut out, &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]),
        }
    }
    write_cookies(&mut out, &parts.headers);
    if let Some(key) = key {
        put(&mut out, &[b"connection: upgrade\r\nupgrade: websocket\r\n"]);
        put(&mut out, &[b"sec-websocket-key: ", key.as_str().as_bytes(), b"\r\n"]);
    }
    if has_body && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        put(&mut out, &[b"transfer-encoding: chunked\r\n"]);
    }
    put(&mut out, &[b"\r\n"]);
    Ok(out)
}

/// Crumbs are one field again (RFC 9113 section 8.2.3).
fn write_cookies(out: &mut Vec<u8>, fields: &HeaderMap) {
    let mut before: &[u8] = b"cookie: ";
    for crumb in fields.get_all(header::COOKIE) {
        put(out, &[before, crumb.as_bytes()]);
        before = b"; ";
    }
    if before == b"; " {
        put(out, &[b"\r\n"]);
    }
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// How a service is to write the head of an answer: what it says of the connection is left out later.
pub(super) fn shape(framing: Framing) -> Shape {
    Shape { version: Version::Http11, keep_alive: true, framing, upgrades: false }
}

/// Reads a head that a service wrote, into one for a stream.
///
/// # Errors
/// A service that adds more fields than a head may have.
pub(super) fn to_http2(written: &[u8], to_head: bool) -> Result<Response<()>, HeadError> {
    let head = http1::parse_response(written, to_head, &OWN)?.ok_or(HeadError::BadStatus)?;
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status).map_err(|_| HeadError::BadStatus)?;
    *response.headers_mut() = end_to_end(&head)?;
    Ok(response)
}

/// The fields that are not for the connection alone (RFC 9113 section 8.2.2).
fn end_to_end(head: &ResponseHead<'_>) -> Result<HeaderMap, HeadError> {
    let mut fields = HeaderMap::with_capacity(16);
    for field in head.fields() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| HeadError::BadFieldName)?;
        if matches!(name, header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE)
            || matches!(name.as_str(), "keep-alive" | "proxy-connection")
        {
            continue;
        }
        let value = HeaderValue::from_bytes(field.value).map_err(|_| HeadError::BadFieldValue)?;
        fields.append(name, value);
    }
    Ok(fields)
}

/// The fields of a trailer section that a decoder has passed.
pub(super) fn trailers_to_http2(section: &[u8]) -> HeaderMap {
    http1::trailers(section)
        .filter_map(|field| {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(field.value).ok()?))
        })
        .collect()
}

/// Writes trailers as lines for behind the last chunk.
pub(super) fn trailers_to_http1(fields: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        put(&mut out, &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    out
}

/// An answer of ours.
pub(super) fn of_answer(answer: &crate::http1::Answer) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fields = response.headers_mut();
    for (name, value) in &answer.fields {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_maybe_shared(copy(value)))
        {
            fields.append(name, value);
        }
    }
    if !is_bodiless(answer.status) {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(answer.len()));
    }
    response
}

/// What an answer of ours says of a call of gRPC, if it is one to such a call.
pub(super) fn grpc_status(answer: &crate::http1::Answer) -> Option<HeaderMap> {
    let fields = answer.fields.iter().filter(|(name, _)| name.starts_with("grpc-"));
    let fields: HeaderMap = fields
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        })
        .collect();
    (!fields.is_empty()).then_some(fields)
}

/// True when no body follows the head, whatever there is (RFC 9110 sections 15.3.5 and 15.4.5).
pub(super) fn is_bodiless(status: u16) -> bool {
    matches!(status, 204 | 304)
}

fn copy(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
