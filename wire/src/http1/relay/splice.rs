//! A body of declared length that nobody has to look at: it goes through the kernel alone.

use std::io;
use std::task::{Context, Poll, ready};

use hatchway_proto::http1::BodyDecoder;

use crate::Stream;
use crate::http1::copy::Side;
use crate::pipe::{Pipe, is_plain};

/// One direction.
#[derive(Debug)]
pub(super) struct Splice {
    pipe: Pipe,
    /// Bytes that have arrived.
    pub(super) moved: u64,
}

impl Splice {
    /// Where it pays: at least `at_least` bytes are to come between two plain sockets, and a pipe is free.
    pub(super) fn begin(
        body: &BodyDecoder,
        from: &Stream,
        to: &Stream,
        at_least: u64,
    ) -> Option<Self> {
        let is_long = body.remaining().is_some_and(|left| left >= at_least.max(1));
        if !(is_long && is_plain(from) && is_plain(to)) {
            return None;
        }
        Some(Self { pipe: Pipe::take()?, moved: 0 })
    }

    /// True while bytes are on their way that `to` has not taken.
    pub(super) fn is_holding(&self) -> bool {
        !self.pipe.is_empty()
    }

    /// Moves what can be moved; ready once the body is over.
    ///
    /// # Errors
    /// The side that broke: `UnexpectedEof` for a body that ends too early.
    pub(super) fn poll(
        &mut self,
        body: &mut BodyDecoder,
        from: &Stream,
        to: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Side>> {
        loop {
            while self.is_holding() {
                let count = ready!(self.pipe.poll_drain(to, cx)).map_err(Side::To)?;
                self.moved += count as u64;
            }
            if body.is_done() {
                return Poll::Ready(Ok(()));
            }
            let count = ready!(self.pipe.poll_fill(from, body.data_ahead(), cx));
            match count.map_err(Side::From)? {
                0 => return Poll::Ready(Err(Side::From(io::ErrorKind::UnexpectedEof.into()))),
                count => body.skip(count as u64),
            }
        }
    }
}
