//! One request on a client's connection: find who answers, relay, say what went wrong.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use hatchway_proto::http1::{BodyError, HeadError, ResponseHead};

use crate::http1::client::Client;
use crate::http1::relay::{Over, Relay, Telling};
use crate::http1::service::{Found, Request, Service, Shape, Upstream};
use crate::http1::tunnel;
use crate::ticker;

/// How often an upstream is asked for again when the one that was found had closed its connection before a
/// byte of the request reached it.
const MORE_TRIES: usize = 2;

/// Why an exchange ended before its answer was whole.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The client closed its connection, or half of it: a half-close cannot be told from leaving.
    #[error("the client left")]
    ClientGone,
    /// The client did not send, or did not read, for too long.
    #[error("the client was too slow")]
    ClientStalled,
    /// The client's body breaks its framing.
    #[error("the request body is malformed")]
    ClientBody(#[source] BodyError),
    /// The upstream closed before it answered.
    #[error("the upstream closed its connection before it answered")]
    UpstreamClosed,
    /// The upstream's connection broke.
    #[error("the connection to the upstream broke")]
    UpstreamIo(#[source] io::Error),
    /// The head of the answer is no HTTP/1.1 that we pass on.
    #[error("the head of the answer is malformed")]
    BadAnswer(#[source] HeadError),
    /// The body of the answer breaks its framing, or is cut short.
    #[error("the body of the answer is malformed or cut short")]
    BadBody(#[source] BodyError),
    /// 101 that was not asked for, or to another protocol, or before the request was over.
    #[error("the upstream switched protocols unasked")]
    UnwantedUpgrade,
    /// The head of the answer is one that the client is not to see.
    #[error("the answer was not accepted")]
    Declined,
    /// No head of an answer in time.
    #[error("the first-byte clock ran out")]
    FirstByteClock,
    /// Neither body moved in time.
    #[error("the idle clock ran out")]
    IdleClock,
    /// The whole took too long.
    #[error("the run clock ran out")]
    RunClock,
}

/// An exchange that ended before its answer was whole.
#[derive(Debug)]
pub struct Broken {
    /// Why.
    pub cause: Cause,
    /// The client has seen a part of an answer: all that can be done is to cut it visibly.
    pub head_sent: bool,
    /// Bytes of the request, head included, that the upstream may have read.
    pub request_bytes: u64,
}

/// What became of a request.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The status the client was sent; 0 when it left before.
    pub status: u16,
    /// The answer is ours, not the function's.
    pub is_ours: bool,
    /// Why the answer is not whole, or had to be ours.
    pub broken: Option<Cause>,
    /// Bytes towards the upstream.
    pub request_bytes: u64,
    /// Bytes towards the client.
    pub response_bytes: u64,
    /// From the complete head to the first byte of the answer.
    pub first_byte: Duration,
    /// From the complete head to the last byte of the answer.
    pub total: Duration,
}

impl Outcome {
    /// Counts what went through a tunnel, and why it broke.
    pub(crate) fn carried(&mut self, up: u64, down: u64, broken: Option<Cause>) {
        self.request_bytes += up;
        self.response_bytes += down;
        self.broken = broken;
    }
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read the next request.
    Request,
    /// Close: the client has said that it sends no more.
    Close,
    /// Close once the client has taken what was sent, for it may still be sending.
    Linger,
    /// Close at once: what was sent must not look whole.
    Cut,
    /// The same where a close alone would look like the end of the answer.
    Reset,
}

/// Serves one request whose head is decided. Boxed, for a connection lives longer and has no use for all that room; and made in
/// its place, for to move it there would cost as much as the allocation.
pub(super) fn exchange<S: Service>(
    client: &mut Client<'_>,
    service: &S,
    call: S::Call,
) -> Pin<Box<impl Future<Output = Next>>> {
    Box::into_pin(Box::write(Box::new_uninit(), serve(client, service, call)))
}

async fn serve<S: Service>(client: &mut Client<'_>, service: &S, mut call: S::Call) -> Next {
    let arrived = call.as_mut().arrived;
    let mut exchange = Exchange { client, service, call, outcome: Outcome::default() };
    let next = exchange.run().await;
    let Exchange { call, mut outcome, .. } = exchange;
    outcome.total = ticker::recent() - arrived;
    service.finish(Some(call), &outcome);
    next
}

/// A request between its head and its end.
struct Exchange<'e, 'c, S: Service> {
    client: &'e mut Client<'c>,
    service: &'e S,
    call: S::Call,
    outcome: Outcome,
}

impl<S: Service> Exchange<'_, '_, S> {
    async fn run(&mut self) -> Next {
        let mut tries_left = MORE_TRIES;
        loop {
            let found = match self.service.connect_now(&mut self.call) {
                Some(found) => Some(found),
                // Boxed, as all that is rare: every request pays for the size of this future.
                None => {
                    let connecting = Box::pin(self.service.connect(&mut self.call));
                    self.client.unless_gone(connecting).await
                }
            };
            let mut upstream = match found {
                None => {
                    self.outcome.broken = Some(Cause::ClientGone);
                    return Next::Cut;
                }
                Some(Found::Answer(answer)) => {
                    let request = self.call.as_mut();
                    let keep = request.keep_alive && self.client.skip_body(request);
                    let sending = self.client.send(answer, request, keep, &mut self.outcome);
                    return Box::pin(sending).await;
                }
                Some(Found::Upstream(upstream)) => upstream,
            };
            let (mut over, result) = self.relay(&mut upstream).await;
            self.service.exchanged(&mut self.call, &upstream);
            match (result, over.unsent.take()) {
                (Ok(()), _) if let Some(first) = over.tunnel.take() => {
                    return Box::pin(self.tunnel(upstream, first)).await;
                }
                (Ok(()), _) => return self.complete(upstream, &over),
                (Err(Cause::UpstreamClosed | Cause::UpstreamIo(_)), Some(head))
                    if tries_left > 0 =>
                {
                    tries_left -= 1;
                    upstream.release(false);
                    self.call.as_mut().head = head;
                }
                (Err(Cause::Declined), _) if self.service.again(&mut self.call) => {
                    upstream.release(false);
                }
                (Err(cause), _) => return Box::pin(self.fail(upstream, &over, cause)).await,
            }
        }
    }

    async fn relay(&mut self, upstream: &mut S::Upstream) -> (Over, Result<(), Cause>) {
        let request = self.call.as_mut();
        let (head, arrived) = (std::mem::take(&mut request.head), request.arrived);
        let request = Request { head, tap: request.tap.clone(), ..*request };
        let (service, call) = (self.service, &self.call);
        let told = Telling { tells: service.tells_heads(call), passes: service.passes_told(call) };
        let mut respond = |head: &ResponseHead<'_>, shape: Shape, out: &mut Vec<u8>| {
            let is_accepted = head.status < 200 || service.accepts(call, head);
            if is_accepted {
                service.respond(call, head, shape, out);
            }
            is_accepted
        };
        let mut relay = Relay::new(self.client, upstream, request, told, &mut respond);
        let result = poll_fn(|cx| relay.poll(cx)).await;
        let over = relay.end();
        self.outcome.status = over.status;
        self.outcome.request_bytes = over.request_bytes;
        self.outcome.response_bytes = over.response_bytes;
        self.outcome.first_byte = over.first_byte.map_or(Duration::ZERO, |at| at - arrived);
        (over, result)
    }

    /// The answer was written whole.
    fn complete(&mut self, upstream: S::Upstream, over: &Over) -> Next {
        upstream.release(over.keep_upstream);
        let request = self.call.as_mut();
        match over.keep_client {
            true => Next::Request,
            // It said that this was its last request, and all of that was read.
            false if over.is_read && over.left == 0 && !request.keep_alive => Next::Close,
            false => Next::Linger,
        }
    }

    /// The answer cannot be written whole. One of ours takes its place where none has begun.
    async fn fail(&mut self, mut upstream: S::Upstream, over: &Over, cause: Cause) -> Next {
        let request_bytes = over.request_bytes;
        let broken = Broken { cause, head_sent: over.is_begun, request_bytes };
        if broken.head_sent || matches!(broken.cause, Cause::ClientGone) {
            upstream.release(false);
            self.outcome.broken = Some(broken.cause);
            return if over.ends_by_close { Next::Reset } else { Next::Cut };
        }
        let answer = self.service.explain(&self.call, &mut upstream, &broken).await;
        // Whoever is slow to read about the failure must not hold a slot meanwhile.
        upstream.release(false);
        if over.is_read {
            self.client.ahead.consume(over.left);
        }
        let request = self.call.as_mut();
        let keep = over.is_read && request.keep_alive && !request.wants_upgrade;
        let next = self.client.send(answer, request, keep, &mut self.outcome).await;
        self.outcome.broken = Some(broken.cause);
        next
    }

    async fn tunnel(&mut self, mut upstream: S::Upstream, first: Vec<u8>) -> Next {
        let clocks = upstream.clocks();
        let ([up, down], result) =
            tunnel::carry(self.client, (upstream.stream(), first), clocks).await;
        self.outcome.carried(up, down, result.err());
        ticker::now();
        upstream.release(false);
        Next::Cut
    }
}
