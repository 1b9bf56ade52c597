//! The bytes below an HTTP/2 connection: what was read before it was known to be one, and one write a turn.
//!
//! The `h2` crate flushes after every few frames. Here a flush is a promise: frames gather in a bounded buffer, and
//! the connection writes once when all streams that are ready have added theirs. That halves the system calls.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::http2::glitches::Glitches;
use crate::http2::settings::Settings;
use crate::{Stream, scratch, ticker};

/// Frames that gather before they are written at once: what a socket takes in one call.
const BATCH_BYTES: usize = 64 * 1024;

/// A connection in the hands of `h2` and of its owner, who writes what has gathered.
#[derive(Clone, Debug)]
pub(super) struct Line(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    stream: Stream,
    /// Read before `h2` came, and how much of it was used.
    read: Vec<u8>,
    used: usize,
    /// To be written, and how much of it was.
    out: Vec<u8>,
    sent: usize,
    /// When the client last took something, or had nothing to take.
    taken_at: Instant,
    glitches: Glitches,
}

impl Line {
    /// To a client, of which `read` was read already.
    pub(super) fn new(stream: Stream, read: Vec<u8>, settings: &Settings) -> Self {
        let mut glitches = Glitches::new(settings, Instant::now());
        glitches.received(&read);
        Self::with(stream, read, glitches)
    }

    /// To a function. What it sends, it pays for with its own share of the cores: it is not counted.
    pub(super) fn to_function(stream: Stream) -> Self {
        Self::with(stream, Vec::new(), Glitches::unlimited())
    }

    fn with(stream: Stream, read: Vec<u8>, glitches: Glitches) -> Self {
        let taken_at = Instant::now();
        let inner = Inner { stream, read, used: 0, out: Vec::new(), sent: 0, taken_at, glitches };
        Self(Rc::new(RefCell::new(inner)))
    }

    /// True once the client has sent more frames that bring nothing than it may.
    pub(super) fn has_glitches(&self) -> bool {
        self.0.borrow().glitches.is_over()
    }

    /// Since when the client has not taken what is there for it; none when nothing is.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        let inner = self.0.borrow();
        (!inner.out.is_empty()).then_some(inner.taken_at)
    }

    /// Writes what has gathered. Pending while the client does not take it.
    ///
    /// # Errors
    /// As send(2).
    pub(super) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_drain(cx)
    }

    /// Closes, once nobody else has a hand on this.
    pub(super) fn close(self) {
        if let Some(inner) = Rc::into_inner(self.0) {
            inner.into_inner().stream.close();
        }
    }
}

impl Inner {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            self.sent += ready!(self.stream.poll_write(cx, &self.out[self.sent..]))?;
            self.taken_at = ticker::recent();
        }
        self.sent = 0;
        scratch::give(std::mem::take(&mut self.out));
        Poll::Ready(Ok(()))
    }

    fn poll_append(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.out.len() >= BATCH_BYTES {
            ready!(self.poll_drain(cx))?;
        }
        if self.out.is_empty() {
            self.out = scratch::take_large();
            self.taken_at = ticker::recent();
        }
        self.out.extend_from_slice(bytes);
        self.glitches.sent(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let ahead = &self.read[self.used..];
        if ahead.is_empty() {
            let before = into.filled().len();
            ready!(self.stream.poll_read_buf(cx, into))?;
            self.glitches.received(&into.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        let count = ahead.len().min(into.remaining());
        into.put_slice(&ahead[..count]);
        self.used += count;
        if self.used == self.read.len() {
            self.used = 0;
            scratch::give(std::mem::take(&mut self.read));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, into)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_append(cx, bytes)
    }

    /// Ready at once: the connection's owner writes at the end of its turn.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_drain(cx))?;
        inner.stream.poll_shutdown(cx)
    }
}
