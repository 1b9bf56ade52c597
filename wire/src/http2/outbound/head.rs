//! Heads between HTTP/1.1, as our own programs write it, and a function's HTTP/2.

use std::time::Duration;

use hatchway_proto::grpc;
use hatchway_proto::http1::{Framing, HeadError, RequestHead};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, Uri};

/// The head of a stream (RFC 9113 section 8.3.1). `left`: how long the client still waits.
///
/// # Errors
/// A method or a target that is allowed in HTTP/1.1 and not here.
pub(super) fn to_http2(
    head: &RequestHead<'_>,
    left: Option<Duration>,
) -> Result<Request<()>, HeadError> {
    let mut request = Request::new(());
    *request.method_mut() =
        Method::from_bytes(head.method.as_bytes()).map_err(|_| HeadError::BadMethod)?;
    *request.uri_mut() = uri(head)?;
    let fields = request.headers_mut();
    for field in head.fields() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| HeadError::BadFieldName)?;
        if is_of_the_hop(&name) {
            continue;
        }
        let value = HeaderValue::from_bytes(field.value).map_err(|_| HeadError::BadFieldValue)?;
        fields.append(name, value);
    }
    if head.accepts_trailers {
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if let Some(left) = left {
        let left = HeaderValue::try_from(grpc::write_timeout(left));
        fields.insert(grpc::TIMEOUT, left.expect("digits and a letter"));
    }
    Ok(request)
}

fn uri(head: &RequestHead<'_>) -> Result<Uri, HeadError> {
    let is_https = head.field("x-forwarded-proto") == Some(b"https");
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if is_https { Scheme::HTTPS } else { Scheme::HTTP });
    // A client of HTTP/1.0 need not name a host.
    let host = if head.host.is_empty() { "localhost" } else { head.host };
    parts.authority = Some(Authority::try_from(host).map_err(|_| HeadError::BadHost)?);
    let target = match head.query {
        Some(query) => format!("{}?{query}", head.path),
        None => head.path.to_owned(),
    };
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| HeadError::BadTarget)?);
    Uri::from_parts(parts).map_err(|_| HeadError::BadTarget)
}

/// Fields that are about a connection of HTTP/1.1, or said otherwise here (RFC 9113 section 8.2.2).
fn is_of_the_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::EXPECT
            | header::HOST
            | header::TE
            | header::TRANSFER_ENCODING
            | header::UPGRADE
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// Appends the head of an answer as HTTP/1.1. Says how its body is framed; `is_all`: none follows.
pub(super) fn write_response<B>(
    out: &mut Vec<u8>,
    response: &Response<B>,
    is_head: bool,
    is_all: bool,
) -> Framing {
    let status = response.status();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" \r\n");
    write_fields(out, response.headers());
    let is_bodiless = is_head || status.is_informational() || matches!(status.as_u16(), 204 | 304);
    let framing = if is_bodiless {
        Framing::None
    } else if response.headers().contains_key(header::CONTENT_LENGTH) {
        // `h2` holds the data against it.
        Framing::Length(u64::from(!is_all))
    } else {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        Framing::Chunked
    };
    out.extend_from_slice(b"\r\n");
    framing
}

/// Appends fields as lines.
pub(super) fn write_fields(out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}
