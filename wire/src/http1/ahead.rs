//! What a client has sent before it could be used: part of a head, of a body, or the next request.

use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use crate::{Stream, scratch};

/// What a client may send while nobody reads it: the next heads, or the start of a body.
const AHEAD_BYTES: usize = 64 * 1024;

/// From here on to change the scratch buffer costs less than to copy what is in it: most of a long body's first read.
const BLOCK_FROM: usize = 8 * 1024;

/// Bytes of one client, in their order. Owns no memory while it is empty.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: Held,
    used: usize,
}

/// Who owns them.
#[derive(Debug)]
enum Held {
    Copied(Vec<u8>),
    /// The buffer that they were read into, and where they end in it.
    Block(Box<[u8]>, usize),
}

impl Default for Held {
    fn default() -> Self {
        Self::Copied(Vec::new())
    }
}

impl Ahead {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// What was read and not used.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Held::Copied(bytes) => &bytes[self.used..],
            Held::Block(block, end) => &block[self.used..*end],
        }
    }

    /// Adds what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let owned = self.owned();
        if owned.capacity() == 0 {
            *owned = scratch::take();
        }
        owned.extend_from_slice(bytes);
    }

    /// Adds what lies at `range` of the scratch buffer since the step before, whatever of it the caller has not used.
    pub(super) fn push_scratch(&mut self, range: Range<usize>) {
        if range.len() < BLOCK_FROM || !self.is_empty() {
            return scratch::with_scratch(|buffer| self.push(&buffer[range]));
        }
        self.clear();
        self.used = range.start;
        self.bytes = Held::Block(scratch::take_block(), range.end);
    }

    /// The bytes as a vector, which may grow.
    fn owned(&mut self) -> &mut Vec<u8> {
        if let Held::Block(block, end) = &self.bytes {
            let mut copied = scratch::take();
            copied.extend_from_slice(&block[self.used..*end]);
            self.clear();
            self.bytes = Held::Copied(copied);
        }
        match &mut self.bytes {
            Held::Copied(bytes) => bytes,
            Held::Block(..) => unreachable!("a block was copied"),
        }
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
        let mut bytes = std::mem::take(self.owned());
        bytes.drain(..std::mem::take(&mut self.used));
        bytes
    }

    /// Forgets all bytes, and gives the memory back.
    pub(super) fn clear(&mut self) {
        match std::mem::take(&mut self.bytes) {
            Held::Copied(bytes) => scratch::give(bytes),
            Held::Block(block, _) => scratch::give_block(block),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], range: Range<usize>) -> Ahead {
        let mut ahead = Ahead::default();
        scratch::with_scratch(|buffer| buffer[..bytes.len()].copy_from_slice(bytes));
        ahead.push_scratch(range);
        // The next step of this core has the scratch buffer for itself.
        scratch::with_scratch(|buffer| buffer.fill(0));
        ahead
    }

    #[test]
    fn what_was_read_stays_as_it_was_however_long_it_is() {
        let bytes: Vec<u8> = (0..=255).cycle().take(3 * BLOCK_FROM).collect();
        for end in [20, BLOCK_FROM, BLOCK_FROM + 10, bytes.len()] {
            let mut ahead = read(&bytes, 10..end);
            assert_eq!(ahead.bytes(), &bytes[10..end]);
            ahead.consume(5);
            ahead.push(b"more");
            assert_eq!(ahead.bytes(), [&bytes[15..end], b"more"].concat());
            assert_eq!(ahead.take(), [&bytes[15..end], b"more"].concat());
            assert!(ahead.is_empty());
        }
    }

    #[test]
    fn a_buffer_that_is_used_up_serves_again() {
        let mut ahead = read(&vec![7; BLOCK_FROM], 0..BLOCK_FROM);
        let place = ahead.bytes().as_ptr();
        ahead.consume(BLOCK_FROM);
        assert!(matches!(&ahead.bytes, Held::Copied(bytes) if bytes.capacity() == 0));
        scratch::take_block();
        scratch::with_scratch(|buffer| assert_eq!(buffer.as_ptr(), place));
    }
}
