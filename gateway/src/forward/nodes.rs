//! Nodes and the links to them: connected when first needed, and again after a rest when they were lost.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hatchway_proto::name::VersionId;
use hatchway_wire::Stream;
use hatchway_wire::link::{
    self, Again, Call, Choices, Ended, Link, NodeLoad, Placer, Security, Settings,
};
use hatchway_wire::listen::Address;
use hatchway_wire::ticker::Ticker;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::fleet::{Fleet, Member};
use crate::place::{self, NodeState, RetryBudget};

/// A node on the same network answers a connect within a round trip.
const CONNECT_CLOCK: Duration = Duration::from_secs(1);

/// Nodes that are asked for a request before it is refused.
const TRIES: usize = 3;

/// Versions whose order of nodes is remembered on a core; a rank costs a hash a node to make again.
const RANKS: usize = 16 * 1024;

/// All nodes of one core.
#[derive(Debug)]
pub(super) struct Nodes {
    slots: Vec<Slot>,
    states: RefCell<Vec<NodeState>>,
    ranks: RefCell<HashMap<VersionId, Box<[usize]>, RandomState>>,
    retries: Cell<RetryBudget>,
    dialer: Dialer,
}

/// One node, and the link to it.
#[derive(Debug)]
struct Slot {
    address: Address,
    load: Arc<NodeLoad>,
    link: RefCell<Reached>,
}

/// How far a connection is.
#[derive(Clone, Debug)]
enum Reached {
    /// Nobody has asked.
    No,
    /// Whoever asks now waits for the same attempt.
    Soon(watch::Receiver<Option<Option<Link>>>),
    /// It was open when it was looked at last.
    Yes(Link),
}

/// What a new link is made of.
#[derive(Clone, Debug)]
struct Dialer {
    instance: u128,
    settings: Rc<Settings>,
    security: Security,
    ticker: Ticker,
}

impl Dialer {
    async fn dial(self, address: &Address, load: Arc<NodeLoad>) -> Result<Link, Ended> {
        let connecting = async {
            match address {
                Address::Tcp(address) => Stream::connect_tcp(*address).await,
                Address::Unix(path) => Stream::connect_unix(path).await,
            }
        };
        let connected = timeout(CONNECT_CLOCK, connecting).await;
        let stream = connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| Ended::Broken(Arc::new(error)))?;
        let ip = match address {
            Address::Tcp(address) => Some(address.ip()),
            Address::Unix(_) => None,
        };
        let secured = self.security.connect(stream, ip, self.settings.hello_clock, &self.ticker);
        let stream = secured.await.map_err(|error| Ended::Insecure(Arc::new(error)))?;
        Link::open(stream, self.instance, self.settings, load, &self.ticker).await
    }
}

impl Nodes {
    pub(super) fn new(
        fleet: &Fleet,
        security: Security,
        ticker: &Ticker,
        settings: Settings,
    ) -> Self {
        let members = fleet.members().iter();
        let states = members.clone().map(|node| NodeState::new(node.address.to_string())).collect();
        let slot = |node: &Member| Slot {
            address: node.address.clone(),
            load: Arc::clone(&node.load),
            link: RefCell::new(Reached::No),
        };
        let slots = members.map(slot).collect();
        let (instance, settings) = (link::draw_instance(), Rc::new(settings));
        let dialer = Dialer { instance, settings, security, ticker: ticker.clone() };
        Self {
            slots,
            states: RefCell::new(states),
            ranks: RefCell::default(),
            retries: Cell::default(),
            dialer,
        }
    }

    /// Nodes to ask for a version, best first.
    pub(super) fn choose(&self, version: &VersionId, now: Instant) -> [Option<usize>; TRIES] {
        self.retries.set(self.retries.get().offered());
        let (states, mut ranks) = (self.states.borrow(), self.ranks.borrow_mut());
        if ranks.len() > RANKS {
            ranks.clear();
        }
        let rank = ranks.entry(*version).or_insert_with(|| place::rank(version, &states));
        place::choose(rank, |node| states[node].is_resting(now) || self.is_leaving(node))
    }

    /// The link to a node, if it is open.
    pub(super) fn link(&self, node: usize) -> Option<Link> {
        match &*self.slots[node].link.borrow() {
            Reached::Yes(link) if link.is_open() => Some(link.clone()),
            Reached::Yes(_) | Reached::Soon(_) | Reached::No => None,
        }
    }

    /// The node that a call has gone to, while the link to it is known.
    pub(super) fn name(&self, call: &Call) -> Option<Box<str>> {
        let slot = self
            .slots
            .iter()
            .find(|slot| matches!(&*slot.link.borrow(), Reached::Yes(link) if link.carries(call)));
        slot.map(|slot| slot.address.to_string().into())
    }

    /// The node takes nothing new, and still serves what it has.
    fn is_leaving(&self, node: usize) -> bool {
        matches!(&*self.slots[node].link.borrow(), Reached::Yes(link) if link.is_leaving())
    }

    /// The link to a node, connected if need be. None when it cannot be reached: the node rests then. Cancel safe: an attempt
    /// goes on for whoever else waits.
    pub(super) async fn reach(self: &Rc<Self>, node: usize) -> Option<Link> {
        if let Some(link) = self.link(node) {
            return Some(link);
        }
        let known = self.slots[node].link.borrow().clone();
        let mut attempt = match known {
            Reached::Soon(attempt) => attempt,
            Reached::No | Reached::Yes(_) => self.dial(node),
        };
        attempt.wait_for(Option::is_some).await.ok().and_then(|link| link.clone()).flatten()
    }

    /// Begins to connect.
    fn dial(self: &Rc<Self>, node: usize) -> watch::Receiver<Option<Option<Link>>> {
        let (tell, attempt) = watch::channel(None);
        let slot = &self.slots[node];
        slot.link.replace(Reached::Soon(attempt.clone()));
        let (this, dialer, address) = (Rc::clone(self), self.dialer.clone(), slot.address.clone());
        let load = Arc::clone(&slot.load);
        tokio::task::spawn_local(async move {
            let link = dialer.dial(&address, load).await;
            let mut states = this.states.borrow_mut();
            let reached = match &link {
                Ok(link) => {
                    states[node].answered();
                    Reached::Yes(link.clone())
                }
                Err(error) => {
                    states[node].failed(Instant::now());
                    let error = hatchway_wire::process::chain(error);
                    tracing::warn!(node = %address, error, "a node is not reached");
                    Reached::No
                }
            };
            this.slots[node].link.replace(reached);
            drop(states);
            tell.send_replace(Some(link.ok()));
        });
        attempt
    }
}

impl Placer for Nodes {
    fn again(self: Rc<Self>, choices: Choices) -> Again {
        Box::pin(async move {
            self.retries.set(self.retries.get().again()?);
            let mut left = choices.into_iter().flatten();
            while let Some(node) = left.next() {
                if let Some(link) = self.reach(node).await {
                    return Some((link, [left.next(), None]));
                }
            }
            None
        })
    }
}
