//! From a connection to a page, or to a call of the API.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::args::AdminConfig;
use super::guard::Caller;
use super::reply::{Reply, problem};
use crate::listen::{self, Address, Listener};

/// Operators and scrapers, not clients: more at a time wait to be accepted.
const CONNECTIONS: usize = 256;

/// For a handshake, for a head, and for a body: each.
const CLOCK: Duration = Duration::from_secs(30);

/// The largest body: some thousand objects of a usual size.
const BODY_BYTES: usize = 8 << 20;

/// A part of the admin interface that answers at once.
pub trait Page: Send + Sync {
    /// Answers, or leaves the request to the next page. Does not wait; what takes time is streamed.
    fn handle(&self, request: &Parts) -> Option<Reply>;
}

/// What is under way until it is answered. Dropped when the caller leaves.
pub type Pending = Pin<Box<dyn Future<Output = Reply>>>;

/// The part that reads bodies and may wait.
pub trait Api: Send + Sync {
    /// Answers what no page has answered.
    fn call(self: Arc<Self>, call: Call) -> Pending;
}

/// A request, let through.
#[derive(Debug)]
pub struct Call {
    /// Method, target, fields.
    pub head: Parts,
    /// None where nobody was asked who they are: for probes.
    pub caller: Option<Caller>,
    body: Incoming,
}

impl Call {
    /// The whole body, up to 8 MiB and for 30 s.
    ///
    /// # Errors
    /// What a caller is answered whose body is longer, slower, or cut.
    pub async fn read(&mut self) -> Result<Bytes, (StatusCode, String)> {
        let limited = Limited::new(&mut self.body, BODY_BYTES);
        match timeout(CLOCK, limited.collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err((
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a body has at most {BODY_BYTES} bytes: send it in parts"),
            )),
            Ok(Err(error)) => {
                Err((StatusCode::BAD_REQUEST, format!("the body ends early: {error}")))
            }
            Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "the body does not come".to_owned())),
        }
    }
}

/// The running admin listener.
#[derive(Debug)]
pub struct Admin {
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
    /// Where it listens.
    pub address: Address,
    is_encrypted: bool,
}

/// Who answers.
struct Desk {
    config: AdminConfig,
    pages: Vec<Arc<dyn Page>>,
    api: Option<Arc<dyn Api>>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Admin {
    /// Listens, and asks `pages` in their order, then `api`.
    ///
    /// # Errors
    /// As bind(2).
    pub fn start(
        config: AdminConfig,
        pages: Vec<Arc<dyn Page>>,
        api: Option<Arc<dyn Api>>,
    ) -> io::Result<Self> {
        let (mut listeners, address) = listen::bind(&config.address, 1)?;
        let listener = listeners.pop().expect("one was asked for");
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let is_encrypted = config.tls.is_some();
        let (stop, stopped) = watch::channel(false);
        let thread = Builder::new().name("admin".to_owned()).spawn(move || {
            let desk = Rc::new(Desk { config, pages, api });
            let local = LocalSet::new();
            local.block_on(&runtime, async move {
                tokio::task::spawn_local(desk.config.follow());
                let socket = match listener {
                    Listener::Tcp(tcp) => TcpListener::from_std(tcp).map(Socket::Tcp),
                    Listener::Unix(unix) => UnixListener::from_std(unix).map(Socket::Unix),
                };
                match socket {
                    Ok(socket) => accept(socket, desk, stopped).await,
                    Err(error) => tracing::error!(%error, "the admin listener is lost"),
                }
            });
        })?;
        Ok(Self { thread, stop, address, is_encrypted })
    }

    /// Where a person finds it.
    pub fn url(&self) -> String {
        match &self.address {
            Address::Tcp(address) if self.is_encrypted => format!("https://{address}"),
            Address::Tcp(address) => format!("http://{address}"),
            path @ Address::Unix(_) => path.to_string(),
        }
    }

    /// Stops at once; streams are cut.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.thread.join().is_err() {
            tracing::error!("the admin thread ended by a panic");
        }
    }
}

async fn accept(socket: Socket, desk: Rc<Desk>, mut stopped: watch::Receiver<bool>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stopped = std::pin::pin!(stopped.wait_for(|stop| *stop));
    loop {
        let next = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            let seat = seat.expect("the semaphore is never closed");
            let desk = Rc::clone(&desk);
            match &socket {
                Socket::Tcp(tcp) => {
                    let (stream, _) = tcp.accept().await?;
                    tokio::task::spawn_local(async move {
                        welcome(stream, desk).await;
                        drop(seat);
                    });
                }
                Socket::Unix(unix) => {
                    let (stream, _) = unix.accept().await?;
                    tokio::task::spawn_local(async move {
                        welcome(stream, desk).await;
                        drop(seat);
                    });
                }
            }
            io::Result::Ok(())
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            _ = &mut stopped => return,
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "an admin connection was not accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Encrypts where that is asked for, then serves.
async fn welcome(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, desk: Rc<Desk>) {
    let Some(tls) = &desk.config.tls else { return serve(stream, None, desk).await };
    let acceptor = TlsAcceptor::from(tls.server());
    match timeout(CLOCK, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates();
            let certificate = shown.and_then(|chain| chain.first().cloned());
            serve(stream, certificate.map(CertificateDer::into_owned), desk).await;
        }
        Ok(Err(error)) => tracing::warn!(%error, "an operator's handshake failed"),
        Err(_) => tracing::debug!("an operator's handshake took too long"),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    certificate: Option<CertificateDer<'static>>,
    desk: Rc<Desk>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let pending = desk.answer(request, certificate.as_ref());
        async move { Ok::<_, Infallible>(pending.await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(CLOCK);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "an admin connection broke");
    }
}

impl Desk {
    fn answer(
        &self,
        request: Request<Incoming>,
        certificate: Option<&CertificateDer<'_>>,
    ) -> Pending {
        let ready = |reply| -> Pending { Box::pin(std::future::ready(reply)) };
        let (head, body) = request.into_parts();
        let caller = match self.config.guard.admit(&head, certificate) {
            Ok(caller) => caller,
            Err(refusal) => return ready(*refusal),
        };
        if let Some(reply) = self.pages.iter().find_map(|page| page.handle(&head)) {
            return ready(reply);
        }
        match &self.api {
            Some(api) => Arc::clone(api).call(Call { head, caller, body }),
            None => ready(problem(StatusCode::NOT_FOUND, "there is no such page")),
        }
    }
}
