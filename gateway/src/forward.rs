//! Stage 6: to a node in another process, over HTTP/1.1 with connections kept per core.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::time::Duration;

use foldhash::fast::RandomState;
use hatchway_proto::failure::Failure;
use hatchway_proto::http1::Limits;
use hatchway_proto::name::VersionId;
use hatchway_wire::Stream;
use hatchway_wire::backend::{Backend, Invocation};
use hatchway_wire::http1::idle::Idle;
use hatchway_wire::http1::{Broken, Clocks, Found, Upstream};
use hatchway_wire::listen::Address;
use tokio::time::{Instant, timeout};

use crate::answer::{self, CallError};
use crate::place::{self, NodeState};

/// A node on the same network answers a connect within a round trip.
const CONNECT_CLOCK: Duration = Duration::from_secs(1);

/// A node that could not be reached is left alone this long.
const REST: Duration = Duration::from_secs(1);

/// Shorter than a node keeps an idle connection, so that no request meets a closing one.
const IDLE: Duration = Duration::from_secs(60);

/// The node has the clocks that matter. These only end what a lost node would leave hanging.
const NODE_CLOCKS: (Duration, Duration) =
    (Duration::from_secs(3600), Duration::from_secs(24 * 3600));

/// Nodes that are asked for a request before it is refused.
const TRIES: usize = 3;

/// Nodes reached over a network, as one core sees them.
#[derive(Debug)]
pub struct RemoteNodes {
    addresses: Vec<Address>,
    states: RefCell<Vec<NodeState>>,
    ranks: RefCell<HashMap<VersionId, Box<[usize]>, RandomState>>,
    idle: Idle<usize>,
}

/// Versions whose order of nodes is remembered on a core; a rank costs a hash a node to make again.
const RANKS: usize = 16 * 1024;

/// A connection to a node.
#[derive(Debug)]
pub struct NodeUpstream {
    stream: Stream,
    node: usize,
    idle: Idle<usize>,
    clocks: Clocks,
}

impl RemoteNodes {
    /// Nodes at fixed addresses. Called on the core that will ask them.
    pub fn new(addresses: Vec<Address>) -> Self {
        let states = addresses
            .iter()
            .map(|address| NodeState { name: address.to_string(), resting_until: None })
            .collect();
        let idle = Idle::default();
        idle.keep_swept(IDLE);
        Self { addresses, states: RefCell::new(states), ranks: RefCell::default(), idle }
    }

    /// Nodes to ask for a version.
    fn choose(&self, version: &VersionId, now: Instant) -> impl Iterator<Item = usize> + use<> {
        let (states, mut ranks) = (self.states.borrow(), self.ranks.borrow_mut());
        if ranks.len() > RANKS {
            ranks.clear();
        }
        let rank = ranks.entry(*version).or_insert_with(|| place::rank(version, &states));
        place::choose::<TRIES>(rank, &states, now)
    }

    async fn stream(&self, node: usize) -> io::Result<Stream> {
        if let Some(stream) = self.idle.take(&node, IDLE) {
            return Ok(stream);
        }
        let connecting = async {
            match &self.addresses[node] {
                Address::Tcp(address) => Stream::connect_tcp(*address).await,
                Address::Unix(path) => Stream::connect_unix(path).await,
            }
        };
        // Boxed: most requests find a connection, and all pay for the size of this future.
        Box::pin(timeout(CONNECT_CLOCK, connecting))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

impl Backend for RemoteNodes {
    type Upstream = NodeUpstream;

    const IS_REMOTE: bool = true;

    async fn connect(&self, invocation: &mut Invocation) -> Result<Found<NodeUpstream>, Failure> {
        let now = Instant::now();
        for node in self.choose(&invocation.version, now) {
            match self.stream(node).await {
                Ok(stream) => {
                    let clocks = Clocks {
                        first_byte: NODE_CLOCKS.0,
                        idle: NODE_CLOCKS.0,
                        run: now + NODE_CLOCKS.1,
                    };
                    let idle = self.idle.clone();
                    return Ok(Found::Upstream(NodeUpstream { stream, node, idle, clocks }));
                }
                Err(error) => {
                    tracing::warn!(node = %self.addresses[node], %error, "a node is not reached");
                    self.states.borrow_mut()[node].resting_until = Some(Instant::now() + REST);
                }
            }
        }
        Err(CallError::NoNode.failure())
    }

    async fn explain(
        &self,
        _invocation: &Invocation,
        _upstream: &mut NodeUpstream,
        broken: &Broken,
    ) -> Failure {
        answer::node_lost(broken)
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

    fn release(self, reusable: bool) {
        if reusable {
            self.idle.put(self.node, self.stream);
        }
    }
}
