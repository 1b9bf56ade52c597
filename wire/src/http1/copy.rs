//! Bytes that one side has sent and the other has not taken yet.

use std::io;
use std::task::{Context, Poll, ready};

use crate::{Stream, scratch};

/// Waits to be written. Empty, and without memory, most of the time.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
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

    /// Writes what is left; ready once nothing is.
    pub(super) fn poll_flush(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        while !self.is_empty() {
            match stream.poll_write(cx, &self.bytes[self.sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.sent += count;
                    written += count;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if written > 0 => return Poll::Ready(Ok(written)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.bytes.clear();
        self.sent = 0;
        Poll::Ready(Ok(written))
    }

    /// Writes `bytes` at once and keeps what the stream does not take. Only while nothing else waits.
    pub(super) fn poll_send(
        &mut self,
        bytes: &[u8],
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        debug_assert!(self.is_empty(), "bytes must not overtake others");
        let taken = match stream.poll_write(cx, bytes) {
            Poll::Ready(result) => result?,
            Poll::Pending => 0,
        };
        if taken < bytes.len() {
            if self.bytes.capacity() == 0 {
                self.bytes = scratch::take();
            }
            self.bytes.extend_from_slice(&bytes[taken..]);
        }
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        scratch::give(std::mem::take(&mut self.bytes));
    }
}

/// One direction of a tunnel: reads, writes, and passes the end on.
#[derive(Debug)]
pub(super) struct Copy {
    pending: Pending,
    is_ended: bool,
    is_shut: bool,
    pub(super) moved: u64,
}

impl Copy {
    /// `first` is what was read already.
    pub(super) fn new(first: Vec<u8>) -> Self {
        Self { pending: Pending::new(first), is_ended: false, is_shut: false, moved: 0 }
    }

    /// Moves what can be moved; ready once the end has been passed on.
    pub(super) fn poll(
        &mut self,
        from: &mut Stream,
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.pending.is_empty() {
                let count = ready!(self.pending.poll_flush(to, cx))?;
                self.moved += count as u64;
            }
            if self.is_shut {
                return Poll::Ready(Ok(()));
            }
            if self.is_ended {
                ready!(to.poll_shutdown(cx))?;
                self.is_shut = true;
                continue;
            }
            ready!(scratch::with_scratch(|buffer| self.poll_step(from, to, buffer, cx)))?;
        }
    }

    fn poll_step(
        &mut self,
        from: &mut Stream,
        to: &mut Stream,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let count = ready!(from.poll_read(cx, buffer))?;
        self.is_ended = count == 0;
        if count > 0 {
            self.pending.poll_send(&buffer[..count], to, cx)?;
            self.moved += count as u64;
        }
        Poll::Ready(Ok(()))
    }
}
