//! A service that relays to the test, and tells it what it hears.

use std::cell::Cell;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use hatchway_proto::http1::{
    RequestEdit, RequestHead, ResponseEdit, ResponseHead, write_request, write_response,
};
use hatchway_wire::Stream;
use hatchway_wire::http1::idle::Idle;
use hatchway_wire::http1::{
    Answer, Body, Broken, Clocks, Found, Front, Outcome, Peer, Refused, Request, Service, Shape,
    Upstream, upgrade,
};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::tap::Tap;

/// What a service hears.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody is looked for who answers.
    Connecting,
    /// Nobody is looked for any more: the client has left.
    Left,
    /// A request is over.
    Ended(End),
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct End {
    /// Of a request whose head was taken.
    pub(crate) path: Option<String>,
    pub(crate) status: u16,
    pub(crate) is_ours: bool,
    pub(crate) broken: Option<String>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
}

/// How long an exchange may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spans {
    pub(crate) first_byte: Duration,
    pub(crate) idle: Duration,
    pub(crate) run: Duration,
}

/// Relays to the test's upstream; `/held` finds nobody, `/own` is answered by us, `/file` from a file.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    pub(crate) spans: Cell<Spans>,
    pub(crate) idle: Idle<()>,
    pub(crate) events: UnboundedSender<Event>,
    /// Connections to the upstream are tapped.
    pub(crate) taps: Cell<bool>,
    /// The end that leads to the upstream that was connected to last.
    pub(crate) tap: Cell<Option<Tap>>,
    pub(crate) file: Option<std::fs::File>,
    /// Used before all others, without a look at it.
    pub(crate) stale: Cell<Option<Stream>>,
    /// Connections to the upstream get buffers of this size.
    pub(crate) narrow: Cell<Option<usize>>,
}

pub(crate) struct Call {
    request: Request,
    path: String,
}

impl AsMut<Request> for Call {
    fn as_mut(&mut self) -> &mut Request {
        &mut self.request
    }
}

pub(crate) struct ToTest {
    stream: Stream,
    spans: Spans,
    since: Instant,
    idle: Idle<()>,
}

impl Upstream for ToTest {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn clocks(&self) -> Clocks {
        let Spans { first_byte, idle, run } = self.spans;
        Clocks { first_byte, idle, run: self.since + run }
    }

    fn release(self, reusable: bool) {
        if reusable {
            self.idle.put((), self.stream);
        }
    }
}

/// Tells when a search for an upstream is given up.
struct Search<'s>(&'s Scripted);

impl Drop for Search<'_> {
    fn drop(&mut self) {
        self.0.tell(Event::Left);
    }
}

impl Scripted {
    fn tell(&self, event: Event) {
        // A test that has seen enough does not listen to the end.
        let _ = self.events.send(event);
    }

    async fn upstream(&self) -> Stream {
        if let Some(stream) = self.stale.take() {
            return stream;
        }
        if let Some(stream) = self.idle.take(&(), Duration::from_secs(60)) {
            return stream;
        }
        let stream = Stream::connect_tcp(self.address).await.expect("the test listens");
        if let Stream::Tcp(stream) = &stream {
            let tap = Tap::new(stream);
            if let Some(bytes) = self.narrow.get() {
                tap.narrow(bytes);
            }
            self.tap.set(self.taps.get().then_some(tap));
        }
        stream
    }
}

impl Service for Scripted {
    type Call = Call;
    type Upstream = ToTest;

    async fn connect(&self, call: &mut Call) -> Found<ToTest> {
        self.tell(Event::Connecting);
        match call.path.as_str() {
            "/own" => Found::Answer(Answer::new(200, "ours").with("x-own", "1")),
            "/none" => Found::Answer(Answer::new(304, "not to be seen")),
            "/file" => {
                let file = self.file.as_ref().expect("the test has a file");
                let len = file.metadata().expect("a file has a size").len();
                let file = file.try_clone().expect("descriptors are left");
                let body = Body::File { file, offset: 0, len };
                Found::Answer(Answer { body, ..Answer::new(200, "") })
            }
            "/held" => {
                let _search = Search(self);
                pending().await
            }
            _ => Found::Upstream(ToTest {
                stream: self.upstream().await,
                spans: self.spans.get(),
                since: Instant::now(),
                idle: self.idle.clone(),
            }),
        }
    }

    fn respond(&self, call: &Call, head: &ResponseHead<'_>, shape: Shape, out: &mut Vec<u8>) {
        assert_eq!(call.request.version, shape.version, "the request is the one that is answered");
        let edit = ResponseEdit {
            extra: &[],
            drop: &[],
            downstream: shape.version,
            keep_alive: shape.keep_alive,
            framing: shape.framing,
            upgrade: if shape.upgrades { head.upgrade } else { None },
            keep_internal: false,
        };
        write_response(out, head, &edit);
    }

    async fn explain(&self, _call: &Call, _upstream: &mut ToTest, broken: &Broken) -> Answer {
        Answer::new(502, broken.cause.to_string())
    }

    fn finish(&self, call: Option<Call>, outcome: &Outcome) {
        self.tell(Event::Ended(End {
            path: call.map(|call| call.path),
            status: outcome.status,
            is_ours: outcome.is_ours,
            broken: outcome.broken.as_ref().map(ToString::to_string),
            request_bytes: outcome.request_bytes,
            response_bytes: outcome.response_bytes,
        }));
    }
}

impl Front for Scripted {
    fn begin(&self, head: &RequestHead<'_>, _peer: Peer<'_>) -> Result<Call, Answer> {
        let mut rewritten = Vec::new();
        let edit = RequestEdit { upgrade: upgrade::asked(head), ..RequestEdit::default() };
        write_request(&mut rewritten, head, &edit);
        if head.path == "/last" {
            return Err(Answer::new(403, "no more"));
        }
        Ok(Call { request: Request::new(head, rewritten), path: head.path.to_owned() })
    }

    fn refuse(&self, why: &Refused, _peer: Peer<'_>) -> Answer {
        let status = match why {
            Refused::Head(error) => error.status(),
            Refused::TooSlow => 408,
        };
        Answer::new(status, why.to_string())
    }
}
