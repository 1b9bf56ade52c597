//! A call that a gateway has offered and no node has accepted: all of it is kept, so that another node can be asked.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hatchway_proto::link::{CallHead, frame};
use hatchway_proto::name::VersionId;
use tokio::time::Instant;

use super::call::{Broken, Call};
use super::cell::Over;
use super::client::{Link, milliseconds_left};
use crate::scratch;

/// Nodes that are asked for a call before it is refused.
pub const TRIES: usize = 3;

/// Where a call has been offered.
#[derive(Clone, Copy, Debug)]
pub struct Tries {
    /// What it is for.
    pub version: VersionId,
    /// Whose nodes it prefers, as [`Invocation::lane`](crate::backend::Invocation::lane) has it.
    pub lane: u64,
    /// Nodes, by numbers that only the placer knows.
    asked: [usize; TRIES],
    count: usize,
    /// Another node may have room: the one that is asked now should refuse rather than keep the call waiting.
    pub is_choosy: bool,
}

/// Why a call is offered again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The node that was asked last has refused it.
    Refused,
    /// The link to it was lost, and no byte of the call was written.
    NotSent,
    /// The node is another process now, to which the call has not been offered.
    Moved,
}

/// Finds another node for a call that was not taken.
pub trait Placer: fmt::Debug {
    /// A link to a node that is not among those of `tries`, and is put there; none when there is none. The one that has
    /// [moved](Why::Moved) counts as not asked.
    fn again(self: Rc<Self>, tries: Tries, why: Why) -> Again;
}

/// A link that is being looked for, and what was tried then.
pub type Again = Pin<Box<dyn Future<Output = Option<(Link, Tries)>>>>;

impl Tries {
    /// Of a call for `version`, in `lane`, that nobody was asked for.
    pub fn new(version: VersionId, lane: u64) -> Self {
        Self { version, lane, asked: [0; TRIES], count: 0, is_choosy: false }
    }

    /// Who was asked, in this order.
    pub fn asked(&self) -> &[usize] {
        &self.asked[..self.count]
    }

    /// One more is asked. False when as many have been as may.
    pub fn ask(&mut self, node: usize) -> bool {
        let Some(free) = self.asked.get_mut(self.count) else { return false };
        *free = node;
        self.count += 1;
        true
    }

    /// The last one was not asked after all: it could not be reached.
    pub fn undo(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// As many have been asked as may.
    pub fn is_over(&self) -> bool {
        self.count >= TRIES
    }
}

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
    tries: Tries,
    asking: Option<Again>,
    /// What the client is answered if nobody takes the call.
    last_answer: Option<Vec<u8>>,
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.len();
        f.debug_struct("Offer").field("kept", &kept).field("tries", &self.tries).finish()
    }
}

impl Offer {
    /// `about` is the frame's payload up to the head, of which `head_bytes` follow.
    pub(super) fn new(
        (about, flags): (Vec<u8>, u8),
        (head_bytes, credit): (usize, u32),
        deadline: Option<Instant>,
        (placer, tries): (Rc<dyn Placer>, Tries),
    ) -> Self {
        Self {
            kept: about,
            body: 0,
            head_bytes,
            flags,
            credit,
            deadline,
            placer,
            tries,
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
                let Some((link, tries)) = ready!(asking.as_mut().poll(cx)) else {
                    return Poll::Ready(self.give_up());
                };
                offer.asking = None;
                offer.tries = tries;
                if !self.offer_again(&link) {
                    self.ask(Why::NotSent);
                }
                continue;
            }
            let why = match self.stands() {
                Stands::Accepted => {
                    self.offer = None;
                    break;
                }
                Stands::Offered => break,
                Stands::Refused { elsewhere: true } => Why::Refused,
                Stands::Refused { elsewhere: false } => return Poll::Ready(self.refused()),
                Stands::NotSent => Why::NotSent,
            };
            let has_heir = self.shared.state.borrow().has_heir;
            self.ask(if has_heir { Why::Moved } else { why });
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

    /// Begins to look for another node.
    fn ask(&mut self, why: Why) {
        self.keep_answer();
        let Some(offer) = &mut self.offer else { return };
        offer.asking = Some(Rc::clone(&offer.placer).again(offer.tries, why));
    }

    /// A refusal is final.
    fn refused(&mut self) -> io::Result<()> {
        self.keep_answer();
        self.give_up()
    }

    /// Keeps what the node has said. What it says from now on is about a call that is over.
    fn keep_answer(&mut self) {
        let Some(offer) = &mut self.offer else { return };
        let mut cell = self.cell.borrow_mut();
        if let Some(refused) = cell.refused.take() {
            offer.last_answer = Some(refused.answer);
        }
        cell.over.get_or_insert(Over::Lost { was_written: false });
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
            offer.flags = CallHead::set_choosy(offer.flags, offer.tries.is_choosy);
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
