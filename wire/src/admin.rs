//! The door for operators: HTTP by hyper on a thread of its own, so that it answers while every core
//! is busy.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header, request::Parts};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

/// An answer, whole or streamed.
pub type Reply = Response<BoxBody<Bytes, Infallible>>;

/// A part of the admin interface.
pub trait Page: Send + Sync {
    /// Answers, or leaves the request to the next page. Does not wait; what takes time is streamed.
    fn handle(&self, request: &Parts) -> Option<Reply>;
}

/// The running admin listener.
#[derive(Debug)]
pub struct Admin {
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Admin {
    /// Listens on `address` and asks `pages` in their order.
    ///
    /// # Errors
    /// As bind(2).
    pub fn start(address: SocketAddr, pages: Vec<Arc<dyn Page>>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let thread = Builder::new().name("admin".to_owned()).spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => accept(listener, pages.into(), stopped).await,
                    Err(error) => tracing::error!(%error, "the admin listener is lost"),
                }
            });
        })?;
        Ok(Self { thread, stop, address })
    }

    /// Stops at once; streams are cut.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the admin thread ended by a panic");
        }
    }
}

async fn accept(
    listener: TcpListener,
    pages: Arc<[Arc<dyn Page>]>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "an admin connection was not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let pages = Arc::clone(&pages);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let reply = answer(&pages, request);
                async move { Ok::<_, Infallible>(reply) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "an admin connection broke");
            }
        });
    }
}

fn answer(pages: &[Arc<dyn Page>], request: Request<Incoming>) -> Reply {
    let (parts, _) = request.into_parts();
    pages
        .iter()
        .find_map(|page| page.handle(&parts))
        .unwrap_or_else(|| problem(StatusCode::NOT_FOUND, "there is no such page"))
}

/// `value` as JSON.
pub fn json(value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(text) => whole("application/json", text),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// A whole body.
pub fn whole(content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()).boxed());
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    reply
}

/// A body that goes on for as long as somebody sends and the reader stays.
pub fn stream(content_type: &'static str, mut pieces: mpsc::Receiver<Bytes>) -> Reply {
    let frames = futures_util::stream::poll_fn(move |cx| {
        pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    });
    let mut reply = Response::new(BodyExt::boxed(StreamBody::new(frames)));
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    reply
}

/// What went wrong, as RFC 9457 has it.
pub fn problem(status: StatusCode, detail: &str) -> Reply {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("error"),
        "status": status.as_u16(),
        "detail": detail,
    });
    let mut reply = whole("application/problem+json", body.to_string());
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
