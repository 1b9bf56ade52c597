//! One request on a stream: decide from its head, find who answers, relay, say what went wrong.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use hatchway_proto::http1::{HeadError, ResponseHead, parse_request};
use http::request::Parts;
use tokio::time::Instant;

use crate::http1::relay::pace::Pace;
use crate::http1::{
    Answer, Broken, Cause, Found, Front, Outcome, Peer, Refused, Service, Settings, Shape, Upstream,
};
use crate::http2::answer::Sender;
use crate::http2::down::Down;
use crate::http2::head;
use crate::http2::linger::linger;
use crate::http2::relay::Relay;
use crate::http2::reply::Reply;
use crate::http2::up::Up;
use crate::http2::websocket::{Key, Tunnel};
use crate::scratch;
use crate::ticker::{self, Ticker, Timer};

/// How often an upstream is asked for again when the one that was found had closed its connection before a
/// byte of the request reached it.
const MORE_TRIES: usize = 2;

/// What all streams of a connection share.
pub(super) struct Shared<'c, S> {
    pub(super) service: &'c S,
    pub(super) peer: Peer<'c>,
    pub(super) settings: &'c Settings,
    pub(super) ticker: &'c Ticker,
}

/// How a request ended, as far as its connection is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was answered, or was cut by us.
    Served,
    /// The client gave it up.
    Cancelled,
}

/// Serves one request. Calls [`Service::finish`] once for whatever it began.
pub(super) async fn exchange<S: Front>(
    shared: &Shared<'_, S>,
    request: http::Request<RecvStream>,
    stream: SendResponse<Bytes>,
) -> Ended {
    let mut reply = Reply::Waiting(stream);
    // A stream that is reset at once costs nobody anything.
    if poll_fn(|cx| Poll::Ready(reply.poll_gone(cx).is_ready())).await {
        return Ended::Cancelled;
    }
    let (parts, mut body) = request.into_parts();
    let timer = shared.ticker.timer();
    let key = Key::for_request(&parts);
    // What follows the head of a web socket is no body.
    let has_body = key.is_none() && !body.is_end_stream();
    let outcome = match begin(shared, &parts, has_body, key.as_ref()) {
        Ok(mut call) => {
            let request = call.as_mut();
            let (arrived, is_head) = (request.arrived, request.is_head);
            let up = Up::new(request, body);
            let outcome = Outcome::default();
            let mut exchange = Exchange { shared, call, is_head, key, up, reply, timer, outcome };
            exchange.run().await;
            exchange.outcome.total = ticker::recent() - arrived;
            let Exchange { call, key, mut up, reply, timer, outcome, .. } = exchange;
            shared.service.finish(Some(call), &outcome);
            if let (None, Some(unread), true) = (key, up.unread(), reply.is_ended()) {
                Box::pin(linger(unread, &timer, shared.settings.linger)).await;
            }
            outcome
        }
        Err(answer) => {
            let mut outcome = Outcome::default();
            let to_head = parts.method == http::Method::HEAD;
            let since = Instant::now();
            let terms = (to_head, since);
            Box::pin(send(&mut reply, &timer, shared, answer, terms, &mut outcome)).await;
            shared.service.finish(None, &outcome);
            if has_body && reply.is_ended() {
                Box::pin(linger(&mut body, &timer, shared.settings.linger)).await;
            }
            outcome
        }
    };
    match outcome.broken {
        Some(Cause::ClientGone) => Ended::Cancelled,
        _ => Ended::Served,
    }
}

/// Parses the head of a stream as if it had come over HTTP/1.1, and hands it to the service.
fn begin<S: Front>(
    shared: &Shared<'_, S>,
    parts: &Parts,
    has_body: bool,
    key: Option<&Key>,
) -> Result<S::Call, Answer> {
    let refuse = |error| Err(shared.service.refuse(&Refused::Head(error), shared.peer));
    let written = match head::to_http1(parts, has_body, key) {
        Ok(written) => written,
        Err(error) => return refuse(error),
    };
    let begun = match parse_request(&written, &shared.settings.limits) {
        Ok(Some(head)) if head.len == written.len() => shared.service.begin(&head, shared.peer),
        // The fields cannot hold an end of head, so it is whole and there is only one.
        Ok(_) => refuse(HeadError::BadLineEnd),
        Err(error) => refuse(error),
    };
    scratch::give(written);
    begun
}

/// Sends an answer of ours; `outcome` says what became of it.
async fn send<S>(
    reply: &mut Reply,
    timer: &Timer,
    shared: &Shared<'_, S>,
    answer: Answer,
    (to_head, since): (bool, Instant),
    outcome: &mut Outcome,
) {
    outcome.status = answer.status;
    outcome.is_ours = true;
    outcome.first_byte = since.elapsed();
    let sender = Sender { reply: &mut *reply, timer, write_clock: shared.settings.write_clock };
    match sender.send(answer, to_head).await {
        Ok(bytes) => outcome.response_bytes = bytes,
        Err(cause) => {
            reply.reset(reason(&cause));
            outcome.broken = Some(cause);
        }
    }
}

/// What a stream is cut with: whose fault it was.
fn reason(cause: &Cause) -> Reason {
    match cause {
        Cause::ClientGone | Cause::ClientStalled => Reason::CANCEL,
        Cause::ClientBody(_) => Reason::PROTOCOL_ERROR,
        Cause::UpstreamClosed
        | Cause::UpstreamIo(_)
        | Cause::BadAnswer(_)
        | Cause::BadBody(_)
        | Cause::UnwantedUpgrade
        | Cause::Declined
        | Cause::FirstByteClock
        | Cause::IdleClock
        | Cause::RunClock => Reason::INTERNAL_ERROR,
    }
}

/// What follows an answer that was relayed whole.
enum After {
    /// Nothing; the upstream may be used again.
    Release { reusable: bool },
    /// A web socket, of which the function has sent this already.
    Tunnel(Bytes),
}

/// A request between its head and its end.
struct Exchange<'e, 'c, S: Service> {
    shared: &'e Shared<'c, S>,
    call: S::Call,
    is_head: bool,
    /// The client asks for a web socket.
    key: Option<Key>,
    up: Up,
    reply: Reply,
    timer: Timer,
    outcome: Outcome,
}

impl<S: Service> Exchange<'_, '_, S> {
    async fn run(&mut self) {
        let mut tries_left = MORE_TRIES;
        loop {
            let found = match self.shared.service.connect_now(&mut self.call) {
                Some(found) => Some(found),
                // Boxed, as all that is rare: every request pays for the size of this future.
                None => {
                    let connecting = Box::pin(self.shared.service.connect(&mut self.call));
                    unless_gone(&mut self.reply, connecting).await
                }
            };
            let mut upstream = match found {
                None => {
                    self.outcome.broken = Some(Cause::ClientGone);
                    return;
                }
                Some(Found::Answer(answer)) => return Box::pin(self.answer(answer)).await,
                Some(Found::Upstream(upstream)) => upstream,
            };
            let relayed = self.relay(&mut upstream).await;
            self.shared.service.exchanged(&mut self.call, &upstream);
            match relayed {
                Ok(After::Release { reusable }) => return upstream.release(reusable),
                Ok(After::Tunnel(first)) => {
                    return Box::pin(self.tunnel(upstream, first)).await;
                }
                Err(Cause::UpstreamClosed | Cause::UpstreamIo(_))
                    if self.up.sent == 0 && tries_left > 0 =>
                {
                    tries_left -= 1;
                    upstream.release(false);
                    self.up.rewind();
                }
                Err(Cause::Declined) if self.shared.service.again(&mut self.call) => {
                    upstream.release(false);
                    self.up.restart(self.call.as_mut());
                }
                Err(cause) => return Box::pin(self.fail(upstream, cause)).await,
            }
        }
    }

    /// Relays until the answer is whole.
    async fn relay(&mut self, upstream: &mut S::Upstream) -> Result<After, Cause> {
        let (service, call) = (self.shared.service, &self.call);
        let mut respond = |head: &ResponseHead<'_>, shape: Shape, out: &mut Vec<u8>| {
            let is_accepted = head.status < 200 || service.accepts(call, head);
            if is_accepted {
                service.respond(call, head, shape, out);
            }
            is_accepted
        };
        let pace = Pace::new(upstream.clocks(), self.shared.settings);
        let down = Down::new(self.is_head, self.key.as_ref(), upstream.limits(), &mut respond);
        let ends = (&mut self.up, &mut self.reply);
        let mut relay = Relay::new(ends, upstream, (pace, &self.timer), down);
        let result = poll_fn(|cx| relay.poll(cx)).await;
        let (answer, reusable) = (relay.down.answer, relay.keeps_upstream());
        let rest = relay.down.take_rest();
        let arrived = self.call.as_mut().arrived;
        self.outcome.status = answer.status;
        self.outcome.request_bytes = self.up.sent;
        self.outcome.response_bytes = answer.bytes;
        self.outcome.first_byte = answer.first_byte.map_or(Duration::ZERO, |at| at - arrived);
        result.map(|()| match answer.is_tunnel {
            true => After::Tunnel(rest),
            false => After::Release { reusable },
        })
    }

    /// Carries a web socket to its end.
    async fn tunnel(&mut self, mut upstream: S::Upstream, first: Bytes) {
        let clocks = upstream.clocks();
        let tunnel = Tunnel {
            body: self.up.body(),
            reply: &mut self.reply,
            upstream: upstream.stream(),
            down: first,
        };
        let ([up, down], result) = tunnel.carry(clocks, (self.shared.ticker, &self.timer)).await;
        if let Err(cause) = &result {
            self.reply.reset(reason(cause));
        }
        self.outcome.carried(up, down, result.err());
        upstream.release(false);
    }

    /// The answer cannot be sent whole. One of ours takes its place where none has begun.
    async fn fail(&mut self, mut upstream: S::Upstream, cause: Cause) {
        let head_sent = self.reply.is_begun();
        let broken = Broken { cause, head_sent, request_bytes: self.up.sent };
        let is_gone = matches!(broken.cause, Cause::ClientGone);
        if is_gone || (head_sent && !self.call.as_mut().is_grpc) {
            upstream.release(false);
            self.reply.reset(reason(&broken.cause));
            self.outcome.broken = Some(broken.cause);
            return;
        }
        let explaining = Box::pin(self.shared.service.explain(&self.call, &mut upstream, &broken));
        let answer = unless_gone(&mut self.reply, explaining).await;
        // Whoever is slow to read about the failure must not hold a slot meanwhile.
        upstream.release(false);
        match answer {
            None => {}
            Some(answer) if head_sent => self.end_by_status(&answer, &broken.cause),
            Some(answer) => self.answer(answer).await,
        }
        self.outcome.broken = Some(broken.cause);
    }

    /// A call of gRPC may fail at any time: its status comes last.
    fn end_by_status(&mut self, answer: &Answer, cause: &Cause) {
        let ended = match head::grpc_status(answer) {
            Some(status) => self.reply.end(Some(status)).is_ok(),
            None => false,
        };
        if !ended {
            self.reply.reset(reason(cause));
        }
    }

    async fn answer(&mut self, answer: Answer) {
        let terms = (self.is_head, self.call.as_mut().arrived);
        send(&mut self.reply, &self.timer, self.shared, answer, terms, &mut self.outcome).await;
    }
}

/// Waits for `work` as long as the client wants it.
async fn unless_gone<T>(
    reply: &mut Reply,
    mut work: Pin<Box<impl Future<Output = T>>>,
) -> Option<T> {
    poll_fn(|cx| {
        if reply.poll_gone(cx).is_ready() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}
