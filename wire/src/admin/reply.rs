//! What the admin interface answers with.

use std::convert::Infallible;

use bytes::Bytes;
use hatchway_proto::api::Problem;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::mpsc;

/// An answer, whole or streamed.
pub type Reply = Response<BoxBody<Bytes, Infallible>>;

/// `value` as JSON.
pub fn json(value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(text) => whole("application/json", text),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// A whole body.
pub fn whole(content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    typed(content_type, Response::new(Full::new(body.into()).boxed()))
}

/// A body that goes on for as long as somebody sends and the reader stays.
pub fn stream(content_type: &'static str, mut pieces: mpsc::Receiver<Bytes>) -> Reply {
    let frames = futures_util::stream::poll_fn(move |cx| {
        pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    });
    typed(content_type, Response::new(BodyExt::boxed(StreamBody::new(frames))))
}

/// Nobody keeps what operators read, nor guesses what it is.
fn typed(content_type: &'static str, mut reply: Reply) -> Reply {
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}

/// What went wrong, as RFC 9457 has it.
pub fn problem(status: StatusCode, detail: &str) -> Reply {
    refusal(status, &Problem { detail: detail.to_owned(), ..Problem::default() })
}

/// What went wrong, field by field; the status is put into it.
pub fn refusal(status: StatusCode, problem: &Problem) -> Reply {
    let title = status.canonical_reason().unwrap_or("error").to_owned();
    let problem = Problem { title, status: status.as_u16(), ..problem.clone() };
    let body = serde_json::to_vec(&problem).expect("a problem is strings and numbers");
    let mut reply = whole("application/problem+json", body);
    *reply.status_mut() = status;
    reply
}

/// The first value of a query parameter, decoded.
pub fn query<'a>(parts: &'a Parts, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    let query = parts.uri.query()?;
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// Every value of a query parameter, decoded.
pub fn queries(parts: &Parts, name: &str) -> Vec<String> {
    let query = parts.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// Every registered metric, in the text format of Prometheus.
pub fn metrics(registry: &prometheus::Registry) -> Reply {
    let encoder = prometheus::TextEncoder::new();
    match encoder.encode_to_string(&registry.gather()) {
        Ok(text) => whole("text/plain; version=0.0.4", text),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
