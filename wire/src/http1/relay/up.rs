//! The request's way: the rewritten head, then the body as the client sends it.

use std::rc::Rc;
use std::task::{Context, Poll};

use hatchway_proto::http1::BodyDecoder;

use crate::Stream;
use crate::http1::ahead::Ahead;
use crate::http1::copy::Side;
use crate::http1::exchange::Cause;
use crate::http1::pending::Pending;
use crate::http1::relay::splice::Splice;
use crate::http1::service::Request;
use crate::http1::tap::Tap;

/// The request under way.
#[derive(Debug)]
pub(super) struct Up {
    head: Pending,
    body: BodyDecoder,
    /// Bytes at the front of what the client has sent that belong to the body and were checked.
    cleared: usize,
    owes_continue: bool,
    tap: Option<Rc<Tap>>,
    splice_from: u64,
    splice: Option<Splice>,
    waits: Waits,
    /// Bytes that the upstream may have read, head included.
    pub(super) sent: u64,
}

/// Whom the request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// It has been handed over.
    Nobody,
    /// Its body has not come.
    Client,
    /// What has come is not taken.
    Upstream,
    /// Nobody any more: the upstream reads no further. It may have answered all the same.
    Refused,
}

impl Up {
    /// `ahead` is what the client has sent behind the head.
    pub(super) fn new(request: Request, ahead: &Ahead, splice_from: u64) -> Self {
        Self {
            head: Pending::new(request.head),
            body: BodyDecoder::new(request.framing),
            cleared: 0,
            // A client that has begun with its body does not wait (RFC 9110 section 10.1.1).
            owes_continue: request.expects_continue && ahead.is_empty(),
            // The kernel alone would leave no copy.
            splice_from: if request.tap.is_some() { u64::MAX } else { splice_from },
            tap: request.tap,
            splice: None,
            waits: Waits::Upstream,
            sent: 0,
        }
    }

    pub(super) fn waits(&self) -> Waits {
        self.waits
    }

    /// True when the last byte of the request was read from the client.
    pub(super) fn is_read(&self) -> bool {
        self.body.is_done()
    }

    /// True once, when the client waits to be asked for its body and a reader is there.
    pub(super) fn takes_continue(&mut self) -> bool {
        self.waits == Waits::Client && std::mem::take(&mut self.owes_continue)
    }

    /// Bytes of the body that were read from the client and not taken by the upstream.
    pub(super) fn left(&self) -> usize {
        self.cleared
    }

    /// The head, when none of the request was written.
    pub(super) fn into_unsent(self) -> Option<Vec<u8>> {
        // Otherwise the memory goes back to the core, by drop.
        if self.sent == 0 { Some(self.head.into_bytes()) } else { None }
    }

    /// Moves what can be moved.
    ///
    /// # Errors
    /// [`Cause::ClientGone`] and [`Cause::ClientBody`]. An upstream that does not read is no error yet.
    pub(super) fn poll(
        &mut self,
        (client, ahead): (&mut Stream, &mut Ahead),
        upstream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Cause> {
        while !matches!(self.waits, Waits::Nobody | Waits::Refused) {
            self.clear(ahead)?;
            let polled = if !self.head.is_empty() || self.cleared > 0 {
                self.waits = Waits::Upstream;
                self.poll_send(ahead, upstream, cx)
            } else if self.takes_short_cut(client, ahead, upstream) {
                self.poll_splice(client, upstream, cx)?
            } else if self.body.is_done() {
                self.waits = Waits::Nobody;
                break;
            } else {
                self.waits = Waits::Client;
                match client.poll_bytes(cx, |bytes, cx| self.pass(bytes, ahead, upstream, cx)) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(passed) => Poll::Ready(passed.map_err(|_| Cause::ClientGone)??),
                }
            };
            if polled.is_pending() {
                break;
            }
        }
        Ok(())
    }

    /// True from the first moment that allows the rest of the body to go through the kernel alone, to its end.
    fn takes_short_cut(&mut self, client: &Stream, ahead: &Ahead, upstream: &Stream) -> bool {
        if self.splice.is_none() && ahead.is_empty() {
            self.splice = Splice::begin(&self.body, client, upstream, self.splice_from);
        }
        self.splice.is_some()
    }

    fn poll_splice(
        &mut self,
        client: &Stream,
        upstream: &Stream,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Cause> {
        let splice = self.splice.as_mut().expect("the short cut was taken");
        let before = splice.moved;
        let polled = splice.poll(&mut self.body, client, upstream, cx);
        self.sent += splice.moved - before;
        self.waits = if splice.is_holding() { Waits::Upstream } else { Waits::Client };
        match polled {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(Side::From(_))) => return Err(Cause::ClientGone),
            Poll::Ready(Err(Side::To(_))) => self.waits = Waits::Refused,
        }
        self.splice = None;
        Ok(Poll::Ready(()))
    }

    /// Checks what has come of the body.
    fn clear(&mut self, ahead: &Ahead) -> Result<(), Cause> {
        if !self.body.is_done() {
            let fresh = &ahead.bytes()[self.cleared..];
            self.cleared += self.body.advance(fresh).map_err(Cause::ClientBody)?;
        }
        Ok(())
    }

    fn poll_send(
        &mut self,
        ahead: &mut Ahead,
        upstream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let body = &ahead.bytes()[..self.cleared];
        match upstream.poll_write_both(cx, self.head.rest(), body) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => {
                self.waits = Waits::Refused;
                Poll::Ready(())
            }
            Poll::Ready(Ok(count)) => {
                let of_head = count.min(self.head.rest().len());
                if let Some(tap) = &self.tap {
                    tap.pass(&body[..count - of_head]);
                }
                self.head.consume(of_head);
                ahead.consume(count - of_head);
                self.cleared -= count - of_head;
                self.sent += count as u64;
                Poll::Ready(())
            }
        }
    }

    /// Passes on what was read without keeping it, but for what the upstream does not take at once.
    fn pass(
        &mut self,
        bytes: &[u8],
        ahead: &mut Ahead,
        upstream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Cause> {
        if bytes.is_empty() {
            return Err(Cause::ClientGone);
        }
        let used = self.body.advance(bytes).map_err(Cause::ClientBody)?;
        let taken = match upstream.poll_write_both(cx, &bytes[..used], &[]) {
            Poll::Ready(Ok(count)) => count,
            Poll::Pending => 0,
            Poll::Ready(Err(_)) => {
                self.waits = Waits::Refused;
                0
            }
        };
        if let Some(tap) = &self.tap {
            tap.pass(&bytes[..taken]);
        }
        self.sent += taken as u64;
        self.cleared = used - taken;
        ahead.push(&bytes[taken..]);
        Ok(())
    }
}
