//! One end of a call, as a stream of bytes.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hatchway_proto::link::{AnswerHead, Cancel, FRAME_BYTES, Frame, Refusal, answer};

use super::cell::{CallCell, Cell, Over};
use super::offer::Offer;
use super::shared::{Parts, Shared, State};

/// What goes into one frame of data.
pub(super) const PIECE_BYTES: usize = FRAME_BYTES;

/// From here on a write of its own is cheaper than a copy into the buffer that all calls share.
const LONG_BYTES: usize = 16 * 1024;

/// The longest answer that fits into a refusal beside its reason; a longer one is an answer like any other.
const REFUSAL_BYTES: usize = FRAME_BYTES - 256;

/// One end of a call. Dropped before its end, it cancels.
#[derive(Debug)]
pub struct Call {
    pub(super) shared: Rc<Shared>,
    pub(super) cell: Rc<CallCell>,
    /// What a gateway keeps until a node has accepted.
    pub(super) offer: Option<Box<Offer>>,
}

/// Why a call's stream broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The other end gave it up.
    #[error("the call was given up: {0}")]
    Cancelled(Cancel),
    /// The connection is gone, and the call may have been running.
    #[error("the link was lost")]
    Lost,
    /// The connection is gone, and nothing of the call was sent.
    #[error("the link was lost before the call was sent")]
    NotSent,
}

impl From<Over> for Broken {
    fn from(over: Over) -> Self {
        match over {
            Over::Cancelled(reason) => Self::Cancelled(reason),
            Over::Lost { was_written: true } => Self::Lost,
            Over::Lost { was_written: false } => Self::NotSent,
        }
    }
}

impl Broken {
    /// Found again in an error that a relay has passed on.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        Self::new(io::ErrorKind::ConnectionReset, broken)
    }
}

impl Call {
    pub(super) fn new(shared: Rc<Shared>, cell: Rc<CallCell>, offer: Option<Box<Offer>>) -> Self {
        Self { shared, cell, offer }
    }

    /// As recv(2): what came, or 0 once the other end sends no more.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_unread(cx))? {
            return Poll::Ready(Ok(0));
        }
        let count = self.cell.borrow_mut().take(buffer);
        self.was_read(count);
        Poll::Ready(Ok(count))
    }

    /// Shows all that came to `step`, or nothing once the other end sends no more.
    pub(crate) fn poll_bytes<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&[u8], &mut Context<'_>) -> T,
    ) -> Poll<io::Result<T>> {
        if !ready!(self.poll_unread(cx))? {
            return Poll::Ready(Ok(step(&[], cx)));
        }
        let unread = self.cell.borrow_mut().take_next();
        self.was_read(unread.bytes().len());
        Poll::Ready(Ok(step(unread.bytes(), cx)))
    }

    /// Ready with true when something has come that was not read, with false at the end.
    fn poll_unread(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.offer.is_some() {
            ready!(self.poll_offered(cx))?;
        }
        let cell = &mut *self.cell.borrow_mut();
        if cell.has_unread() {
            return Poll::Ready(Ok(true));
        }
        if cell.flow.is_ended() {
            return Poll::Ready(Ok(false));
        }
        if let Some(over) = cell.over {
            return Poll::Ready(Err(Broken::from(over).into()));
        }
        cell.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Gives the credit that is due now.
    fn was_read(&self, count: usize) {
        let state = &mut *self.shared.state.borrow_mut();
        let cell = &mut *self.cell.borrow_mut();
        cell.flow.read(count);
        if cell.over.is_none() && cell.is_accepted {
            state.grant(cell, &self.shared.settings);
        }
    }

    /// As send(2), of two pieces that follow each other: takes what there is credit and room for.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.offer.is_some() {
            ready!(self.poll_offered(cx))?;
            if let Some(offer) = &self.offer
                && !offer.is_open()
            {
                return self.poll_open(cx, first, second);
            }
        }
        let state = &mut *self.shared.state.borrow_mut();
        let cell = &mut *self.cell.borrow_mut();
        if let Some(over) = cell.over {
            return Poll::Ready(Err(Broken::from(over).into()));
        }
        let limit = self.shared.settings.out_bytes;
        // A call that has little room would fill the rest of the buffer with small frames.
        let has_room = state.out.waiting() <= limit / 2;
        let room = cell.flow.room().min(limit.saturating_sub(state.out.waiting()));
        if cell.flow.room() == 0 || !has_room {
            cell.writer = Some(cx.waker().clone());
            if !has_room {
                state.wait_for_room(&self.cell, cell);
            }
            return Poll::Pending;
        }
        let whole = first.len() + second.len();
        if let Some((elsewhere, reason)) = cell.refuses.take()
            && whole <= REFUSAL_BYTES
        {
            let answer = [first, second].concat();
            let refusal = Refusal { elsewhere, reason, answer: &answer };
            state.send(&Frame::Refused { call: cell.id, refusal });
            state.remove(cell.id);
            cell.flow.end();
            return Poll::Ready(Ok(whole));
        }
        let first = &first[..first.len().min(room)];
        let second = &second[..second.len().min(room - first.len())];
        self.send(state, cell, (first, second));
        if let Some(offer) = &mut self.offer {
            offer.keep(first, second);
        }
        Poll::Ready(Ok(first.len() + second.len()))
    }

    /// Sends what there is credit and room for.
    fn send(&self, state: &mut State, cell: &mut Cell, (first, mut second): Parts<'_>) {
        let is_long = first.len() + second.len() >= LONG_BYTES;
        // Its head is written in one piece, in front, or is told of by its bytes alone.
        let tells = cell.tells.take();
        if let Some(about) = tells.filter(|about| about.head_bytes == first.len()) {
            let with = if is_long { &[] } else { std::mem::take(&mut second) };
            state.send_answer(cell, about, (first, with));
            if second.is_empty() {
                return;
            }
            return self.shared.send_long(state, cell, (second, &[]));
        }
        match is_long {
            true => self.shared.send_long(state, cell, (first, second)),
            false => state.send_data(cell, (first, second)),
        }
    }

    /// Node: what is written next is the head of the final answer, as [`AnswerHead`] says.
    pub(crate) fn tell(&self, about: AnswerHead) {
        if about.head_bytes <= FRAME_BYTES - LONG_BYTES - answer::FRONT_BYTES {
            self.cell.borrow_mut().tells = Some(about);
        }
    }

    /// Gateway: what was said of the head that is read next, once.
    pub(crate) fn take_told(&self) -> Option<AnswerHead> {
        self.cell.borrow_mut().told.take()
    }

    /// Sends no more; what comes is still read.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.offer.is_some() {
            ready!(self.poll_offered(cx))?;
        }
        self.end_sending();
        Poll::Ready(Ok(()))
    }

    /// True while nothing has come that was not read.
    pub(crate) fn is_quiet(&self) -> bool {
        let cell = self.cell.borrow();
        !cell.has_unread() && !cell.flow.is_ended() && cell.over.is_none()
    }

    /// Node: the answer is whole, and the call over.
    pub(crate) fn finish(self) {
        self.end_sending();
        let id = self.cell.borrow().id;
        self.shared.state.borrow_mut().remove(id);
    }

    /// Gateway: the answer was read whole. The node has said all it had to say, or is about to.
    pub fn forget(self) {
        let mut cell = self.cell.borrow_mut();
        cell.over.get_or_insert(Over::Cancelled(Cancel::Left));
    }

    /// Another hand on a call that came.
    pub(super) fn handle(&self) -> Handle {
        Handle { shared: Rc::clone(&self.shared), cell: Rc::clone(&self.cell) }
    }

    /// Says that nothing follows: in the last frame, where that has not gone yet.
    fn end_sending(&self) {
        let state = &mut *self.shared.state.borrow_mut();
        let cell = &mut *self.cell.borrow_mut();
        if cell.over.is_some() || cell.flow.has_ended() {
            return;
        }
        cell.flow.end();
        if !cell.last_frame.is_some_and(|at| state.out.mark_end(at)) {
            state.send(&Frame::Data { call: cell.id, end: true, bytes: b"" });
        }
    }

    /// Leaves the call: it is cancelled, unless it is over.
    pub(super) fn leave(&self) {
        let state = &mut *self.shared.state.borrow_mut();
        let cell = &mut *self.cell.borrow_mut();
        let is_whole = cell.flow.is_ended() && cell.flow.has_ended();
        if cell.id != 0 && !is_whole && cell.over.is_none() {
            state.send(&Frame::Cancel { call: cell.id, reason: cell.reason });
        }
        cell.over.get_or_insert(Over::Cancelled(cell.reason));
        state.uncount(cell);
        state.remove(cell.id);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What a node can say of a call while its bytes are in other hands.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Rc<Shared>,
    cell: Rc<CallCell>,
}

impl Handle {
    /// The call is taken: the gateway will not offer it to another node, and the rest of a large body may come.
    pub fn accept(&self) {
        let state = &mut *self.shared.state.borrow_mut();
        let cell = &mut *self.cell.borrow_mut();
        cell.is_accepted = true;
        if cell.over.is_none() {
            state.grant(cell, &self.shared.settings);
        }
    }

    /// The call is not taken: what is written next is the answer that the client gets when no other node takes it.
    /// `elsewhere`: another one may. A call that was accepted is answered like any other.
    pub fn refuse(&self, elsewhere: bool, reason: &'static str) {
        let mut cell = self.cell.borrow_mut();
        if !cell.is_accepted {
            cell.refuses = Some((elsewhere, reason));
        }
    }

    /// The gateway has asked in its greeting for what a [`Hello`](hatchway_proto::link::Hello) calls by this bit.
    pub fn is_asked_for(&self, feature: u64) -> bool {
        let state = self.shared.state.borrow();
        state.session.peer().is_some_and(|hello| hello.features & feature != 0)
    }

    /// What the gateway is told when the call ends before its answer does.
    pub fn because(&self, reason: Cancel) {
        self.cell.borrow_mut().reason = reason;
    }
}
