//! From one node to the next: what serves outlives a node that has gone without a word.
//!
//! While a node commands us nobody else may. Once its socket has closed, or it has handed over, what it had not said to
//! be serving ends, its zygotes among it; the rest goes on answering whoever is connected, for a bounded time. A node that
//! comes meanwhile by the door in the folder of this run, is who that folder belongs to, and asks for no more than the last
//! one, is told of every sandbox and commands from then on. If none comes, everything ends as if nobody could.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::event::epoll;
use rustix::net::{
    AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen,
    socket_with, sockopt,
};
use rustix::process::geteuid;

use super::fork::ForkStage;
use super::keeper::{Keeper, VISITOR};
use super::resident::Stage;
use super::setup::Ground;
use crate::cgroup::GroupPaths;
use crate::clock::now_ns;
use crate::folder;
use crate::protocol::event::{DOOR, Event, Welcome};
use crate::protocol::order::{Charter, Door};
use crate::protocol::packet;
use crate::spec::{Entry, Network};
use crate::tier::Tier;

/// What the next node needs of a sandbox.
#[derive(Debug)]
pub(super) struct Kept {
    record: String,
    output: Vec<OwnedFd>,
    serves: bool,
    door: Option<Door>,
}

/// The ids that nodes have given, as far as the next one has to stay clear of them: the highest of those that share
/// their upper 16 bits, by which a node may keep kinds of ids apart.
#[derive(Debug, Default)]
pub(super) struct Ids(BTreeMap<u64, u64>);

impl Ids {
    pub(super) fn give(&mut self, id: u64) {
        let highest = self.0.entry(id >> 48).or_insert(id);
        *highest = id.max(*highest);
    }
}

/// Who may come next, and until when.
#[derive(Debug)]
pub(super) struct Heirs {
    /// None where orphans end at once.
    door: Option<OwnedFd>,
    /// The owner of the folder of this run.
    owner: u32,
    patience_ns: u64,
    /// One that has come and has not said what it wants.
    visitor: Option<OwnedFd>,
    /// Set while there is no node.
    late_at_ns: Option<u64>,
}

impl Heirs {
    /// Opens the door, if there is to be one.
    pub(super) fn open(ground: &Ground) -> io::Result<Self> {
        let patience_ns = ground.charter.orphan_ms.saturating_mul(1_000_000);
        let owner = std::fs::metadata(ground.run_dir.path())?.uid();
        let door = (patience_ns > 0).then(|| open_door(ground)).transpose()?;
        Ok(Self { door, owner, patience_ns, visitor: None, late_at_ns: None })
    }

    pub(super) fn door(&self) -> Option<&OwnedFd> {
        self.door.as_ref()
    }

    /// Nobody comes any more.
    pub(super) fn close(&mut self) {
        (self.door, self.visitor, self.late_at_ns) = (None, None, None);
    }

    pub(super) fn are_late(&self, now_ns: u64) -> bool {
        self.late_at_ns.is_some_and(|at| at <= now_ns)
    }

    pub(super) fn wait_ns(&self, now_ns: u64) -> Option<u64> {
        self.late_at_ns.map(|at| at.saturating_sub(now_ns))
    }

    /// Whoever we are ourselves, which is who a node is when it starts, and the owner of the folder, which is who it
    /// becomes: the kernel says who it is (unix(7), `SO_PEERCRED`).
    fn may_enter(&self, visitor: &OwnedFd) -> bool {
        let user = sockopt::socket_peercred(visitor).map(|peer| peer.uid.as_raw());
        user.is_ok_and(|user| user == self.owner || user == geteuid().as_raw())
    }
}

fn open_door(ground: &Ground) -> io::Result<OwnedFd> {
    let path = ground.run_dir.join(DOOR);
    folder::remove(&path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let door = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    bind(&door, &SocketAddrUnix::new(&path)?)?;
    // The folder is closed to all but its owner, and whoever comes in is asked.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
    listen(&door, 1)?;
    Ok(door)
}

impl Keeper {
    /// Notes what the next node will need of a sandbox.
    pub(super) fn keep(&mut self, id: u64, record: String, output: Vec<OwnedFd>) {
        if let Some(place) = self.kept_place(id) {
            *place = Some(Kept { record, output, serves: false, door: None });
        }
    }

    /// It has come to serve.
    pub(super) fn serves(&mut self, id: u64, door: Option<Door>) {
        if let Some(Some(kept)) = self.kept_place(id) {
            (kept.serves, kept.door) = (true, door);
        }
    }

    fn kept_place(&mut self, id: u64) -> Option<&mut Option<Kept>> {
        let key = self.keys.get(&id)?;
        if let Some(fork) = self.forks.get_mut(key) {
            return Some(&mut fork.kept);
        }
        let guest = self.residents.get_mut(key)?.guest.as_mut()?;
        Some(&mut guest.kept)
    }

    /// The node's socket has closed, or nothing more is to come by it.
    pub(super) fn lose_node(&mut self) -> io::Result<()> {
        if self.heirs.door.is_none() {
            return self.stop();
        }
        self.node = None;
        for id in self.nobodys() {
            self.kill(id);
        }
        if self.wards().next().is_none() {
            return self.stop();
        }
        self.heirs.late_at_ns = Some(now_ns().saturating_add(self.heirs.patience_ns));
        Ok(())
    }

    /// The ids of what is of no use to the next node: it was on its way here, or out.
    fn nobodys(&self) -> Vec<u64> {
        let wards: Vec<u64> = self.wards().map(|ward| ward.id).collect();
        self.keys.keys().filter(|id| !wards.contains(id)).copied().collect()
    }

    /// Somebody is at the door.
    pub(super) fn let_in(&mut self) -> io::Result<()> {
        let Some(door) = self.heirs.door.as_ref() else { return Ok(()) };
        let Ok(visitor) = accept_with(door, SocketFlags::CLOEXEC) else { return Ok(()) };
        if self.heirs.may_enter(&visitor) {
            let data = epoll::EventData::new_u64(VISITOR);
            epoll::add(&self.epoll, &visitor, data, epoll::EventFlags::IN)?;
            // One that came before and has said nothing is forgotten.
            self.heirs.visitor = Some(visitor);
        }
        Ok(())
    }

    /// A visitor says what it wants to work with, which has to be what we work with.
    pub(super) fn hear_visitor(&mut self) -> io::Result<()> {
        let Some(visitor) = self.heirs.visitor.take() else { return Ok(()) };
        let charter = match self.receiver.receive(&visitor, RecvFlags::DONTWAIT) {
            Ok(Some((bytes, _))) => packet::decode::<Charter>(bytes),
            Ok(None) | Err(_) => return Ok(()),
        };
        // The end of the last one may not have been seen yet.
        while self.take_order()? {}
        if self.node.is_some() {
            refuse(&visitor, "another node commands this spawner".to_owned());
            return Ok(());
        }
        let words = |error: io::Error| format!("not understood: {error}");
        match charter.map_err(words).and_then(|charter| self.ground.charter.covers(&charter)) {
            Ok(()) => {
                self.follow(visitor)?;
                self.heirs.late_at_ns = None;
                self.welcome(self.ground.grants.clone());
                self.tell_wards();
                Ok(())
            }
            // It will start a spawner of its own, once it sees this one end.
            Err(reason) => {
                refuse(&visitor, reason);
                self.node = Some(visitor);
                self.stop()
            }
        }
    }

    /// Everything that serves and is not about to end.
    fn wards(&self) -> impl Iterator<Item = Ward<'_>> {
        let residents = self.residents.values().filter_map(|one| {
            let guest = one.guest.as_ref().filter(|_| one.stage == Stage::Running)?;
            let entry = match guest.port {
                0 => Entry::Inherited,
                port => Entry::Probed { port },
            };
            let kept = guest.kept.as_ref().filter(|kept| kept.serves && !one.was_told)?;
            let (pid, network) = (one.function_pid(), one.network);
            let (id, tier, groups) = (guest.id, guest.tier, &one.groups);
            Some(Ward { id, pid, tier, entry, network, groups, kept })
        });
        let forks = self.forks.values().filter_map(|fork| {
            let process = fork.process.as_ref().filter(|_| fork.stage == ForkStage::Serving)?;
            let network = self.residents.get(&fork.zygote).map_or(Network::None, |one| one.network);
            let kept = fork.kept.as_ref().filter(|kept| kept.serves && !fork.was_told)?;
            let (id, pid, groups) = (fork.id, process.pid, &fork.groups);
            let (tier, entry) = (Tier::Fork, Entry::Inherited);
            Some(Ward { id, pid, tier, entry, network, groups, kept })
        });
        residents.chain(forks)
    }

    fn tell_wards(&self) {
        for ward in self.wards() {
            let event = Event::Kept {
                id: ward.id,
                pid: ward.pid,
                groups: ward.groups.clone(),
                tier: ward.tier,
                entry: ward.entry,
                network: ward.network,
                record: ward.kept.record.clone(),
                door: ward.kept.door,
            };
            let output: Vec<_> = ward.kept.output.iter().map(AsFd::as_fd).collect();
            self.tell(&event, &output);
        }
        let highest = self.ids.0.values().copied().collect();
        self.tell(&Event::AllKept { highest }, &[]);
    }
}

/// A sandbox that serves, whatever it was started from.
struct Ward<'a> {
    id: u64,
    pid: i32,
    tier: Tier,
    entry: Entry,
    network: Network,
    groups: &'a GroupPaths,
    kept: &'a Kept,
}

fn refuse(visitor: &OwnedFd, reason: String) {
    // One that does not wait for the answer needs none.
    let _ = packet::send_message(visitor, &Welcome::Refused { reason }, &[]);
}
