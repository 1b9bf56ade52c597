//! One direction of a tunnel.

use std::io;
use std::task::{Context, Poll, ready};

use crate::http1::frames::Farewell;
use crate::http1::pending::Pending;
use crate::{Stream, scratch};

/// Reads, writes, and passes the end on.
#[derive(Debug)]
pub(super) struct Copy {
    pending: Pending,
    /// Where somebody may have to say goodbye.
    farewell: Option<Farewell>,
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
        let pending = Pending::new(first);
        Self { pending, farewell: None, is_ended: false, is_shut: false, moved: 0 }
    }

    /// The same from a function to the client of its web socket.
    pub(super) fn with_farewell(first: Vec<u8>) -> Self {
        Self { farewell: Some(Farewell::after(&first)), ..Self::new(first) }
    }

    /// Tells the client that this end goes away, as soon as it may, and passes nothing on from then.
    pub(super) fn leave(&mut self) {
        if let Some(farewell) = &mut self.farewell {
            farewell.begin();
        }
        self.say_goodbye();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.farewell.as_ref().is_some_and(Farewell::has_begun)
    }

    fn say_goodbye(&mut self) {
        if let Some(goodbye) = self.farewell.as_mut().and_then(Farewell::take)
            && !self.is_ended
        {
            self.pending.buffer().extend_from_slice(&goodbye);
        }
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
        let bytes = &buffer[..count];
        let passed = self.farewell.as_mut().map_or(count, |farewell| farewell.pass(bytes));
        if passed > 0 {
            let sent = self.pending.send(&bytes[..passed], to, cx).map_err(Side::To)?;
            self.moved += sent as u64;
        }
        self.say_goodbye();
        Poll::Ready(Ok(()))
    }
}
