//! The loop: orders in, events out, and everyone who lives in between.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::net::RecvFlags;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::birth;
use super::door;
use super::resident::{Clock, Resident, Stage, now_ns};
use super::setup::Ground;
use crate::cgroup::{self, GroupPaths, clear};
use crate::exit::Exit;
use crate::grants::Grants;
use crate::protocol::event::{Event, Welcome};
use crate::protocol::order::Order;
use crate::protocol::packet::{self, Receiver};
use crate::spec::{Entry, SandboxSpec};
use crate::steps::{Step, StepError};

/// How soon a group that could not be removed is looked at again. Its last process may still
/// be on its way out of the kernel, and version 1 has no event for that.
const RETRY: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// A group that stays busy this often is left to the next start's cleaning.
const RETRIES: u32 = 500;

/// Which descriptor of a sandbox woke us.
#[derive(Clone, Copy)]
enum Source {
    Reaper = 0,
    Nest = 1,
    Ended = 2,
}

const NODE: u64 = u64::MAX;

/// A group whose processes have been told to go.
#[derive(Debug)]
struct Leaving {
    group: GroupPaths,
    /// What the node is to hear once nobody is left.
    event: Option<Event>,
    tries: u32,
}

#[derive(Debug)]
pub(super) struct Keeper {
    ground: Ground,
    node: OwnedFd,
    receiver: Receiver,
    epoll: OwnedFd,
    residents: HashMap<u64, Resident>,
    leaving: Vec<Leaving>,
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
            leaving: Vec::new(),
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
        while !(self.is_stopping && self.residents.is_empty() && self.leaving.is_empty()) {
            let timeout = (!self.leaving.is_empty()).then_some(&RETRY);
            events.clear();
            rustix::io::retry_on_intr(|| {
                let buffer = rustix::buffer::spare_capacity(&mut events);
                epoll::wait(&self.epoll, buffer, timeout)
            })?;
            for event in &events {
                self.wake(event.data.u64())?;
            }
            self.see_off();
        }
        self.ground.clear()?;
        self.tell(&Event::Stopped, &[]);
        Ok(())
    }

    fn wake(&mut self, token: u64) -> io::Result<()> {
        if token == NODE {
            return self.take_order();
        }
        let id = token >> 2;
        match token & 3 {
            source if source == Source::Reaper as u64 => self.hear(id, Source::Reaper),
            source if source == Source::Nest as u64 => self.hear(id, Source::Nest),
            _ => return self.bury(id),
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
                self.tell(
                    &Event::Note { message: format!("order refused, ending all: {error}") },
                    &[],
                );
                self.stop()
            }
        }
    }

    fn obey(&mut self, order: Order, attached: Vec<OwnedFd>) -> io::Result<()> {
        match order {
            Order::Hatch { spec, decided_ns } => {
                let id = spec.id;
                if let Err(error) = self.hatch(&spec, decided_ns, &attached) {
                    self.tell(&Event::Failed { id, error }, &[]);
                }
            }
            Order::Terminate { id } => {
                if let Some(resident) = self.residents.get_mut(&id) {
                    resident.terminate();
                }
            }
            Order::Kill { id } => {
                if let Some(resident) = self.residents.get_mut(&id) {
                    resident.kill();
                }
            }
            Order::Connect { id, call, door } => {
                let gone = || io::Error::from_raw_os_error(libc::ESRCH);
                let resident = self.residents.get(&id).ok_or_else(gone);
                match resident.and_then(|resident| door::open(resident, door)) {
                    Ok(socket) => {
                        self.tell(&Event::Connected { call, errno: 0 }, &[socket.as_fd()]);
                    }
                    Err(error) => {
                        let errno = error.raw_os_error().unwrap_or(libc::EIO);
                        self.tell(&Event::Connected { call, errno }, &[]);
                    }
                }
            }
            Order::Stop => return self.stop(),
        }
        Ok(())
    }

    /// Begins the end of everything.
    fn stop(&mut self) -> io::Result<()> {
        if !self.is_stopping {
            self.is_stopping = true;
            epoll::delete(&self.epoll, &self.node)?;
            self.residents.values_mut().for_each(Resident::kill);
        }
        Ok(())
    }

    fn hatch(
        &mut self,
        spec: &SandboxSpec,
        decided: u64,
        given: &[OwnedFd],
    ) -> Result<(), StepError> {
        let received = now_ns();
        if self.residents.contains_key(&spec.id) {
            return Err(StepError {
                step: Step::Check,
                errno: libc::EEXIST,
                detail: format!("id {} lives already", spec.id),
            });
        }
        let luggage = birth::pack(&self.ground, spec)?;
        let seat = self.free_seat();
        let uid = self.ground.charter.uid_base + 1 + seat;
        let group = birth::group(&self.ground, &spec.id.to_string(), &birth::limits(spec))?;
        let newborn = match birth::prepare(&self.ground, &group, uid, spec.network) {
            Ok(newborn) => newborn,
            Err(error) => {
                self.leave(group, None);
                return Err(error);
            }
        };
        let assigned = birth::assign(&self.ground, newborn.nest.as_fd(), spec, given, &luggage);
        let mut resident = Resident {
            groups: group,
            child: newborn.child,
            reaper: Some(newborn.reaper),
            nest: Some(newborn.nest),
            function: None,
            private: luggage.private,
            network: spec.network,
            port: match spec.entry {
                Entry::Inherited => 0,
                Entry::Probed { port } => port,
            },
            seat,
            stage: Stage::Isolating,
            clock: Clock { decided, received, executing: received },
            status: None,
            was_told: false,
        };
        let watched = self.watch_all(spec.id, &resident);
        if let Err(error) = assigned.and(watched) {
            // It is told from here; its end shall not tell it again.
            resident.fail(error.clone());
            resident.kill();
            self.residents.insert(spec.id, resident);
            return Err(error);
        }
        self.residents.insert(spec.id, resident);
        Ok(())
    }

    /// The lowest place that nobody has; ids are given again only when nobody is left.
    fn free_seat(&self) -> u32 {
        let taken: std::collections::HashSet<u32> =
            self.residents.values().map(|resident| resident.seat).collect();
        (0..).find(|seat| !taken.contains(seat)).expect("there are more numbers than sandboxes")
    }

    fn watch_all(&self, id: u64, resident: &Resident) -> Result<(), StepError> {
        let watch = |fd: BorrowedFd<'_>, source: Source| {
            let data = epoll::EventData::new_u64(id << 2 | source as u64);
            epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN)
        };
        let nest = resident.nest.iter().map(|fd| (fd, Source::Nest));
        let reaper = resident.reaper.iter().map(|fd| (fd, Source::Reaper));
        nest.chain(reaper)
            .chain([(&resident.child.pidfd, Source::Ended)])
            .try_for_each(|(fd, source)| watch(fd.as_fd(), source))
            .map_err(|error| StepError::new(Step::Process, "epoll", &error.into()))
    }

    /// One of the two halves of a sandbox has something to say, or has closed its socket.
    /// False when there is no more to hear for now.
    fn hear(&mut self, id: u64, source: Source) -> bool {
        let Some(resident) = self.residents.get_mut(&id) else {
            return false;
        };
        let socket = match source {
            Source::Nest => &mut resident.nest,
            Source::Reaper | Source::Ended => &mut resident.reaper,
        };
        let Some(open) = socket.as_ref() else {
            return false;
        };
        match self.receiver.receive(open, RecvFlags::DONTWAIT) {
            Ok(Some((bytes, attached))) => {
                let news = match packet::decode(bytes) {
                    Ok(report) => resident.hear(report, attached, now_ns()),
                    Err(error) => {
                        // Not our program's words any more: whoever speaks has to go.
                        resident.kill();
                        resident.fail(StepError::new(Step::Process, "report", &error))
                    }
                };
                if news {
                    self.announce(id);
                }
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            // Closed: no more to come from this half. Ours closes too, which takes it out of
            // epoll, as it does for everything else of a sandbox.
            Ok(None) | Err(_) => {
                *socket = None;
                if matches!(source, Source::Nest) && resident.nest_closed() {
                    self.announce(id);
                }
                false
            }
        }
    }

    /// Tells the node how a start came out.
    fn announce(&mut self, id: u64) {
        let Some(resident) = self.residents.get(&id) else {
            return;
        };
        let event = match &resident.stage {
            Stage::Running => Event::Hatched {
                id,
                pid: resident.function_pid(),
                groups: resident.groups.clone(),
                phases: resident.clock.phases(now_ns()),
            },
            Stage::Failed(error) => Event::Failed { id, error: error.clone() },
            Stage::Isolating | Stage::Executing => return,
        };
        self.tell(&event, &[]);
    }

    /// The first process of a sandbox has ended: with a process-id namespace, all have.
    fn bury(&mut self, id: u64) -> io::Result<()> {
        // Its end may be seen before its last words: they come first.
        while self.hear(id, Source::Nest) {}
        while self.hear(id, Source::Reaper) {}
        let Some(mut resident) = self.residents.remove(&id) else {
            return Ok(());
        };
        let pidfd = WaitId::PidFd(resident.child.pidfd.as_fd());
        let ended = waitid(pidfd, WaitIdOptions::EXITED)?;
        let status = resident.status.or(ended.map(|ended| {
            match (ended.exit_status(), ended.terminating_signal()) {
                (Some(code), _) => code << 8,
                (None, signal) => signal.unwrap_or(libc::SIGKILL),
            }
        }));
        let status = status.unwrap_or(libc::SIGKILL);
        let oom_kills = self.ground.groups.oom_kills(&resident.groups).unwrap_or(0);
        let exit = Exit::judge(status, oom_kills, resident.was_told);
        let event = match &resident.stage {
            Stage::Running => Some(Event::Exited { id, exit }),
            Stage::Failed(_) => None,
            Stage::Isolating | Stage::Executing => {
                let error = StepError { step: Step::Process, errno: 0, detail: exit.to_string() };
                resident.fail(error.clone());
                Some(Event::Failed { id, error })
            }
        };
        self.leave(resident.groups, event);
        Ok(())
    }

    fn leave(&mut self, group: GroupPaths, event: Option<Event>) {
        self.leaving.push(Leaving { group, event, tries: 0 });
    }

    /// Tells the node of every group in which nobody is left, and removes it.
    fn see_off(&mut self) {
        let mut leaving = std::mem::take(&mut self.leaving);
        leaving.retain_mut(|leaving| {
            leaving.tries += 1;
            if !leaving.is_empty() {
                return leaving.tries < RETRIES;
            }
            if let Some(event) = leaving.event.take() {
                self.tell(&event, &[]);
            }
            cgroup::remove(&leaving.group).is_err() && leaving.tries < RETRIES
        });
        self.leaving.append(&mut leaving);
    }

    /// Sends an event. A node that is gone is noticed by its closed socket.
    fn tell(&self, event: &Event, attached: &[BorrowedFd<'_>]) {
        let _ = packet::send_message(&self.node, event, attached);
    }
}

impl Leaving {
    /// Looks whether anybody is left, and kills who is.
    fn is_empty(&self) -> bool {
        self.group.dirs().into_iter().all(|dir| match clear::members(dir) {
            Ok(members) if !members.is_empty() => {
                let _ = clear::kill(dir);
                false
            }
            Ok(_) | Err(_) => true,
        })
    }
}

impl Resident {
    /// The function's process as the host numbers it (pidfd_open(2), "Pid" in fdinfo); that of
    /// its reaper when it cannot be read.
    fn function_pid(&self) -> i32 {
        let read = |fd: &OwnedFd| {
            let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()));
            let info = info.ok()?;
            let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"))?;
            pid.trim().parse().ok().filter(|pid| *pid > 0)
        };
        let reaper = self.child.pid.as_raw_nonzero().get();
        self.function.as_ref().and_then(read).unwrap_or(reaper)
    }
}
