//! Stage 10: the request goes to the sandbox and the answer comes back; the slot is given back when the
//! body has ended.

use std::io;
use std::time::Duration;

use hatchway_proto::catalog::{Protocol, Runtime, Version};
use hatchway_proto::failure::{Component, Failure, ProxyError};
use hatchway_proto::name::SandboxId;
use hatchway_wire::Stream;
use hatchway_wire::http1::idle::Idle;
use hatchway_wire::http1::{Broken, Cause, Clocks, Upstream};
use hatchway_wire::http2::outbound::is_reset;
use hatchway_wire::ticker;
use tokio::time::{Instant, timeout};

use crate::h2c::H2cConnections;
use crate::hatch::ProcessHatchery;
use crate::pool::{Exit, Slot};

/// Our own adapters keep a connection for much longer than this.
const ADAPTER_IDLE: Duration = Duration::from_secs(30);

/// Servers that we do not know close idle connections when they like, gunicorn after 2 s, Node after 5 s.
/// A request that meets a closing connection would fail, and connecting anew costs 15 us.
const SERVER_IDLE: Duration = Duration::from_secs(1);

/// A process that was killed for its memory closes its socket before the kernel has told of its end:
/// 13 ms in the median, 24 ms at most, measured with a 256 MiB limit.
pub(crate) const CAUSE_OF_DEATH: Duration = Duration::from_millis(500);

/// A connection to a sandbox, and the slot that allows it.
#[derive(Debug)]
pub struct SandboxUpstream {
    stream: Stream,
    slot: Slot<ProcessHatchery>,
    idle: Idle<SandboxId>,
    clocks: Clocks,
    runs_one: bool,
    /// The client's own deadline comes before the end of the run clock.
    is_urgent: bool,
}

/// The connections of one core to its sandboxes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    /// Of HTTP/1.1, between two requests.
    pub(crate) idle: Idle<SandboxId>,
    /// Of HTTP/2.
    pub(crate) h2c: H2cConnections,
}

/// How long an idle connection to a sandbox of `version` is trusted.
fn idle_limit(version: &Version) -> Duration {
    match version.runtime {
        Runtime::NodeHandler { .. } | Runtime::PythonHandler { .. } => ADAPTER_IDLE,
        Runtime::NodeMain { .. } | Runtime::PythonApp { .. } | Runtime::Command { .. } => {
            SERVER_IDLE
        }
    }
}

/// Takes a connection to the sandbox of `slot`, an idle or shared one of this core where there is one. `deadline`: when the
/// client stops waiting.
///
/// # Errors
/// The slot comes back when nobody listens: the process is ending, and nothing was sent to it.
pub(crate) async fn reach(
    slot: Slot<ProcessHatchery>,
    version: &Version,
    connections: &Connections,
    deadline: Option<Instant>,
) -> Result<SandboxUpstream, (Slot<ProcessHatchery>, io::Error)> {
    let reached = match version.protocol {
        Protocol::Http1 => reach_http1(&slot, version, &connections.idle).await,
        Protocol::H2c => Box::pin(connections.h2c.reach(&slot)).await.map(|shared| {
            let request = shared.request(deadline);
            Stream::Outbound(Box::new(request))
        }),
    };
    match reached {
        Ok(stream) => Ok(SandboxUpstream::new(slot, stream, version, connections, deadline)),
        Err(error) => Err((slot, error)),
    }
}

/// The same over a connection that is idle; none, and the slot is given back, where there is no such.
pub(crate) fn reach_now(
    slot: Slot<ProcessHatchery>,
    version: &Version,
    connections: &Connections,
    deadline: Option<Instant>,
) -> Option<SandboxUpstream> {
    let idle = &connections.idle;
    let stream = match version.protocol {
        Protocol::Http1 => idle.take(&slot.sandbox_id(), idle_limit(version))?,
        Protocol::H2c => return None,
    };
    Some(SandboxUpstream::new(slot, stream, version, connections, deadline))
}

async fn reach_http1(
    slot: &Slot<ProcessHatchery>,
    version: &Version,
    idle: &Idle<SandboxId>,
) -> io::Result<Stream> {
    match idle.take(&slot.sandbox_id(), idle_limit(version)) {
        Some(stream) => Ok(stream),
        None => Box::pin(slot.sandbox().connect()).await,
    }
}

impl SandboxUpstream {
    fn new(
        slot: Slot<ProcessHatchery>,
        stream: Stream,
        version: &Version,
        connections: &Connections,
        deadline: Option<Instant>,
    ) -> Self {
        let run = ticker::recent() + version.clocks.run;
        let clocks = Clocks {
            first_byte: version.clocks.first_byte,
            idle: version.clocks.idle,
            run: deadline.map_or(run, |deadline| run.min(deadline)),
        };
        let (runs_one, is_urgent) = (version.concurrency == 1, clocks.run < run);
        Self { stream, slot, idle: connections.idle.clone(), clocks, runs_one, is_urgent }
    }

    /// The slot by which it may be used.
    pub(crate) fn slot(&self) -> &Slot<ProcessHatchery> {
        &self.slot
    }
}

impl Upstream for SandboxUpstream {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn clocks(&self) -> Clocks {
        self.clocks
    }

    /// The connection is kept before the slot is given back: whoever takes the slot next finds it.
    fn release(self, reusable: bool) {
        self.slot.sandbox().leave();
        // A request on a shared connection is over, and its connection is kept by others.
        if reusable && !matches!(self.stream, Stream::Outbound(_)) {
            self.idle.put(self.slot.sandbox_id(), self.stream);
        }
    }
}

/// Says why an exchange with a sandbox broke before an answer began.
pub(crate) async fn explain(upstream: &SandboxUpstream, broken: &Broken) -> Failure {
    let failure = |status, error, reason| {
        Failure::new(status, error, Component::Sandbox, reason, broken.cause.to_string())
    };
    match &broken.cause {
        Cause::ClientBody(error) => {
            failure(error.status(), ProxyError::HttpRequestError, error.code())
        }
        Cause::ClientStalled => failure(408, ProxyError::HttpRequestError, "slow-body"),
        Cause::FirstByteClock => {
            end_if_alone(upstream).await;
            failure(504, ProxyError::HttpResponseTimeout, "first-byte-clock")
        }
        Cause::IdleClock => failure(504, ProxyError::HttpResponseTimeout, "idle-clock"),
        // Whoever waits for a moment only must not be able to end sandboxes by it.
        Cause::RunClock if upstream.is_urgent => out_of_time(),
        Cause::RunClock => {
            end_if_alone(upstream).await;
            failure(504, ProxyError::HttpResponseTimeout, "run-clock")
        }
        Cause::BadAnswer(_) | Cause::BadBody(_) | Cause::UnwantedUpgrade | Cause::Declined => {
            failure(502, ProxyError::HttpProtocolError, "bad-answer")
        }
        Cause::UpstreamIo(error) if is_reset(error) => {
            failure(502, ProxyError::ConnectionTerminated, "reset")
        }
        Cause::ClientGone | Cause::UpstreamClosed | Cause::UpstreamIo(_) => {
            match timeout(CAUSE_OF_DEATH, upstream.slot.died()).await {
                Ok(exit) => died(exit),
                Err(_) => failure(502, ProxyError::ConnectionTerminated, "closed-early"),
            }
        }
    }
}

/// The client has waited for as long as it said.
pub(crate) fn out_of_time() -> Failure {
    let detail = "the deadline that the client set has passed";
    Failure::new(504, ProxyError::HttpResponseTimeout, Component::Node, "deadline", detail)
}

/// A function that runs one request at a time and does not end it would swallow the next one as well. Its only slot is
/// held until it is gone: given back sooner, it would lead the next request to a process that is being killed.
async fn end_if_alone(upstream: &SandboxUpstream) {
    if upstream.runs_one {
        upstream.slot.sandbox().kill_hung();
        // A killed process is gone in milliseconds; one that the kernel holds on to is waited for no longer.
        let _ = timeout(CAUSE_OF_DEATH, upstream.slot.died()).await;
    }
}

fn died(exit: Exit) -> Failure {
    match exit {
        Exit::OutOfMemory => Failure::new(
            502,
            ProxyError::HttpResponseIncomplete,
            Component::Sandbox,
            "oom",
            "the function used more memory than its limit and was ended",
        ),
        Exit::Code(_) | Exit::Signal(_) => Failure::new(
            502,
            ProxyError::ConnectionTerminated,
            Component::Sandbox,
            "crashed",
            format!("the function's process ended while it served: {exit}"),
        ),
    }
}
