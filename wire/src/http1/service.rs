//! What a program decides about a request; everything else here is the same for all of them.

use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use hatchway_proto::grpc;
use hatchway_proto::http1::{Framing, HeadError, Limits, RequestHead, ResponseHead, Version};
use hatchway_proto::link::CallHead;
use tokio::time::Instant;

use crate::http1::answer::Answer;
use crate::http1::exchange::{Broken, Outcome};
use crate::http1::tap::Tap;
use crate::http1::upgrade;
use crate::ticker;
use crate::tls::{Credential, Shown};
use crate::{Stream, scratch};

/// Who sent a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer<'c> {
    /// Absent on a Unix socket.
    pub address: Option<IpAddr>,
    /// The connection is behind TLS.
    pub is_encrypted: bool,
    /// Which certificate it was shown, where there are several.
    pub shown: Option<Shown>,
    /// What it has shown itself, where it was asked.
    pub credential: Option<&'c Credential>,
    /// It speaks HTTP/2: heads that are handed on in the form of HTTP/1.1 were none.
    pub is_http2: bool,
}

impl Peer<'_> {
    /// Who it is, for a time when its connection may be gone.
    pub fn without_credential(self) -> Peer<'static> {
        let Self { address, is_encrypted, shown, is_http2, credential: _ } = self;
        Peer { address, is_encrypted, shown, is_http2, credential: None }
    }
}

/// What is left of a request once its head was read: the head as the upstream will read it, and what
/// the exchange has to know. Owns its bytes, so it can wait for a sandbox while the client's buffer is gone.
#[derive(Debug)]
pub struct Request {
    /// The rewritten head, until it is on its way.
    pub head: Vec<u8>,
    /// How long it is.
    pub head_bytes: usize,
    /// How the body is framed, on both sides.
    pub framing: Framing,
    /// HEAD: the answer's head describes a body that does not come.
    pub is_head: bool,
    /// The client's protocol version.
    pub version: Version,
    /// The client wants to send another request on this connection.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The client asked to leave HTTP for a protocol that is offered; granted only by the upstream's 101.
    pub wants_upgrade: bool,
    /// When the head was complete.
    pub arrived: Instant,
    /// A call of gRPC: failures are told in its own way.
    pub is_grpc: bool,
    /// When its client stops waiting, where it has said so.
    pub deadline: Option<Instant>,
    /// Keeps a copy of its body.
    pub tap: Option<Rc<Tap>>,
}

impl Request {
    /// What the exchange needs of `head`, with the rewritten bytes in `rewritten`. Its connection has read the time since the
    /// head came.
    pub fn new(head: &RequestHead<'_>, rewritten: Vec<u8>) -> Self {
        let arrived = ticker::recent();
        // Calls of gRPC are POST: no other request pays for the look.
        let is_grpc =
            head.method == "POST" && head.field("content-type").is_some_and(grpc::is_grpc);
        Self {
            head_bytes: rewritten.len(),
            head: rewritten,
            framing: head.framing,
            is_head: head.method == "HEAD",
            version: head.version,
            keep_alive: head.keep_alive,
            expects_continue: head.expects_continue,
            wants_upgrade: upgrade::asked(head).is_some(),
            arrived,
            is_grpc,
            deadline: if is_grpc { deadline(head, arrived) } else { None },
            tap: None,
        }
    }

    /// A request that came over a link, with its head as the function reads it.
    pub fn of_call(about: &CallHead<'_>, head: &[u8]) -> Self {
        let mut bytes = scratch::take();
        bytes.extend_from_slice(head);
        let arrived = ticker::now();
        let left = about.deadline_ms.map(|left| Duration::from_millis(left.get().into()));
        let deadline = left.and_then(|left| arrived.checked_add(left));
        Self {
            head_bytes: head.len(),
            head: bytes,
            framing: about.framing,
            is_head: about.is_head,
            version: Version::Http11,
            keep_alive: true,
            // The gateway asks its client for a body.
            expects_continue: false,
            wants_upgrade: about.wants_upgrade,
            arrived,
            is_grpc: about.is_grpc,
            deadline,
            tap: None,
        }
    }

    /// Stands for a request of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self {
            head: Vec::new(),
            head_bytes: 0,
            framing: Framing::None,
            is_head: false,
            version: Version::Http11,
            keep_alive: false,
            expects_continue: false,
            wants_upgrade: false,
            arrived: Instant::now(),
            is_grpc: false,
            deadline: None,
            tap: None,
        }
    }
}

/// When a client of gRPC stops waiting, where it says so.
fn deadline(head: &RequestHead<'_>, arrived: Instant) -> Option<Instant> {
    arrived.checked_add(grpc::parse_timeout(head.field(grpc::TIMEOUT)?)?)
}

/// How long an exchange may take; a clock that has run out is named in the answer.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// From the request handed over whole to the head of the answer.
    pub first_byte: std::time::Duration,
    /// Between two moves of either body.
    pub idle: std::time::Duration,
    /// The whole exchange.
    pub run: Instant,
}

/// How the head of an answer is to be written for this client.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The client's version.
    pub version: Version,
    /// Whether the connection stays.
    pub keep_alive: bool,
    /// How the body goes out.
    pub framing: Framing,
    /// The answer is 101 and was asked for.
    pub upgrades: bool,
}

/// Who answers a request.
#[derive(Debug)]
pub enum Found<U> {
    /// A connection to relay to.
    Upstream(U),
    /// An answer of our own.
    Answer(Answer),
}

/// A connection to a node or a function, with what must be held while it is used.
pub trait Upstream {
    /// The connection.
    fn stream(&mut self) -> &mut Stream;
    /// How long it may take.
    fn clocks(&self) -> Clocks;
    /// What the head of its answer may hold.
    fn limits(&self) -> Limits {
        Limits::default()
    }
    /// The exchange is over; `reusable` when the connection is between two messages. What was held is
    /// given back here.
    fn release(self, reusable: bool);
}

/// Why a request was refused before anyone decided about it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It breaks a rule.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// It was not complete in time.
    #[error("the head was not complete within the head clock")]
    TooSlow,
}

/// The decisions of one program about requests that it has, on one core.
pub trait Service: 'static {
    /// What is known of a request between its head and its end.
    type Call: AsMut<Request>;
    /// Where it goes.
    type Upstream: Upstream;

    /// True when [`respond`](Self::respond) writes what a gateway would for a client of HTTP/1.1 whose connection stays: over a
    /// link, a gateway may be told so, and pass it on.
    fn tells_heads(&self, _call: &Self::Call) -> bool {
        false
    }

    /// Finds who answers; waits for room or for a start. Cancel safe: dropped, it leaves every queue. Called
    /// again when the upstream that it found had closed its connection before a byte reached it.
    fn connect(&self, call: &mut Self::Call) -> impl Future<Output = Found<Self::Upstream>>;

    /// The same where nobody has to be waited for, which is asked first: nearly all requests are spared a future. Nothing has
    /// changed where it finds nothing.
    fn connect_now(&self, _call: &mut Self::Call) -> Option<Found<Self::Upstream>> {
        None
    }

    /// Whether the client gets the answer with this head. Where it does not, [`Service::again`] and then [`Service::explain`]
    /// are asked what it gets instead. Not asked about interim heads and 101.
    fn accepts(&self, _call: &Self::Call, _head: &ResponseHead<'_>) -> bool {
        true
    }

    /// An answer was not accepted. True when the call was changed, its head restored, and [`Service::connect`] is to be asked
    /// for somebody else to answer it.
    fn again(&self, _call: &mut Self::Call) -> bool {
        false
    }

    /// Writes the head of an answer as the client will read it.
    fn respond(&self, call: &Self::Call, head: &ResponseHead<'_>, shape: Shape, out: &mut Vec<u8>);

    /// True when `respond` would change nothing about a head that a node has written for such a client.
    fn passes_told(&self, _call: &Self::Call) -> bool {
        false
    }

    /// Says why an exchange broke. Called while the upstream is still held, so that the end of a
    /// process can be asked for its reason.
    fn explain(
        &self,
        call: &Self::Call,
        upstream: &mut Self::Upstream,
        broken: &Broken,
    ) -> impl Future<Output = Answer>;

    /// An exchange with `upstream` has ended, well or not, before the upstream is given back.
    fn exchanged(&self, _call: &mut Self::Call, _upstream: &Self::Upstream) {}

    /// The request is over; `call` is absent when its head was refused.
    fn finish(&self, call: Option<Self::Call>, outcome: &Outcome);
}

/// The same for a program whose clients send heads.
pub trait Front: Service {
    /// Decides what can be decided from the head. Does not wait: the head borrows the core's buffer.
    ///
    /// # Errors
    /// The last answer on this connection. A refusal that the connection survives is left to
    /// [`Service::connect`].
    fn begin(&self, head: &RequestHead<'_>, peer: Peer<'_>) -> Result<Self::Call, Answer>;

    /// What a head that cannot be served is answered with.
    fn refuse(&self, why: &Refused, peer: Peer<'_>) -> Answer;
}
