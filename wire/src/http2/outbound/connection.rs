//! One connection to a function, shared by all requests of a core.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use tokio::time::Instant;

use super::{Outbound, broken};
use crate::Stream;
use crate::http2::line::Line;

/// Bytes of an answer that a function may send before its client has taken any: what a request buffers.
const STREAM_WINDOW: u32 = 64 * 1024;
/// As large as it gets: each request is bounded by its own window, and a client that does not read stops nobody else.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Bytes of a request that wait for the function, beyond its window.
const SEND_BUFFER: usize = 64 * 1024;
/// As large as a head over HTTP/1.1 may be.
const HEAD_BYTES: u32 = 64 * 1024;

/// A hand on the connection. Cheap to clone; the connection ends once all hands are gone and all requests are over.
#[derive(Clone)]
pub struct Shared {
    send: SendRequest<Bytes>,
    is_over: Rc<Cell<bool>>,
}

impl Shared {
    /// Begins to speak HTTP/2 on `stream`, and starts the task of this core that moves its frames.
    ///
    /// # Errors
    /// As send(2).
    pub async fn open(stream: Stream) -> io::Result<Self> {
        let line = Line::to_function(stream);
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_BYTES)
            .max_send_buffer_size(SEND_BUFFER);
        let (send, connection) = builder.handshake(line.clone()).await.map_err(broken)?;
        let is_over = Rc::new(Cell::new(false));
        tokio::task::spawn_local(drive(connection, line, Rc::clone(&is_over)));
        Ok(Self { send, is_over })
    }

    /// True once the function takes no more requests on it.
    pub fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// A request, which the caller writes as HTTP/1.1. `deadline`: when its client stops waiting; the function is told how long that is.
    pub fn request(&self, deadline: Option<Instant>) -> Outbound {
        Outbound::new(self.clone(), deadline)
    }

    /// Ready when another request may begin.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(self.send.poll_ready(cx));
        Poll::Ready(result.map_err(|error| {
            self.is_over.set(true);
            broken(error)
        }))
    }

    pub(super) fn sender(&mut self) -> &mut SendRequest<Bytes> {
        &mut self.send
    }
}

/// Moves frames until the connection is over. Runs behind the requests that were ready, so that one write carries what all of
/// them have said.
async fn drive(mut connection: Connection<Line, Bytes>, line: Line, is_over: Rc<Cell<bool>>) {
    poll_fn(|cx| {
        let polled = Pin::new(&mut connection).poll(cx).map(|result| {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection to a function broke");
            }
        });
        match line.poll_drain(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) | Poll::Pending => polled,
        }
    })
    .await;
    is_over.set(true);
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
