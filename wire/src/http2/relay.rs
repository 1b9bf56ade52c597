//! One request between a stream and an upstream: its body one way, the answer the other, both at once.
//!
//! Nothing is collected: a side is read only when what was read from it before has been taken, so each stream has its own
//! pace, and a slow one holds no more than its window and one turn of the relay.

use std::task::{Context, Poll};

use crate::Stream;
use crate::http1::relay::pace::{Pace, Scene};
use crate::http1::{Cause, Upstream};
use crate::http2::down::Down;
use crate::http2::head;
use crate::http2::reply::Reply;
use crate::http2::up::{Up, Waits};
use crate::ticker::Timer;

/// One exchange under way.
pub(super) struct Relay<'a> {
    up: &'a mut Up,
    reply: &'a mut Reply,
    upstream: &'a mut Stream,
    timer: &'a Timer,
    pace: Pace,
    pub(super) down: Down<'a>,
}

impl<'a> Relay<'a> {
    pub(super) fn new<U: Upstream>(
        (up, reply): (&'a mut Up, &'a mut Reply),
        upstream: &'a mut U,
        (pace, timer): (Pace, &'a Timer),
        down: Down<'a>,
    ) -> Self {
        Self { up, reply, upstream: upstream.stream(), timer, pace, down }
    }

    /// Ready when the answer has been given to the connection whole, or when it cannot be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        match self.poll_parts(cx) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Err(cause) => Poll::Ready(Err(cause)),
        }
    }

    fn poll_parts(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Cause> {
        if self.reply.poll_gone(cx).is_ready() {
            return Err(Cause::ClientGone);
        }
        self.up.poll(self.upstream, cx)?;
        match self.up.waits() {
            // What it may have said was said before it was asked.
            Waits::Refused if self.up.sent == 0 => return Err(Cause::UpstreamClosed),
            Waits::Client if self.up.takes_continue() => self.offer_continue()?,
            Waits::Nobody | Waits::Client | Waits::Upstream | Waits::Refused => {}
        }
        if self.up.sent > 0 && self.down.poll(self.reply, self.upstream, cx)?.is_ready() {
            return Ok(Poll::Ready(()));
        }
        let scene = self.scene();
        match self.pace.poll(&scene, self.timer, cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(cause) => Err(cause),
        }
    }

    /// Asks the client for its body (RFC 9110 section 10.1.1): somebody is there to read it.
    fn offer_continue(&mut self) -> Result<(), Cause> {
        let head = head::to_http2(b"HTTP/1.1 100 Continue\r\n\r\n", false);
        let head = head.map_err(Cause::BadAnswer)?;
        self.reply.interim(head).map_err(|_| Cause::ClientGone)
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

    /// True when the upstream is between two messages.
    pub(super) fn keeps_upstream(&self) -> bool {
        self.down.answer.keep_upstream && self.up.waits() == Waits::Nobody
    }
}
