//! One exchange between two streams: the request one way, the answer the other, both at once.
//!
//! Nothing is collected: a side is read only when all that was read from it before has been written.
//! Reads and writes go through the core's scratch buffer; only what the other side does not take at
//! once is copied. Every byte of framing is checked before it is passed on.
//!
//! [`up`] is the request's way, [`down`] the answer's, [`splice`] the short cut of both for a long body that nobody has
//! to look at, [`pace`] watches over both.

mod down;
pub(crate) mod pace;
mod splice;
mod up;

use std::task::{Context, Poll};

use crate::Stream;
use crate::http1::ahead::Ahead;
use crate::http1::client::Client;
use crate::http1::exchange::Cause;
use crate::http1::service::{Request, Upstream};
use crate::ticker::{self, Timer};

pub(super) use down::{Respond, Telling};

use down::{Asked, Down, Terms};
use pace::{Pace, Scene};
use up::{Up, Waits};

/// One exchange under way. Dropped at any point, it leaves both streams in an unknown place: neither
/// is used again.
pub(super) struct Relay<'a> {
    client: &'a mut Stream,
    ahead: &'a mut Ahead,
    upstream: &'a mut Stream,
    timer: &'a Timer,
    terms: Terms,
    up: Up,
    down: Down<'a>,
    pace: Pace,
    /// It is not the first turn, which is that of the head.
    has_waited: bool,
}

/// How an exchange stands when it is over, well or not.
#[derive(Debug)]
pub(super) struct Over {
    /// The status that the client was sent, 0 before that.
    pub(super) status: u16,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) first_byte: Option<tokio::time::Instant>,
    /// Both messages ended where they said; the client may send the next request.
    pub(super) keep_client: bool,
    /// The upstream is between two messages.
    pub(super) keep_upstream: bool,
    /// The answer was 101, and this came behind it: what follows is no HTTP.
    pub(super) tunnel: Option<Vec<u8>>,
    /// The request was read to its end: the client's next byte begins another.
    pub(super) is_read: bool,
    /// Nothing but the rest of the answer may follow on the client's connection.
    pub(super) is_begun: bool,
    /// An answer that is cut must not end like one that is whole.
    pub(super) ends_by_close: bool,
    /// The head, when the upstream has not read a byte of it; nothing of the body was used up then.
    pub(super) unsent: Option<Vec<u8>>,
    /// Bytes of the body that wait in front of whatever the client has sent next.
    pub(super) left: usize,
}

impl<'a> Relay<'a> {
    pub(super) fn new<U: Upstream>(
        client: &'a mut Client<'_>,
        upstream: &'a mut U,
        request: Request,
        told: Telling,
        respond: &'a mut Respond<'a>,
    ) -> Self {
        let (clocks, limits) = (upstream.clocks(), upstream.limits());
        let terms = Terms::new(&request, told);
        Self {
            terms,
            up: Up::new(request, &client.ahead, client.settings.splice_from),
            down: Down::new(terms, limits, client, respond),
            pace: Pace::new(clocks, client.settings),
            client: &mut client.stream,
            ahead: &mut client.ahead,
            upstream: upstream.stream(),
            timer: &client.timer,
            has_waited: false,
        }
    }

    /// Ready when the answer has been written whole, or when it cannot be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if std::mem::replace(&mut self.has_waited, true) {
            ticker::now();
        }
        match self.poll_parts(cx) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Err(cause) => Poll::Ready(Err(cause)),
        }
    }

    fn poll_parts(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Cause> {
        self.up.poll((self.client, self.ahead), self.upstream, cx)?;
        match self.up.waits() {
            // What it may have said was said before it was asked.
            Waits::Refused if self.up.sent == 0 => return Err(Cause::UpstreamClosed),
            Waits::Client if self.up.takes_continue() => self.down.offer_continue(),
            Waits::Nobody | Waits::Client | Waits::Upstream | Waits::Refused => {}
        }
        if self.up.sent > 0 && self.poll_down(cx)?.is_ready() {
            return Ok(Poll::Ready(()));
        }
        // Whoever is not read for a body is listened to, for it may leave.
        if matches!(self.up.waits(), Waits::Nobody | Waits::Refused)
            && self.ahead.hears_end(self.client, cx)
        {
            return Err(Cause::ClientGone);
        }
        let scene = self.scene();
        match self.pace.poll(&scene, self.timer, cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(cause) => Err(cause),
        }
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Cause> {
        let is_whole = self.up.waits() == Waits::Nobody;
        let asked = Asked { is_whole, has_more: is_whole && !self.ahead.is_empty() };
        self.down.poll(asked, self.client, self.upstream, cx)
    }

    fn scene(&self) -> Scene {
        Scene {
            moved: self.up.sent + self.down.answer.bytes,
            received: self.up.sent,
            is_handed_over: self.up.waits() == Waits::Nobody,
            waits_for_body: self.up.waits() == Waits::Client,
            is_answered: self.down.is_answered(),
            is_unread: self.down.is_unread(),
        }
    }

    /// Ends the exchange: what of it is over, and what can go on.
    pub(super) fn end(self) -> Over {
        let is_whole = self.up.waits() == Waits::Nobody;
        let answer = self.down.answer;
        let is_begun = self.down.is_begun();
        // Bytes behind a request for an upgrade that was refused may be anything.
        let is_ambiguous = self.terms.wants_upgrade && !self.ahead.is_empty();
        Over {
            status: answer.status,
            request_bytes: self.up.sent,
            response_bytes: answer.bytes,
            first_byte: answer.first_byte,
            keep_client: answer.keep_client && is_whole && !is_ambiguous,
            keep_upstream: answer.keep_upstream && is_whole,
            tunnel: self.down.into_tunnel(),
            is_read: self.up.is_read(),
            is_begun,
            ends_by_close: answer.ends_by_close,
            left: self.up.left(),
            unsent: self.up.into_unsent(),
        }
    }
}
