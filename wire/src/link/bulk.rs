//! Long bodies of answers, which neither end of a link looks at: they go from socket to socket by way of a pipe (splice(2)),
//! around the memory of both programs.
//!
//! A node moves what its function has said into a pipe, says in the front of a DATA frame how much that is, and leaves the pipe
//! in its place among the frames that are written. A gateway reads the front alone, and moves what follows into the pipe of the
//! call, out of which its reader moves it on. What does not fit into a pipe, or comes while there is something to be read before
//! it, goes through memory as everything else: whoever reads a call takes its pipe first and then its memory.

use std::io;
use std::task::{Context, Poll, ready};

use hatchway_proto::link::frame::DataFront;
use hatchway_proto::link::{Cancel, FRAME_BYTES, frame};

use super::call::{Broken, Call};
use super::cell::Cell;
use super::shared::Shared;
use crate::Stream;
use crate::pipe::{self, Pipe, is_plain};

/// What is shorter is read with whatever follows it.
pub(super) const LONG_BYTES: usize = 16 * 1024;

impl Call {
    /// True where bytes can take the short way.
    pub(crate) fn is_plain(&self) -> bool {
        self.offer.is_none() && self.shared.stream.borrow().as_ref().is_some_and(is_plain)
    }

    /// Node: ready once bytes would be taken by [`Call::splice`], with how many; 0 while they have to be copied.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let state = &mut *self.shared.state.borrow_mut();
        let cell = &mut *self.cell.borrow_mut();
        if let Some(over) = cell.over {
            return Poll::Ready(Err(Broken::from(over).into()));
        }
        if cell.tells.is_some() || cell.refuses.is_some() {
            return Poll::Ready(Ok(0));
        }
        let has_room = state.out.waiting() <= self.shared.settings.out_bytes / 2;
        if has_room && !state.out.is_piped() && cell.flow.room() > 0 {
            return Poll::Ready(Ok(cell.flow.room().min(FRAME_BYTES)));
        }
        cell.writer = Some(cx.waker().clone());
        if !has_room || state.out.is_piped() {
            state.wait_for_room(&self.cell, cell);
        }
        Poll::Pending
    }

    /// Node: sends all that a pipe holds. There is [room](Call::poll_room) for it.
    pub(crate) fn splice(&self, pipe: Pipe) {
        let state = &mut *self.shared.state.borrow_mut();
        let cell = &mut *self.cell.borrow_mut();
        cell.flow.sent(pipe.held());
        cell.last_frame = Some(state.out.position());
        frame::encode_data_front(state.out.buffer(), cell.id, pipe.held());
        if let Some(stream) = self.shared.stream.borrow_mut().as_mut() {
            state.out.write_pipe(stream, pipe);
        }
        if state.out.waiting() > 0 {
            state.wake_driver();
        }
    }

    /// Gateway: what comes from now on may come through a pipe, for its reader asks for it by [`Call::poll_drain`].
    pub(crate) fn take_pipes(&self, are_taken: bool) {
        self.cell.borrow_mut().takes_pipes = are_taken;
    }

    /// Gateway: true while the pipe holds what is to be read next.
    pub(crate) fn is_piped(&self) -> bool {
        self.cell.borrow().is_piped()
    }

    /// Gateway: moves what the pipe holds, `most` bytes of it, to `to`; gives how many it has taken.
    ///
    /// # Errors
    /// As splice(2): of `to`.
    pub(crate) fn poll_drain(
        &self,
        to: &Stream,
        most: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let count = match &mut self.cell.borrow_mut().pipe {
            Some(pipe) => ready!(pipe.poll_drain_some(to, most, cx))?,
            None => return Poll::Ready(Ok(0)),
        };
        self.was_read(count);
        Poll::Ready(Ok(count))
    }
}

impl Cell {
    /// True while the pipe, which comes before memory, holds something.
    pub(super) fn is_piped(&self) -> bool {
        self.pipe.as_ref().is_some_and(|pipe| !pipe.is_empty())
    }

    /// The pipe that more may be moved into: nothing that came through memory is to be read before it.
    fn open_pipe(&mut self) -> Option<&mut Pipe> {
        if !self.takes_pipes || self.over.is_some() || self.has_memory() {
            return None;
        }
        if self.pipe.is_none() {
            self.pipe = Pipe::take();
        }
        self.pipe.as_mut()
    }
}

impl Shared {
    /// Moves what has come of a DATA frame that has begun into the pipe of its call. Gives how much that was; 0 when it has to be
    /// read.
    pub(super) fn receive_piped(&self, front: DataFront, cx: &mut Context<'_>) -> usize {
        if front.length < LONG_BYTES {
            return 0;
        }
        let state = &mut *self.state.borrow_mut();
        let stream = self.stream.borrow();
        let (Some(stream), Some(cell)) = (stream.as_ref(), state.calls.get(&front.call)) else {
            return 0;
        };
        let mut count = 0;
        if let Some(pipe) = cell.borrow_mut().open_pipe() {
            count = pipe::try_fill(pipe, stream, front.length, cx);
        }
        if count > 0 {
            state.deliver(front.call, |cell| {
                let is_last = front.end && count == front.length;
                if cell.flow.take_data(count, is_last).is_err() {
                    cell.pipe = None;
                    return Err(Cancel::Protocol);
                }
                cell.is_accepted = true;
                cell.wake_reader();
                Ok(())
            });
            state.is_bulk = true;
        }
        count
    }
}
