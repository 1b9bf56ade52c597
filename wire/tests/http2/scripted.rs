//! A service that relays to the test, and tells it what it hears.

use std::cell::Cell;
use std::fs::File;
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
    Upstream,
};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

const CLOCK: Duration = Duration::from_secs(60);

/// What a service hears.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody is looked for who answers.
    Connecting,
    /// A request is over.
    Ended(End),
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: u16,
    pub(crate) is_ours: bool,
    pub(crate) broken: Option<String>,
}

/// Relays to the test's upstream; `/held` finds nobody, `/own` is answered by us, `/file` from a file.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    pub(crate) idle: Idle<()>,
    pub(crate) events: UnboundedSender<Event>,
    pub(crate) file: Option<File>,
    /// Connections to the upstream get small buffers.
    pub(crate) narrow: Cell<bool>,
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
    since: Instant,
    idle: Idle<()>,
}

impl Upstream for ToTest {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn clocks(&self) -> Clocks {
        Clocks { first_byte: CLOCK, idle: CLOCK, run: self.since + CLOCK }
    }

    fn release(self, reusable: bool) {
        if reusable {
            self.idle.put((), self.stream);
        }
    }
}

impl Scripted {
    fn tell(&self, event: Event) {
        // A test that has seen enough does not listen to the end.
        let _ = self.events.send(event);
    }

    async fn upstream(&self) -> Stream {
        if let Some(stream) = self.idle.take(&(), CLOCK) {
            return stream;
        }
        let stream = Stream::connect_tcp(self.address).await.expect("the test listens");
        if let Stream::Tcp(stream) = &stream
            && self.narrow.get()
        {
            let socket = socket2::SockRef::from(stream);
            socket.set_send_buffer_size(4096).expect("a socket has a buffer");
            socket.set_recv_buffer_size(4096).expect("a socket has a buffer");
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
            "/held" => pending().await,
            _ => {
                let (stream, since) = (self.upstream().await, Instant::now());
                Found::Upstream(ToTest { stream, since, idle: self.idle.clone() })
            }
        }
    }

    fn respond(&self, _call: &Call, head: &ResponseHead<'_>, shape: Shape, out: &mut Vec<u8>) {
        let edit = ResponseEdit {
            extra: &[],
            drop: &[],
            downstream: shape.version,
            keep_alive: shape.keep_alive,
            framing: shape.framing,
            upgrade: None,
            keep_internal: false,
        };
        write_response(out, head, &edit);
    }

    async fn explain(&self, _call: &Call, _upstream: &mut ToTest, broken: &Broken) -> Answer {
        Answer::new(502, broken.cause.to_string())
    }

    fn finish(&self, call: Option<Call>, outcome: &Outcome) {
        if call.is_some() {
            self.tell(Event::Ended(End {
                status: outcome.status,
                is_ours: outcome.is_ours,
                broken: outcome.broken.as_ref().map(ToString::to_string),
            }));
        }
    }
}

impl Front for Scripted {
    fn begin(&self, head: &RequestHead<'_>, _peer: Peer<'_>) -> Result<Call, Answer> {
        let mut rewritten = Vec::new();
        write_request(&mut rewritten, head, &RequestEdit::default());
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
