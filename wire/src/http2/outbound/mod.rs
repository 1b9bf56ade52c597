//! Requests to functions that speak HTTP/2 themselves, by prior knowledge.
//!
//! A request on such a [`connection`] looks like a [`Stream`](crate::Stream) of HTTP/1.1 to whoever relays: the bytes of
//! [`request`] become a stream's head, data and trailers, and what the function answers is read back by [`answer`] as a head,
//! chunks and trailers. So the relay, its clocks and its failures are those of every other function, a client of either version
//! reaches it, and a node does it for gateways in other processes as well. [`head`] translates heads.

mod answer;
mod connection;
mod head;
mod request;

use std::io;
use std::task::{Context, Poll};

use tokio::time::Instant;

pub use connection::Shared;

use answer::Answer;
use request::Request;

/// One request on a shared connection, as a stream of HTTP/1.1 bytes. Dropped before its end, it cancels: the function is sent
/// a reset, and other requests on the connection do not notice.
#[derive(Debug)]
pub struct Outbound {
    request: Request,
    answer: Answer,
}

impl Outbound {
    fn new(shared: Shared, deadline: Option<Instant>) -> Self {
        Self { request: Request::new(shared, deadline), answer: Answer::default() }
    }

    /// Takes bytes of the request, as many as the function has room for.
    ///
    /// # Errors
    /// The function does not take it, or does not take the rest of it.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.request.poll_write(cx, bytes);
        if let Some(begun) = self.request.take_begun() {
            self.answer.expect(begun);
        }
        written
    }

    /// Gives bytes of the answer; what is read here is what the function gets room for.
    ///
    /// # Errors
    /// The function reset the stream, or its connection broke.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.answer.poll_read(cx, buffer)
    }
}

/// An error of `h2` as one of a stream. [`is_reset`] finds it again.
fn broken(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into());
    }
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}

/// True for an error by which the function ended this request alone: its connection, and so its process, is well.
pub fn is_reset(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<h2::Error>());
    error.is_some_and(h2::Error::is_reset)
}
