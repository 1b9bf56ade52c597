//! Stage 6: to a node in another process, over one link a node and core.
//!
//! [`fleet`] is all nodes and their loads ([`loads`]), for all cores; [`nodes`] is what one core makes of them, [`slot`] the link to
//! one, and [`told`] what operators hear of all this; here a request is offered to the node that was [picked](crate::place). A node that refuses it, or is lost before it was
//! sent, sends it on to the next one by itself: see [`offer`](hatchway_wire::link::offer).

mod fleet;
mod loads;
mod nodes;
mod slot;
mod told;

use std::rc::Rc;
use std::time::Duration;

use hatchway_proto::failure::Failure;
use hatchway_proto::http1::Limits;
use hatchway_proto::link::{CallHead, Cancel, FileRequest};
use hatchway_wire::Stream;
use hatchway_wire::backend::{AssetRequest, Backend, Invocation};
use hatchway_wire::http1::{Broken, Cause, Clocks, Found, Upstream};
use hatchway_wire::link::{self, Call, Link, Placer, Security, Tries};
use hatchway_wire::ticker::{self, Ticker};
use tokio::time::Instant;

use crate::answer::{self, CallError};

pub use fleet::{Fleet, Node};
pub(crate) use nodes::key;
pub use told::NodeStatus;

use nodes::Nodes;

/// The node has the clocks that matter. These only end what a lost node would leave hanging.
const NODE_CLOCKS: (Duration, Duration) =
    (Duration::from_secs(3600), Duration::from_secs(24 * 3600));

/// Nodes in other processes, as one core sees them.
#[derive(Debug)]
pub struct RemoteNodes(Rc<Nodes>);

/// A call that one of them is asked to take.
#[derive(Debug)]
pub struct NodeUpstream {
    stream: Stream,
    clocks: Clocks,
}

impl RemoteNodes {
    /// The nodes of `fleet`, over links that `security` makes safe. Called on the core that will ask them, whose clocks
    /// are `ticker`.
    pub fn new(fleet: &Fleet, security: Security, ticker: &Ticker) -> Self {
        Self::with(fleet, security, ticker, link::Settings::default())
    }

    /// The same, with links as `settings` say.
    pub fn with(
        fleet: &Fleet,
        security: Security,
        ticker: &Ticker,
        settings: link::Settings,
    ) -> Self {
        Self(Nodes::new(fleet, security, ticker, settings))
    }

    /// Offers `invocation` to the node behind `link`; others than those of `tries` are asked when it is not taken.
    fn offer(&self, link: &Link, invocation: &Invocation, tries: Tries) -> Option<Call> {
        let request = &invocation.request;
        let about = CallHead {
            function: invocation.function.as_str(),
            version: invocation.version.as_str(),
            request_id: &invocation.request_id,
            framing: request.framing,
            is_head: request.is_head,
            wants_upgrade: request.wants_upgrade,
            is_grpc: request.is_grpc,
            is_choosy: false,
            file: invocation.asset.as_ref().map(file_request),
            credit: 0,
            deadline_ms: None,
        };
        self.0.offered(&tries);
        let placer: Rc<dyn Placer> = Rc::clone(&self.0) as _;
        link.offer(about, (request.head_bytes, request.deadline), (placer, tries))
    }
}

fn file_request(asset: &AssetRequest) -> FileRequest<'_> {
    FileRequest {
        path: &asset.path,
        if_none_match: asset.if_none_match.as_deref().unwrap_or_default(),
        range: asset.range.as_deref().unwrap_or_default(),
    }
}

impl Backend for RemoteNodes {
    type Upstream = NodeUpstream;

    const IS_REMOTE: bool = true;

    async fn connect(&self, invocation: &mut Invocation) -> Result<Found<NodeUpstream>, Failure> {
        let now = Instant::now();
        let mut tries = Tries::new(invocation.version, invocation.lane);
        while let Some(slot) = self.0.pick(&mut tries, now) {
            let link = match slot.link() {
                Some(link) => link,
                // Boxed: most requests find a link, and all pay for the size of this future.
                None => match Box::pin(self.0.reach(&slot, &mut tries)).await {
                    Some(link) => link,
                    None => continue,
                },
            };
            if let Some(call) = self.offer(&link, invocation, tries) {
                return Ok(Found::Upstream(NodeUpstream::new(call, now)));
            }
        }
        Err(CallError::NoNode.failure())
    }

    /// The node that is picked first, over a link that is there.
    fn connect_now(&self, invocation: &mut Invocation) -> Option<Found<NodeUpstream>> {
        let now = ticker::recent();
        let mut tries = Tries::new(invocation.version, invocation.lane);
        let link = self.0.pick(&mut tries, now)?.link()?;
        let call = self.offer(&link, invocation, tries)?;
        Some(Found::Upstream(NodeUpstream::new(call, now)))
    }

    fn node(&self, upstream: &NodeUpstream) -> Option<Box<str>> {
        let Stream::Call(call) = &upstream.stream else { return None };
        self.0.name(call)
    }

    async fn explain(
        &self,
        _invocation: &Invocation,
        _upstream: &mut NodeUpstream,
        broken: &Broken,
    ) -> Failure {
        let lost = match &broken.cause {
            Cause::UpstreamIo(error) => link::Broken::of(error),
            _ => None,
        };
        match lost {
            Some(link::Broken::NotSent) => CallError::NoNode.failure(),
            Some(link::Broken::Cancelled(Cancel::Clock)) => answer::cut_by_clock(),
            _ => answer::node_lost(broken),
        }
    }
}

impl NodeUpstream {
    fn new(call: Call, now: Instant) -> Self {
        let (first_byte, idle) = (NODE_CLOCKS.0, NODE_CLOCKS.0);
        let clocks = Clocks { first_byte, idle, run: now + NODE_CLOCKS.1 };
        Self { stream: Stream::Call(call), clocks }
    }
}

impl Upstream for NodeUpstream {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn clocks(&self) -> Clocks {
        self.clocks
    }

    /// The node has added to what the function sent.
    fn limits(&self) -> Limits {
        Limits::inside()
    }

    /// What is dropped without having been read whole is cancelled.
    fn release(self, reusable: bool) {
        if let (true, Stream::Call(call)) = (reusable, self.stream) {
            call.forget();
        }
    }
}
