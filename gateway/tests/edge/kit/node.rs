//! A node that serves calls from whatever listens at an address: what stands between a gateway and a function that a
//! test plays. It shows the function what it was told beside the head.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use hatchway_proto::failure::{Component, Failure, ProxyError};
use hatchway_proto::http1::{ResponseEdit, ResponseHead, write_response};
use hatchway_proto::link::{CallHead, LoadSummary};
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_wire::Stream;
use hatchway_wire::backend::answer_failure;
use hatchway_wire::http1::idle::Idle;
use hatchway_wire::http1::{
    Answer, Broken, Clocks, Found, Outcome, Request, Service, Shape, Upstream,
};
use hatchway_wire::link::{self, Calls, Handle, Served};
use hatchway_wire::ticker::Ticker;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// No test waits for this.
const LONG: Duration = Duration::from_secs(600);

/// Serves for as long as the test runs; says where.
pub(crate) fn in_front_of(function: SocketAddr) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be built");
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("there are free ports");
            let address = listener.local_addr().expect("a listener has an address");
            tell.send(address).expect("the test waits for it");
            serve(&listener, function).await;
        });
    });
    told.recv().expect("it tells")
}

async fn serve(listener: &TcpListener, function: SocketAddr) {
    let ticker = Ticker::default();
    tokio::task::spawn_local(ticker.clone().run());
    let service = Function { address: function, idle: Idle::default() };
    let served = Served::new(service, ticker, link::draw_instance());
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a socket can be told not to wait");
        tokio::task::spawn_local(served.clone().serve(Stream::Tcp(stream)));
    }
}

struct Function {
    address: SocketAddr,
    idle: Idle<()>,
}

struct Call {
    request: Request,
    handle: Handle,
}

impl AsMut<Request> for Call {
    fn as_mut(&mut self) -> &mut Request {
        &mut self.request
    }
}

impl Calls for Function {
    fn take(&self, about: &CallHead<'_>, head: &[u8], handle: Handle) -> Option<Call> {
        FunctionName::parse(about.function).ok()?;
        VersionId::parse(about.version).ok()?;
        let mut bytes = head[..head.len() - 2].to_vec();
        for (name, value) in [("function", about.function), ("version", about.version)] {
            bytes.extend_from_slice(format!("hatchway-{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        Some(Call { request: Request::of_call(about, &bytes), handle })
    }

    fn load(&self) -> LoadSummary {
        LoadSummary::default()
    }
}

impl Service for Function {
    type Call = Call;
    type Upstream = Connection;

    async fn connect(&self, call: &mut Call) -> Found<Connection> {
        let stream = match self.idle.take(&(), LONG) {
            Some(stream) => stream,
            None => Stream::connect_tcp(self.address).await.expect("the function listens"),
        };
        call.handle.accept();
        Found::Upstream(Connection { stream, idle: self.idle.clone() })
    }

    fn respond(&self, _call: &Call, head: &ResponseHead<'_>, shape: Shape, out: &mut Vec<u8>) {
        let edit = ResponseEdit {
            extra: &[],
            drop: &[],
            downstream: shape.version,
            keep_alive: shape.keep_alive,
            framing: shape.framing,
            upgrade: if shape.upgrades { head.upgrade } else { None },
            keep_internal: true,
        };
        write_response(out, head, &edit);
    }

    async fn explain(&self, _call: &Call, _from: &mut Connection, broken: &Broken) -> Answer {
        let (error, cause) = (ProxyError::ConnectionTerminated, broken.cause.to_string());
        answer_failure(&Failure::new(502, error, Component::Sandbox, "crashed", cause), "")
    }

    fn finish(&self, _call: Option<Call>, _outcome: &Outcome) {}
}

struct Connection {
    stream: Stream,
    idle: Idle<()>,
}

impl Upstream for Connection {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn clocks(&self) -> Clocks {
        Clocks { first_byte: LONG, idle: LONG, run: Instant::now() + LONG }
    }

    fn release(self, reusable: bool) {
        if reusable {
            self.idle.put((), self.stream);
        }
    }
}
