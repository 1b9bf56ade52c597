//! The loop: orders in, events out, and everyone who lives in between.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::net::RecvFlags;

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

#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) ground: Ground,
    node: OwnedFd,
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
        Ok(Self {
            ground,
            node,
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
    pub(super) fn welcome(&self, grants: Grants) -> io::Result<()> {
        packet::send_message(&self.node, &Welcome::Ready { grants }, &[])
    }

    /// Serves until the node says stop or is gone, and everything has ended.
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
        let ns = leaving.into_iter().chain(nests).min()?;
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
        if token == NODE {
            return self.take_order();
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

    fn take_order(&mut self) -> io::Result<()> {
        let packet = self.receiver.receive(&self.node, RecvFlags::DONTWAIT);
        let (order, attached) = match packet {
            Ok(Some((bytes, attached))) => (Order::read(bytes, attached.len()), attached),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Ok(None) => return self.stop(),
            Err(error) => (Err(error), Vec::new()),
        };
        match order {
            Ok(order) => self.obey(order, attached),
            Err(error) => {
                // A node that asks for what it may not is broken or taken over.
                let message = format!("order refused, ending all: {error}");
                self.tell(&Event::Note { message }, &[]);
                self.stop()
            }
        }
    }

    /// Begins the end of everything.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        if !self.is_stopping {
            self.is_stopping = true;
            epoll::delete(&self.epoll, &self.node)?;
            self.residents.values_mut().for_each(Resident::kill);
        }
        Ok(())
    }

    /// Has a descriptor of a sandbox wake us. Closing it ends that.
    pub(super) fn watch(&self, key: u64, fd: &OwnedFd, source: Source) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, source.of(key), epoll::EventFlags::IN)?)
    }

    /// Sends an event. A node that is gone is noticed by its closed socket.
    pub(super) fn tell(&self, event: &Event, attached: &[BorrowedFd<'_>]) {
        let _ = packet::send_message(&self.node, event, attached);
    }
}
