//! The conversation with a function: CONNECT makes a tunnel, a request by its whole URL is passed on.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hatchway_proto::catalog::Destination;
use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{client, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::Guest;
use super::metered::Metered;
use super::refusal::Refusal;

/// For a head of the function's: it is next door, and may keep a connection for its next request.
const HEAD_CLOCK: Duration = Duration::from_secs(60);

/// The longest head of either side; hyper takes no less.
const HEAD_BYTES: usize = 16 << 10;

/// How long nothing may move through a tunnel or a request before it ends.
const IDLE_CLOCK: Duration = Duration::from_secs(300);

/// After a connection could not be accepted: this process has too many open.
const PAUSE: Duration = Duration::from_millis(100);

/// What holds between two neighbours only (RFC 9110 section 7.6.1), and what was never meant to be a field.
const BETWEEN_NEIGHBOURS: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Accepts what comes out of one sandbox, for as long as this is polled. Dropped, every connection ends.
pub(super) async fn serve(listener: TcpListener, guest: Arc<Guest>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, function = %guest.function, "no connection to the proxy");
                sleep(PAUSE).await;
                continue;
            }
        };
        // Beyond the limit the next ones wait in the listener, which is bounded.
        let place = Arc::clone(&guest.places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        while connections.try_join_next().is_some() {}
        let guest = Arc::clone(&guest);
        connections.spawn(async move {
            let _place = place;
            let _open = guest.metrics.open(&guest.function);
            attend(stream, &guest).await;
        });
    }
}

/// A tunnel that has been granted, and waits for its connection to have no more HTTP on it.
struct Tunnel {
    inner: OnUpgrade,
    outer: Metered,
}

/// One connection of a function: requests, or one CONNECT and what comes after it.
async fn attend(stream: TcpStream, guest: &Guest) {
    let tunnel = Mutex::new(None);
    let granted = &tunnel;
    let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
        let answered = match *request.method() {
            Method::CONNECT => grant(guest, request, granted).await,
            _ => pass_on(guest, request).await,
        };
        let result = answered.as_ref().map_or_else(Refusal::reason, |_| "ok");
        guest.metrics.count(&guest.function, result);
        Ok::<_, Infallible>(answered.unwrap_or_else(|refusal| refuse(&refusal)))
    });
    let served = server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_CLOCK)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, function = %guest.function, "a connection to the proxy broke");
    }
    if let Some(tunnel) = tunnel.into_inner().unwrap_or_else(PoisonError::into_inner) {
        tunnel.run().await;
    }
}

/// Connects first and says yes then: who is told 200 is connected.
async fn grant(
    guest: &Guest,
    mut request: Request<Incoming>,
    granted: &Mutex<Option<Tunnel>>,
) -> Result<Response<Body>, Refusal> {
    let authority = request.uri().authority();
    let authority = authority.ok_or_else(|| wrong("CONNECT names host and port"))?;
    let destination: Destination = authority.as_str().parse().map_err(Refusal::Request)?;
    let outer = guest.connect(&destination).await?;
    let inner = hyper::upgrade::on(&mut request);
    *granted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Tunnel { inner, outer });
    Ok(Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync()))
}

impl Tunnel {
    /// Moves bytes until both sides have ended, or nothing moves any more.
    async fn run(self) {
        let Ok(inner) = self.inner.await else { return };
        let (mut inner, mut outer) = (TokioIo::new(inner), self.outer);
        let activity = outer.activity();
        tokio::select! {
            // How a tunnel ends is between its two ends.
            _ = copy_bidirectional(&mut inner, &mut outer) => {}
            () = activity.ceases(IDLE_CLOCK) => {}
        }
    }
}

/// Passes a request on to a connection of its own, and the answer back.
async fn pass_on(guest: &Guest, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let destination = origin(request.uri())?;
    let outer = guest.connect(&destination).await?;
    let broken = |source: hyper::Error| Refusal::Unreachable {
        destination: destination.clone(),
        source: std::io::Error::other(source),
    };
    let activity = outer.activity();
    let (mut sender, connection) = client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .handshake(TokioIo::new(outer))
        .await
        .map_err(&broken)?;
    let driven = tokio::spawn(async move {
        tokio::select! {
            // Its error is told to whoever waits for the answer or its body.
            _ = connection => {}
            () = activity.ceases(IDLE_CLOCK) => {}
        }
    });
    let driver = Driver(driven.abort_handle());
    let answer = sender.send_request(outward(request)?).await.map_err(broken)?;
    let (mut head, body) = answer.into_parts();
    remove_neighbourly(&mut head.headers);
    // Whoever drops the body ends the connection that it comes from.
    let body = body.map_frame(move |frame| {
        let _ = &driver;
        frame
    });
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

/// Ends the connection that it drives when it is dropped.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where a request goes that is not a CONNECT.
fn origin(uri: &Uri) -> Result<Destination, Refusal> {
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong("this is a proxy: name the whole URL, or CONNECT to host and port"));
    };
    if scheme != "http" {
        return Err(wrong("only http:// is passed on: use CONNECT for everything else"));
    }
    if authority.as_str().contains('@') {
        return Err(wrong("a URL with a user name in it is not passed on"));
    }
    let port = match authority.port() {
        Some(port) => port.as_str().parse().ok().filter(|port| *port > 0),
        None => Some(80),
    };
    let port = port.ok_or_else(|| wrong("a port is a number from 1 to 65535"))?;
    Ok(Destination { host: authority.host().parse().map_err(Refusal::Request)?, port })
}

fn wrong(why: &str) -> Refusal {
    Refusal::Request(why.to_owned())
}

/// The request as the server wants it: its target without the host, which goes into its field (RFC 9112 section 3.2.2).
fn outward(request: Request<Incoming>) -> Result<Request<Incoming>, Refusal> {
    let (mut head, body) = request.into_parts();
    remove_neighbourly(&mut head.headers);
    let authority = head.uri.authority().map(|authority| authority.as_str().to_owned());
    let host = HeaderValue::try_from(authority.unwrap_or_default());
    head.headers.insert(HOST, host.map_err(|_| wrong("the host cannot stand in a field"))?);
    head.headers.append(http::header::VIA, HeaderValue::from_static("1.1 hatchway"));
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    head.uri = target.parse().map_err(|_| wrong("the URL has no path"))?;
    head.version = Version::HTTP_11;
    Ok(Request::from_parts(head, body))
}

/// Takes out the fields that are meant for us, those among them that `Connection` names.
fn remove_neighbourly(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = fields
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        fields.remove(name);
    }
    for name in BETWEEN_NEIGHBOURS {
        fields.remove(name);
    }
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    let failure = refusal.failure();
    tracing::debug!(reason = failure.reason, detail = %failure.detail, "refused by the proxy");
    let status = StatusCode::from_u16(failure.status).expect("refusals have statuses of HTTP");
    let body = failure.problem("", status.canonical_reason().unwrap_or("error"));
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let fields = response.headers_mut();
    let problem = HeaderValue::from_static("application/problem+json");
    fields.insert(http::header::CONTENT_TYPE, problem);
    let proxy_status = HeaderValue::try_from(failure.proxy_status());
    fields.insert("proxy-status", proxy_status.expect("tokens and words of ours"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(uri: &str) -> Result<String, String> {
        let origin = origin(&uri.parse().expect(uri));
        origin.map(|to| to.to_string()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_request_goes_where_its_url_says() {
        assert_eq!(told("http://api.example.com/a?b"), Ok("api.example.com:80".to_owned()));
        assert_eq!(told("http://API.example.com:8080"), Ok("api.example.com:8080".to_owned()));
        assert_eq!(told("http://[::1]:81/"), Ok("[::1]:81".to_owned()));
        for (uri, why) in [
            ("/hello", "whole URL"),
            ("https://api.example.com/", "use CONNECT"),
            ("http://api.example.com:0/", "a port is"),
            ("http://user@api.example.com/", "user name"),
            ("http://2130706433/", "ends in a number"),
        ] {
            let error = told(uri).expect_err(uri);
            assert!(error.contains(why), "{uri}: {error}");
        }
    }

    #[test]
    fn what_holds_between_neighbours_goes_no_further() {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-secret"),
            ("x-secret", "1"),
            ("proxy-authorization", "Basic eDp5"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ] {
            fields.append(name, HeaderValue::from_static(value));
        }
        remove_neighbourly(&mut fields);
        assert_eq!(fields.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
