//! From a connection to a session: the handshake, within its clock.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::Stream;
use crate::ticker::Ticker;
use crate::tls::certificates::Shown;
use crate::tls::clients::Credential;
use crate::tls::server::{HTTP2, Server};
use crate::tls::session::Session;
use crate::tls::stream::Tls;

/// A client that has shaken hands.
#[derive(Debug)]
pub struct Shaken {
    /// Plain bytes from here on.
    pub stream: Stream,
    /// It chose HTTP/2; otherwise it said HTTP/1.1 or nothing.
    pub is_http2: bool,
    /// It came back with a ticket.
    pub is_resumed: bool,
    /// Which certificate it was shown, where there are several.
    pub shown: Option<Shown>,
    /// What it has shown itself, where it was asked.
    pub credential: Option<Box<Credential>>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The other end does not speak TLS, but HTTP or a link in plain text. Some of that was read, and nothing answered.
    #[error("the other end does not encrypt")]
    Plain(Stream),
    /// The handshake took too long.
    #[error("the handshake was not complete within its clock")]
    TooSlow,
    /// The other end left.
    #[error("the other end left during the handshake")]
    Gone(#[source] io::Error),
    /// The two cannot agree, or the other end breaks the protocol. It has been told.
    #[error("the handshake failed")]
    Failed(#[source] io::Error),
}

/// Shakes hands with a client. Cancel safe in that a client is left where it is.
///
/// # Errors
/// [`Refused`].
pub async fn accept(
    stream: Stream,
    server: &Server,
    clock: Duration,
    ticker: &Ticker,
) -> Result<Shaken, Refused> {
    let (config, choice) = server.for_client();
    let tls = shake(stream, Session::serve(&config), clock, ticker).await?;
    let is_http2 = tls.session().protocol() == Some(HTTP2);
    let is_resumed = tls.session().is_resumed();
    let shown = choice.and_then(|choice| choice.shown());
    let credential = tls.session().peer().map(|shown| Box::new(Credential::of(shown)));
    Ok(Shaken { stream: Stream::Tls(Box::new(tls)), is_http2, is_resumed, shown, credential })
}

/// Shakes hands over `stream`, whichever end `session` is.
pub(super) async fn shake(
    stream: Stream,
    session: Result<Session, rustls::Error>,
    clock: Duration,
    ticker: &Ticker,
) -> Result<Tls, Refused> {
    let session = session.map_err(|error| Refused::Failed(io::Error::other(error)))?;
    let mut tls = Tls::new(stream, session);
    let timer = ticker.timer();
    timer.set(Instant::now() + clock);
    let (mut is_greeted, mut is_first) = (false, true);
    let shaken = poll_fn(|cx| match poll_shake(&mut tls, &mut is_greeted, &mut is_first, cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await;
    match shaken {
        None => Err(Refused::TooSlow),
        Some(Ok(())) => Ok(tls),
        Some(Err(error)) => Err(match error.kind() {
            io::ErrorKind::Unsupported => Refused::Plain(tls.into_under()),
            io::ErrorKind::InvalidData => Refused::Failed(error),
            _ => Refused::Gone(error),
        }),
    }
}

fn poll_shake(
    tls: &mut Tls,
    is_greeted: &mut bool,
    is_first: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    if !*is_greeted {
        ready!(tls.poll_greet(cx))?;
        *is_greeted = true;
    }
    while !tls.session().is_open() {
        if ready!(tls.poll_handshake(cx, *is_first))? == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        *is_first = false;
    }
    Poll::Ready(Ok(()))
}
