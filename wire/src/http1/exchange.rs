//! One request on a client's connection: find who answers, relay, say what went wrong.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use hatchway_proto::http1::{BodyError, HeadError, ResponseHead};

use crate::http1::inbound::Client;
use crate::http1::relay::{Done, Relay};
use crate::http1::service::{Found, Request, Service, Shape, Upstream};
use crate::http1::tunnel;

/// Why an exchange ended before its answer was whole.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The client closed its connection, or half of it.
    #[error("the client left")]
    ClientGone,
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
    /// 101 for a client that had not asked.
    #[error("the upstream switched protocols unasked")]
    UnwantedUpgrade,
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
    /// The client has seen a head: all that can be done is to cut the answer visibly.
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

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read the next request.
    Request,
    /// Close after the client has taken what was sent.
    Linger,
    /// Close at once: what was sent must not look whole.
    Cut,
}

/// Serves one request whose head is decided.
pub(super) async fn exchange<S: Service>(
    client: &mut Client,
    service: &S,
    mut call: S::Call,
) -> Next {
    let arrived = call.as_mut().arrived;
    let mut outcome = Outcome::default();
    let found = client.unless_gone(service.connect(&mut call)).await;
    let next = match found {
        None => {
            outcome.broken = Some(Cause::ClientGone);
            Next::Cut
        }
        Some(Found::Answer(answer)) => {
            let request = call.as_mut();
            let keep = request.keep_alive && client.skip_body(request);
            client.send(answer, request, keep, &mut outcome).await
        }
        Some(Found::Upstream(upstream)) => {
            carry(client, service, &mut call, upstream, &mut outcome).await
        }
    };
    outcome.total = arrived.elapsed();
    service.finish(Some(call), &outcome);
    next
}

async fn carry<S: Service>(
    client: &mut Client,
    service: &S,
    call: &mut S::Call,
    mut upstream: S::Upstream,
    outcome: &mut Outcome,
) -> Next {
    match relay(client, service, call, &mut upstream, outcome).await {
        Ok(done) if done.is_tunnel => {
            tunnel(client, &mut upstream, outcome).await;
            upstream.release(false);
            Next::Cut
        }
        Ok(done) => {
            upstream.release(done.keep_upstream);
            if done.keep_client { Next::Request } else { Next::Linger }
        }
        Err(broken) => {
            let next = if broken.head_sent || matches!(broken.cause, Cause::ClientGone) {
                Next::Cut
            } else {
                let answer = service.explain(call, &mut upstream, &broken).await;
                client.send(answer.closing(), call.as_mut(), false, outcome).await
            };
            upstream.release(false);
            outcome.broken = Some(broken.cause);
            next
        }
    }
}

async fn relay<S: Service>(
    client: &mut Client,
    service: &S,
    call: &mut S::Call,
    upstream: &mut S::Upstream,
    outcome: &mut Outcome,
) -> Result<Done, Broken> {
    let clocks = upstream.clocks();
    let mut request = std::mem::replace(call.as_mut(), Request::spent());
    let arrived = request.arrived;
    let mut respond = |head: &ResponseHead<'_>, shape: Shape, out: &mut Vec<u8>| {
        service.respond(call, head, shape, out);
    };
    let mut relay =
        Relay::new(client.halves(), upstream.stream(), &mut request, clocks, &mut respond);
    let result = poll_fn(|cx| relay.poll(cx)).await;
    outcome.request_bytes = relay.request_bytes;
    outcome.response_bytes = relay.response_bytes;
    outcome.first_byte = relay.first_byte.map_or_else(Default::default, |at| at - arrived);
    outcome.status = relay.status();
    drop(relay);
    *call.as_mut() = request;
    result
}

async fn tunnel<U: Upstream>(client: &mut Client, upstream: &mut U, outcome: &mut Outcome) {
    let clocks = upstream.clocks();
    let ahead = std::mem::take(&mut client.ahead);
    let streams = (&mut client.stream, upstream.stream());
    match tunnel::carry(streams, ahead, &client.timer, clocks).await {
        Ok(bytes) => outcome.response_bytes += bytes,
        Err(cause) => outcome.broken = Some(cause),
    }
}
