//! One node, as one core knows it: its link, and how asking it has gone.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::link::LinkError;
use hatchway_wire::Stream;
use hatchway_wire::link::{self, Ended, Link, Security, Settings};
use hatchway_wire::listen::Address;
use hatchway_wire::process;
use hatchway_wire::ticker::Ticker;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::fleet::Member;
use crate::place::{Health, Seen};

/// A node on the same network answers a connect within a round trip.
const CONNECT_CLOCK: Duration = Duration::from_secs(1);

/// A node to which a connection takes longer than this is not waited for while others are there.
pub(super) const SLOW_CONNECT: Duration = Duration::from_millis(100);

/// A node that owes a sign of life for so long gets nothing new, long before its link is given up: it may be frozen, or cut off.
const SILENCE: Duration = Duration::from_secs(2);

/// A place for a node among those of a core. Requests know nodes by the number of their place, so it stays when its node leaves.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) member: RefCell<Arc<Member>>,
    link: RefCell<Reached>,
    health: RefCell<Health>,
    /// Why it was not reached last: told once.
    told: RefCell<String>,
    /// Its node has left.
    pub(super) is_gone: Cell<bool>,
}

/// How far a connection is.
#[derive(Clone, Debug)]
enum Reached {
    /// Nobody has asked, or the last one was lost.
    No,
    /// Whoever asks now waits for the same attempt.
    Soon(watch::Receiver<Option<Option<Link>>>, Instant),
    /// It was open when it was looked at last.
    Yes(Link),
}

/// What a new link is made of.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    instance: u128,
    settings: Rc<Settings>,
    security: Security,
    ticker: Ticker,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
enum Unreached {
    #[error(transparent)]
    Ended(#[from] Ended),
    #[error(
        "another program answers there: the node has started anew, or its address has gone to another"
    )]
    NotThisNode,
}

impl Dialer {
    pub(super) fn new(security: Security, ticker: &Ticker, settings: Settings) -> Self {
        let (instance, settings) = (link::draw_instance(), Rc::new(settings));
        Self { instance, settings, security, ticker: ticker.clone() }
    }

    async fn dial(self, member: &Member) -> Result<Link, Unreached> {
        let address = &member.node.address;
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
        let load = Arc::clone(&member.load);
        let link = Link::open(stream, self.instance, self.settings, load, &self.ticker).await?;
        match member.node.instance {
            Some(meant) if link.instance() != Some(meant) => {
                link.leave();
                Err(Unreached::NotThisNode)
            }
            Some(_) | None => Ok(link),
        }
    }
}

impl Slot {
    /// For a node; one that `joins` while others serve gets its part little by little.
    pub(super) fn new(member: Arc<Member>, joins: Option<Instant>) -> Rc<Self> {
        let health = joins.map(Health::joining).unwrap_or_default();
        Rc::new(Self {
            member: RefCell::new(member),
            link: RefCell::new(Reached::No),
            health: RefCell::new(health),
            told: RefCell::default(),
            is_gone: Cell::new(false),
        })
    }

    /// What is known of the node has changed. Links to another process than the one that is meant go when their calls are over.
    pub(super) fn is_now(&self, member: &Arc<Member>, now: Instant) {
        let was = self.member.replace(Arc::clone(member));
        let is_same = was.node.is_same_process(&member.node) && self.leads_there();
        let was_gone = self.is_gone.replace(false);
        if !is_same || was_gone {
            self.health.replace(Health::joining(now));
        }
        if !is_same {
            self.let_go();
        }
    }

    /// False when a link leads to another process: it was made while nobody knew which one is meant.
    fn may_be(&self, link: &Link) -> bool {
        let meant = self.member.borrow().node.instance;
        meant.is_none_or(|meant| link.instance() == Some(meant))
    }

    /// False when the link there is leads to another process.
    fn leads_there(&self) -> bool {
        match &*self.link.borrow() {
            Reached::Yes(link) => self.may_be(link),
            Reached::Soon(..) | Reached::No => true,
        }
    }

    /// Whoever asks now waits for the attempt that `tell` ends.
    fn waits_for(&self, tell: &watch::Sender<Option<Option<Link>>>) -> bool {
        let is_it = |attempt: &watch::Receiver<_>| attempt.same_channel(&tell.subscribe());
        matches!(&*self.link.borrow(), Reached::Soon(attempt, _) if is_it(attempt))
    }

    /// The link there is closes when its calls are over.
    fn let_go(&self) {
        if let Reached::Yes(link) = self.link.replace(Reached::No) {
            link.leave();
        }
    }

    /// The node has left.
    pub(super) fn leave(&self) {
        self.is_gone.set(true);
        self.let_go();
    }

    /// The link, if it is open.
    pub(super) fn link(&self) -> Option<Link> {
        match &*self.link.borrow() {
            Reached::Yes(link) if link.is_open() => Some(link.clone()),
            Reached::Yes(_) | Reached::Soon(..) | Reached::No => None,
        }
    }

    /// True where `call` has gone over this link.
    pub(super) fn carries(&self, call: &link::Call) -> bool {
        matches!(&*self.link.borrow(), Reached::Yes(link) if link.carries(call))
    }

    /// The node takes nothing new, and still serves what it has.
    pub(super) fn is_leaving(&self) -> bool {
        let says_so = self.member.borrow().node.is_leaving;
        let is_leaving = |link: &Link| link.is_leaving() && !link.has_heir();
        says_so || matches!(&*self.link.borrow(), Reached::Yes(link) if is_leaving(link))
    }

    /// How it stands. A link that has broken since the last look is counted.
    pub(super) fn look(&self, now: Instant) -> Seen {
        let broken = match &*self.link.borrow() {
            Reached::Yes(link) if link.is_broken() => link.ended(),
            Reached::Yes(_) | Reached::Soon(..) | Reached::No => None,
        };
        if let Some(why) = broken {
            self.link.replace(Reached::No);
            let health = &mut *self.health.borrow_mut();
            match why {
                // Whoever asked it now would wait as well.
                Ended::Ours(LinkError::Silence) => health.failed(now),
                _ => health.broke(now),
            }
        }
        let is_slow = match &*self.link.borrow() {
            Reached::Soon(_, since) => *since + SLOW_CONNECT <= now,
            Reached::Yes(link) => link.is_silent(now, SILENCE),
            Reached::No => false,
        };
        let health = self.health.borrow();
        let load = self.member.borrow().load.read();
        Seen {
            used_permille: load.map(|load| load.used_permille),
            is_leaving: self.is_leaving() || load.is_some_and(|load| load.is_draining),
            failures: health.failures().max(is_slow.into()),
            ramp_permille: health.ramp_permille(now),
        }
    }

    /// True where a connection should be begun before somebody needs it.
    pub(super) fn wants_link(&self, now: Instant) -> bool {
        let is_known = self.is_gone.get() || self.is_leaving();
        let has_none = match &*self.link.borrow() {
            Reached::No => true,
            Reached::Yes(link) => link.ended().is_some() || link.has_heir(),
            Reached::Soon(..) => false,
        };
        !is_known && has_none && !self.health.borrow().rests(now)
    }

    /// The link, connected if need be. None when the node cannot be reached: it rests then. Cancel safe: an attempt
    /// goes on for whoever else waits.
    pub(super) async fn reach(self: &Rc<Self>, dialer: &Dialer) -> Option<Link> {
        loop {
            if let Some(link) = self.link() {
                return Some(link);
            }
            let mut attempt = self.dial(dialer);
            let made = attempt.wait_for(Option::is_some).await.ok().and_then(|link| link.clone());
            match made.flatten() {
                // Another process has taken over in this very moment.
                Some(link) if link.has_heir() => {}
                made => return made,
            }
        }
    }

    /// Says why the node is not reached, unless that was said before.
    fn tell(&self, member: &Member, error: String) {
        let node = &*member.node.facts.name;
        if *self.told.borrow() != error {
            tracing::warn!(node, address = %member.node.address, error, "a node is not reached");
        }
        self.told.replace(error);
    }

    /// Begins to connect, unless somebody has.
    pub(super) fn dial(self: &Rc<Self>, dialer: &Dialer) -> watch::Receiver<Option<Option<Link>>> {
        if let Reached::Soon(attempt, _) = &*self.link.borrow() {
            return attempt.clone();
        }
        let (tell, attempt) = watch::channel(None);
        self.link.replace(Reached::Soon(attempt.clone(), Instant::now()));
        let (this, dialer) = (Rc::clone(self), dialer.clone());
        let member = Arc::clone(&this.member.borrow());
        tokio::task::spawn_local(async move {
            let link = dialer.dial(&member).await;
            let reached = match &link {
                Ok(link) if !this.may_be(link) => {
                    link.leave();
                    Reached::No
                }
                Ok(link) => {
                    this.health.borrow_mut().reached(Instant::now());
                    this.told.borrow_mut().clear();
                    Reached::Yes(link.clone())
                }
                Err(error) => {
                    this.health.borrow_mut().failed(Instant::now());
                    this.tell(&member, process::chain(error));
                    Reached::No
                }
            };
            // Meanwhile it may have become another node, or more may be known of it.
            if this.waits_for(&tell) {
                this.link.replace(reached);
            } else if let Ok(link) = &link {
                link.leave();
            }
            tell.send_replace(Some(link.ok()));
        });
        attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::Node;

    fn member(instance: u128) -> Arc<Member> {
        let address = "unix:/n".parse().expect("it is an address");
        let node = Node { instance: Some(instance), ..Node::at(address) };
        Arc::new(Member { node, load: Arc::default() })
    }

    #[test]
    fn a_node_that_has_left_comes_back_as_the_same_process_or_as_another() {
        for instance in [1, 2] {
            let slot = Slot::new(member(1), None);
            slot.leave();
            slot.is_now(&member(instance), Instant::now());
            assert!(!slot.is_gone.get() && slot.wants_link(Instant::now()));
        }
    }
}
