//! The loop: orders in, events out, and everyone who lives in between.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::net::RecvFlags;

use super::adopt::{Heirs, Ids};
use super::fork::Fork;
use super::leaving::Leaving;
use super::nests::{Change, Nests};
use super::resident::Resident;
use super::seats::Seats;
use super::setup::Ground;
use crate::clock::now_ns;
use crate::grants::Grants;
use crate::protocol::event::{Event, Welcome};
use crate::protocol::order::Order;
use crate::protocol::packet::{self, Receiver};

/// How soon a group that could not be removed is looked at again: version 1 has no event for
/// the moment when it can be.
const RETRY_NS: u64 = 10_000_000;

/// Which descriptor of a sandbox woke us; the low bits of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Reaper = 0,
    Nest = 1,
    Ended = 2,
}

impl Source {
    /// The token of this descriptor of the sandbox `key`.
    pub(super) fn of(self, key: u64) -> epoll::EventData {
        epoll::EventData::new_u64(key << 2 | self as u64)
    }
}

/// The node's token; a sandbox's is its key and a [`Source`].
const NODE: u64 = u64::MAX;
/// That of the door by which the next node comes, and of one that has come and not said who it is.
pub(super) const DOOR: u64 = u64::MAX - 1;
pub(super) const VISITOR: u64 = u64::MAX - 2;

#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) ground: Ground,
    /// Gone while nobody commands us.
    pub(super) node: Option<OwnedFd>,
    pub(super) heirs: Heirs,
    pub(super) ids: Ids,
    pub(super) receiver: Receiver,
    pub(super) epoll: OwnedFd,
    /// By a key of our own: a nest has no id of the node's yet.
    pub(super) residents: HashMap<u64, Resident>,
    /// Which resident has which of the node's ids.
    pub(super) keys: HashMap<u64, u64>,
    pub(super) next_key: u64,
    /// Children of zygotes, by keys of the same numbers.
    pub(super) forks: HashMap<u64, Fork>,
    pub(super) nests: Nests,
    /// Those that somebody waits for: assigned, and not yet running.
    pub(super) starting: HashSet<u64>,
    pub(super) seats: Seats,
    pub(super) leaving: Leaving,
    is_stopping: bool,
}

impl Keeper {
    pub(super) fn new(ground: Ground, node: OwnedFd, receiver: Receiver) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(NODE);
        epoll::add(&epoll, &node, data, epoll::EventFlags::IN)?;
        let heirs = Heirs::open(&ground)?;
        if let Some(door) = heirs.door() {
            let data = epoll::EventData::new_u64(DOOR);
            epoll::add(&epoll, door, data, epoll::EventFlags::IN)?;
        }
        Ok(Self {
            ground,
            node: Some(node),
            heirs,
            ids: Ids::default(),
            receiver,
            epoll,
            residents: HashMap::new(),
            keys: HashMap::new(),
            next_key: 0,
            forks: HashMap::new(),
            nests: Nests::new(),
            starting: HashSet::new(),
            seats: Seats::default(),
            leaving: Leaving::default(),
            is_stopping: false,
        })
    }

    /// Tells the node that everything is ready.
    pub(super) fn welcome(&self, grants: Grants) {
        if let Some(node) = &self.node {
            // One that is gone by now is noticed by its closed socket.
            let _ = packet::send_message(node, &Welcome::Ready { grants }, &[]);
        }
    }

    /// Serves until the node says stop, or is gone and no other has come, and everything has ended.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(64);
        while !(self.is_stopping && self.is_empty()) {
            let timeout = self.patience();
            events.clear();
            rustix::io::retry_on_intr(|| {
                let buffer = rustix::buffer::spare_capacity(&mut events);
                epoll::wait(&self.epoll, buffer, timeout.as_ref())
            })?;
            for event in &events {
                self.wake(event.data.u64())?;
            }
            if self.heirs.are_late(now_ns()) {
                self.stop()?;
            }
            for event in self.leaving.see_off(&mut self.seats) {
                self.tell(&event, &[]);
            }
            if events.is_empty() && self.has_leisure() {
                self.tend_nests();
            }
        }
        self.ground.clear()?;
        self.tell(&Event::Stopped, &[]);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.residents.is_empty() && self.forks.is_empty() && self.leaving.is_empty()
    }

    /// How long to wait for an event: for ever, unless something is to be done without one.
    fn patience(&self) -> Option<Timespec> {
        let leaving = (!self.leaving.is_empty()).then_some(RETRY_NS);
        let nests = self.nests.wait_ns(now_ns()).filter(|_| self.has_leisure());
        let heirs = self.heirs.wait_ns(now_ns());
        let ns = leaving.into_iter().chain(nests).chain(heirs).min()?;
        let tv_nsec = ns.min(999_999_999).cast_signed();
        Some(Timespec { tv_sec: 0, tv_nsec })
    }

    /// True when nobody waits for us. A nest takes two milliseconds to make: replacing the one
    /// just given away at once would cost the start that it was given for as much.
    fn has_leisure(&self) -> bool {
        self.starting.is_empty() && !self.is_stopping
    }

    fn tend_nests(&mut self) {
        match self.nests.change(now_ns()) {
            Some(Change::Make(network)) => self.make_nest(network),
            Some(Change::End(key)) => {
                self.nests.forget(key);
                if let Some(resident) = self.residents.get_mut(&key) {
                    resident.kill();
                }
            }
            None => {}
        }
    }

    fn wake(&mut self, token: u64) -> io::Result<()> {
        match token {
            NODE => return self.take_order().map(drop),
            DOOR => return self.let_in(),
            VISITOR => return self.hear_visitor(),
            _ => {}
        }
        let key = token >> 2;
        if self.forks.contains_key(&key) {
            match token & 3 {
                source if source == Source::Nest as u64 => self.hear_child(key),
                _ => self.bury_child(key),
            }
            return Ok(());
        }
        match token & 3 {
            source if source == Source::Reaper as u64 => self.hear(key, Source::Reaper),
            source if source == Source::Nest as u64 => self.hear(key, Source::Nest),
            _ => return self.bury(key),
        };
        Ok(())
    }

    /// Carries out what the node says next. False when it has said nothing more, or is gone.
    pub(super) fn take_order(&mut self) -> io::Result<bool> {
        let Some(node) = &self.node else { return Ok(false) };
        let packet = self.receiver.receive(node, RecvFlags::DONTWAIT);
        let (order, attached) = match packet {
            Ok(Some((bytes, attached))) => (Order::read(bytes, attached.len()), attached),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Ok(None) => return self.lose_node().map(|()| false),
            Err(error) => (Err(error), Vec::new()),
        };
        match order {
            Ok(order) => self.obey(order, attached)?,
            Err(error) => {
                // A node that asks for what it may not is broken or taken over.
                let message = format!("order refused, ending all: {error}");
                self.tell(&Event::Note { message }, &[]);
                self.stop()?;
            }
        }
        Ok(!self.is_stopping)
    }

    /// Begins the end of everything.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        if !self.is_stopping {
            self.is_stopping = true;
            self.heirs.close();
            if let Some(node) = &self.node {
                epoll::delete(&self.epoll, node)?;
            }
            self.residents.values_mut().for_each(Resident::kill);
        }
        Ok(())
    }

    /// Takes orders from `visitor` from now on.
    pub(super) fn follow(&mut self, visitor: OwnedFd) -> io::Result<()> {
        let data = epoll::EventData::new_u64(NODE);
        epoll::modify(&self.epoll, &visitor, data, epoll::EventFlags::IN)?;
        self.node = Some(visitor);
        Ok(())
    }

    /// Has a descriptor of a sandbox wake us. Closing it ends that.
    pub(super) fn watch(&self, key: u64, fd: &OwnedFd, source: Source) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, source.of(key), epoll::EventFlags::IN)?)
    }

    /// Sends an event. A node that is gone is noticed by its closed socket.
    pub(super) fn tell(&self, event: &Event, attached: &[BorrowedFd<'_>]) {
        if let Some(node) = &self.node {
            let _ = packet::send_message(node, event, attached);
        }
    }
}
