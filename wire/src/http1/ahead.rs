//! What a client has sent before it could be used: part of a head, of a body, or the next request.

use std::io;
use std::task::{Context, Poll, ready};

use crate::{Stream, scratch};

/// What a client may send while nobody reads it: the next heads, or the start of a body.
const AHEAD_BYTES: usize = 64 * 1024;

/// Bytes of one client, in their order. Owns no memory while it is empty.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: Vec<u8>,
    used: usize,
}

impl Ahead {
    pub(super) fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    /// What was read and not used.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// Adds what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = scratch::take();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes `count` bytes off the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.used += count;
        if self.is_empty() {
            self.clear();
        }
    }

    /// All bytes, for another owner.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..std::mem::take(&mut self.used));
        bytes
    }

    /// Forgets all bytes, and gives the memory back.
    pub(super) fn clear(&mut self) {
        scratch::give(std::mem::take(&mut self.bytes));
        self.used = 0;
    }

    /// Reads once, up to the bound; gives the count, 0 at the end. Pending without a waker once the bound
    /// is reached: whoever waits for the client alone must not call this then.
    ///
    /// # Errors
    /// As recv(2).
    pub(super) fn poll_fill(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let room = AHEAD_BYTES.saturating_sub(self.bytes().len());
        if room == 0 {
            return Poll::Pending;
        }
        scratch::with_scratch(|buffer| {
            let room = room.min(buffer.len());
            let count = ready!(stream.poll_read(cx, &mut buffer[..room]))?;
            self.push(&buffer[..count]);
            Poll::Ready(Ok(count))
        })
    }

    /// Reads all that is there, up to the bound; true when the client has left.
    pub(super) fn hears_end(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> bool {
        loop {
            match self.poll_fill(stream, cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0) | Err(_)) => return true,
                Poll::Ready(Ok(_)) => {}
            }
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.clear();
    }
}
