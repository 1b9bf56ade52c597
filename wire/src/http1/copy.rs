//! One direction of a tunnel.

use std::io;
use std::task::{Context, Poll, ready};

use crate::http1::pending::Pending;
use crate::{Stream, scratch};

/// Reads, writes, and passes the end on.
#[derive(Debug)]
pub(super) struct Copy {
    pending: Pending,
    is_ended: bool,
    is_shut: bool,
    /// Bytes written.
    pub(super) moved: u64,
}

/// Which side broke.
#[derive(Debug)]
pub(super) enum Side {
    From(io::Error),
    To(io::Error),
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
    ) -> Poll<Result<(), Side>> {
        loop {
            while !self.pending.is_empty() {
                let count = ready!(self.pending.poll_flush(to, cx)).map_err(Side::To)?;
                self.moved += count as u64;
            }
            if self.is_shut {
                return Poll::Ready(Ok(()));
            }
            if self.is_ended {
                ready!(to.poll_shutdown(cx)).map_err(Side::To)?;
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
    ) -> Poll<Result<(), Side>> {
        let count = ready!(from.poll_read(cx, buffer)).map_err(Side::From)?;
        self.is_ended = count == 0;
        if count > 0 {
            let sent = self.pending.send(&buffer[..count], to, cx).map_err(Side::To)?;
            self.moved += sent as u64;
        }
        Poll::Ready(Ok(()))
    }
}
