//! From a connection to a session: the handshake, within its clock.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::Stream;
use crate::ticker::Ticker;
use crate::tls::server::Server;
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
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The client does not speak TLS, but begins as a request of HTTP does. Some of that was read, and nothing answered.
    #[error("a request without TLS came to a port for TLS")]
    Plain(Stream),
    /// The handshake took too long.
    #[error("the handshake was not complete within its clock")]
    TooSlow,
    /// The client left.
    #[error("the client left during the handshake")]
    Gone(#[source] io::Error),
    /// The two cannot agree, or the client breaks the protocol. It has been told.
    #[error("the handshake failed")]
    Failed(#[source] io::Error),
}

/// Shakes hands. Cancel safe in that a client is left where it is.
///
/// # Errors
/// [`Refused`].
pub async fn accept(
    stream: Stream,
    server: &Server,
    clock: Duration,
    ticker: &Ticker,
) -> Result<Shaken, Refused> {
    let session = Session::new(server).map_err(|error| Refused::Failed(io::Error::other(error)))?;
    let mut tls = Tls::new(stream, session);
    let timer = ticker.timer();
    timer.set(Instant::now() + clock);
    let mut is_first = true;
    let shaken = poll_fn(|cx| match poll_shake(&mut tls, &mut is_first, cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await;
    match shaken {
        None => Err(Refused::TooSlow),
        Some(Ok(())) => {
            let (is_http2, is_resumed) = (tls.session().is_http2(), tls.session().is_resumed());
            Ok(Shaken { stream: Stream::Tls(Box::new(tls)), is_http2, is_resumed })
        }
        Some(Err(error)) => Err(match error.kind() {
            io::ErrorKind::Unsupported => Refused::Plain(tls.into_under()),
            io::ErrorKind::InvalidData => Refused::Failed(error),
            _ => Refused::Gone(error),
        }),
    }
}

fn poll_shake(tls: &mut Tls, is_first: &mut bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while !tls.session().is_open() {
        if ready!(tls.poll_handshake(cx, *is_first))? == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        *is_first = false;
    }
    Poll::Ready(Ok(()))
}
