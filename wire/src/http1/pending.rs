//! Bytes for one side that it has not taken yet. Empty, and without memory, most of the time.

use std::io;
use std::task::{Context, Poll, ready};

use crate::{Stream, scratch};

/// Waits to be written.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    sent: usize,
}

impl Pending {
    /// Starts with `bytes`.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, sent: 0 }
    }

    /// True when all has been written.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == self.sent
    }

    /// True when a part has been written: what follows on the stream must be the rest.
    pub(super) fn is_begun(&self) -> bool {
        self.sent > 0
    }

    /// What has not been written.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Where more can be put behind what waits.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = scratch::take();
        }
        &mut self.bytes
    }

    /// Takes `count` bytes off the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.sent += count;
        if self.is_empty() {
            self.bytes.clear();
            self.sent = 0;
        }
    }

    /// Writes once; ready with the count, which is 0 only when nothing waited.
    pub(super) fn poll_flush(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let count = ready!(stream.poll_write(cx, self.rest()))?;
        self.consume(count);
        Poll::Ready(Ok(count))
    }

    /// Writes what waits and `bytes` behind it in one call, and keeps what the stream does not take. Gives
    /// the count of bytes written. A stream that takes nothing now is asked again by
    /// [`poll_flush`](Self::poll_flush).
    ///
    /// # Errors
    /// As send(2).
    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> io::Result<usize> {
        let count = match stream.poll_write_both(cx, self.rest(), bytes) {
            Poll::Ready(result) => result?,
            Poll::Pending => 0,
        };
        let of_waiting = count.min(self.rest().len());
        self.consume(of_waiting);
        let left = &bytes[count - of_waiting..];
        if !left.is_empty() {
            self.buffer().extend_from_slice(left);
        }
        Ok(count)
    }

    /// All bytes, written or not.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        scratch::give(std::mem::take(&mut self.bytes));
    }
}
