//! A call that a gateway has offered and no node has accepted: all of it is kept, so that another node can be asked.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hatchway_proto::link::{CallHead, frame};
use tokio::time::Instant;

use super::call::{Broken, Call};
use super::cell::Over;
use super::client::{Link, milliseconds_left};
use crate::scratch;

/// Nodes that may still be asked, by numbers that only the placer knows.
pub type Choices = [Option<usize>; 2];

/// Finds another node for a call that was not taken.
pub trait Placer: fmt::Debug {
    /// A link to one of `choices`, which is taken from them; none when there is none.
    fn again(self: Rc<Self>, choices: Choices) -> Again;
}

/// A link that is being looked for, and what is left to choose from.
pub type Again = Pin<Box<dyn Future<Output = Option<(Link, Choices)>>>>;

/// What a gateway keeps of a call.
pub struct Offer {
    /// What the frame that opens it is made of, then as much of the body as was sent.
    kept: Vec<u8>,
    /// Where the body begins; 0 until the head has come.
    body: usize,
    head_bytes: usize,
    flags: u8,
    /// What the node may send before the first CREDIT, as the opening frame says.
    credit: u32,
    /// When the client stops waiting.
    deadline: Option<Instant>,
    placer: Rc<dyn Placer>,
    choices: Choices,
    asking: Option<Again>,
    /// What the client is answered if nobody takes the call.
    last_answer: Option<Vec<u8>>,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.len();
        f.debug_struct("Offer").field("kept", &kept).field("choices", &self.choices).finish()
    }
}

impl Offer {
    /// `about` is the frame's payload up to the head, of which `head_bytes` follow.
    pub(super) fn new(
        (about, flags): (Vec<u8>, u8),
        (head_bytes, credit): (usize, u32),
        deadline: Option<Instant>,
        (placer, choices): (Rc<dyn Placer>, Choices),
    ) -> Self {
        Self {
            kept: about,
            body: 0,
            head_bytes,
            flags,
            credit,
            deadline,
            placer,
            choices,
            asking: None,
            last_answer: None,
        }
    }

    /// True once the head has come, and the call was sent.
    pub(super) fn is_open(&self) -> bool {
        self.body > 0
    }

    /// Keeps what was sent of the body.
    pub(super) fn keep(&mut self, first: &[u8], second: &[u8]) {
        self.kept.extend_from_slice(first);
        self.kept.extend_from_slice(second);
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        scratch::give(std::mem::take(&mut self.kept));
    }
}

/// How an offer stands.
enum Stands {
    Offered,
    Accepted,
    Refused {
        elsewhere: bool,
    },
    /// Its link was lost, and no byte of it was written.
    NotSent,
}

impl Call {
    /// Ready when the call can be read from and written to: once accepted, or while nothing speaks against the offer.
    pub(super) fn poll_offered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(offer) = &mut self.offer {
            if let Some(asking) = &mut offer.asking {
                let Some((link, choices)) = ready!(asking.as_mut().poll(cx)) else {
                    return Poll::Ready(self.give_up());
                };
                offer.asking = None;
                offer.choices = choices;
                if !self.offer_again(&link) {
                    self.ask(true);
                }
                continue;
            }
            let is_free = match self.stands() {
                Stands::Accepted => {
                    self.offer = None;
                    break;
                }
                Stands::Offered => break,
                Stands::Refused { elsewhere } => elsewhere,
                Stands::NotSent => true,
            };
            self.ask(is_free);
        }
        Poll::Ready(Ok(()))
    }

    fn stands(&self) -> Stands {
        let cell = self.cell.borrow();
        let is_unsent = cell.id == 0 && self.shared.state.borrow().over.is_some();
        match (&cell.refused, cell.over) {
            _ if cell.is_accepted => Stands::Accepted,
            (Some(refused), _) => Stands::Refused { elsewhere: refused.elsewhere },
            (None, Some(Over::Lost { was_written: false })) => Stands::NotSent,
            (None, None) if is_unsent => Stands::NotSent,
            (None, Some(_) | None) => Stands::Offered,
        }
    }

    /// Begins to look for another node, if that `is_free` to take the call. What the one before says from now on is about
    /// a call that is over.
    fn ask(&mut self, is_free: bool) {
        let Some(offer) = &mut self.offer else { return };
        let choices = if is_free { offer.choices } else { Choices::default() };
        let mut cell = self.cell.borrow_mut();
        if let Some(refused) = cell.refused.take() {
            offer.last_answer = Some(refused.answer);
        }
        cell.over.get_or_insert(Over::Lost { was_written: false });
        offer.asking = Some(Rc::clone(&offer.placer).again(choices));
    }

    /// Opens the call with the head that is written first.
    pub(super) fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        let offer = self.offer.as_mut().expect("only an offer is opened");
        let head_bytes = offer.head_bytes;
        // The head is written in one piece, alone or with what follows in the same piece or in the second.
        let Some((head, rest)) = first.split_at_checked(head_bytes) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        };
        {
            let state = &mut *self.shared.state.borrow_mut();
            let cell = &mut *self.cell.borrow_mut();
            if let Some(over) = cell.over {
                return Poll::Ready(Err(Broken::from(over).into()));
            }
            if state.out.waiting() >= self.shared.settings.out_bytes {
                cell.writer = Some(cx.waker().clone());
                state.wait_for_room(&self.cell, cell);
                return Poll::Pending;
            }
            offer.kept.extend_from_slice(head);
            offer.body = offer.kept.len();
            cell.id = state.session.open();
            cell.first_frame = state.out.position();
            frame::encode_call(state.out.buffer(), cell.id, offer.flags, &offer.kept);
            state.calls.insert(cell.id, Rc::clone(&self.cell));
            state.wake_driver();
        }
        if rest.is_empty() && second.is_empty() {
            return Poll::Ready(Ok(head_bytes));
        }
        Poll::Ready(Ok(match self.poll_send(cx, rest, second) {
            Poll::Ready(sent) => head_bytes + sent?,
            Poll::Pending => head_bytes,
        }))
    }

    /// Sends all that was kept over another link, as a new call. False when that has no room for it.
    fn offer_again(&mut self, link: &Link) -> bool {
        let Some(mut offer) = self.offer.take() else { return false };
        let body_bytes = if offer.is_open() { offer.kept.len() - offer.body } else { 0 };
        let found = link.reserve(offer.credit, body_bytes);
        let is_found = found.is_some();
        if let Some(cell) = found {
            self.leave();
            (self.shared, self.cell) = (link.shared(), cell);
            if offer.is_open() {
                if let Some(deadline) = offer.deadline {
                    CallHead::set_deadline(&mut offer.kept, milliseconds_left(deadline));
                }
                self.send_again(&offer);
            }
        }
        self.offer = Some(offer);
        is_found
    }

    fn send_again(&self, offer: &Offer) {
        let state = &mut *self.shared.state.borrow_mut();
        let cell = &mut *self.cell.borrow_mut();
        let (opening, body) = offer.kept.split_at(offer.body);
        cell.id = state.session.open();
        cell.first_frame = state.out.position();
        frame::encode_call(state.out.buffer(), cell.id, offer.flags, opening);
        if !body.is_empty() {
            state.send_data(cell, (body, &[]));
        }
        state.calls.insert(cell.id, Rc::clone(&self.cell));
        state.wake_driver();
    }

    /// Nobody takes the call: what the last node said is the answer.
    fn give_up(&mut self) -> io::Result<()> {
        let offer = self.offer.take();
        let cell = &mut *self.cell.borrow_mut();
        let Some(answer) = offer.and_then(|mut offer| offer.last_answer.take()) else {
            return Err(Broken::from(cell.over.unwrap_or(Over::Lost { was_written: false })).into());
        };
        cell.answer_with(&answer);
        Ok(())
    }
}
