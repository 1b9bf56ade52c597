//! Sandboxes that outlive the node that has started them, and the node that takes them over.
//!
//! Who owns what: a sandbox is owned by the spawner, as its parent, from its first process to its last. It is commanded by
//! one node at a time, the one at the other end of the spawner's socket; the spawner lets nobody else in while that is
//! open. A node that goes without a word, by `kill -9` or by [`Spawner::leave`], leaves behind what it had said to
//! [serve](Sandbox::serves); the next one, of the same user and the same folder, gets a handle to each, and what no
//! node comes for ends when the time that was set is over. A spawner of another format of packets is not talked to:
//! it ends, with all that it has, and a new one is started.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
    sockopt,
};
use rustix::process::geteuid;

use crate::equipment::{Guard, Kept, SocketFile};
use crate::grants::Grants;
use crate::link::{Hatched, Link};
use crate::protocol::event::{DOOR, Event, PhasesNs, Welcome};
use crate::protocol::packet::{self, Receiver};
use crate::sandbox::{Sandbox, Way};
use crate::spawner::{LaunchError, Spawner, SpawnerConfig, check};
use crate::spec::Entry;

/// What a node finds that comes after another one.
#[derive(Debug)]
pub struct Inheritance {
    /// The spawner that the node before has started.
    pub spawner: Spawner,
    /// What every sandbox gets.
    pub grants: Grants,
    /// Every sandbox that serves. Dropped, it ends.
    pub orphans: Vec<Orphan>,
    /// The highest ids that were ever given, one for each group of ids that share their upper 16 bits.
    pub highest_ids: Vec<u64>,
}

/// A sandbox that serves, and what the node before has [written down](Sandbox::keep) of it.
#[derive(Debug)]
pub struct Orphan {
    /// As it was written.
    pub record: String,
    /// Its handle.
    pub sandbox: Sandbox,
}

impl Spawner {
    /// Takes over the spawner of a node that has gone, and all that serves; none when there is no such spawner, or when
    /// it cannot serve `config`: it has ended everything by then. Blocks until it has answered, which takes milliseconds,
    /// or has ended; starts no thread.
    ///
    /// # Errors
    /// [`LaunchError::Stranger`] when somebody else answers in its place; what the socket says.
    pub fn adopt(config: &SpawnerConfig) -> Result<Option<Inheritance>, LaunchError> {
        check(config)?;
        let failed = |source| LaunchError::RunDir { path: config.run_dir.clone(), source };
        let Some(socket) = knock(&config.run_dir).map_err(failed)? else { return Ok(None) };
        let peer = sockopt::socket_peercred(&socket).map_err(|error| failed(error.into()))?;
        if !peer.uid.is_root() && peer.uid != geteuid() {
            let (path, user) = (config.run_dir.join(DOOR), peer.uid.as_raw());
            return Err(LaunchError::Stranger { path, user });
        }
        if packet::send_message(&socket, &config.charter(), &[]).is_err() {
            return Ok(None);
        }
        let mut receiver = Receiver::new();
        let Some(grants) = welcomed(&mut receiver, &socket).map_err(LaunchError::Lost)? else {
            return Ok(None);
        };
        let told = listen(&mut receiver, &socket).map_err(LaunchError::Lost)?;
        let pid = u32::try_from(peer.pid.as_raw_nonzero().get()).unwrap_or_default();
        let run_dir = Arc::from(config.run_dir.as_path());
        let link = Arc::new(Link::new(socket, None, true));
        let spawner = Self { link, run_dir, pid, charter: Arc::new(config.charter()) };
        let known: Vec<u64> = told.sandboxes.keys().copied().collect();
        let orphans = told.sandboxes.into_iter();
        let orphans = orphans.filter_map(|(id, (event, output))| spawner.orphan(id, event, output));
        let orphans = orphans.collect();
        remove_sockets_but(&config.run_dir, &known).map_err(failed)?;
        Ok(Some(Inheritance { spawner, grants, orphans, highest_ids: told.highest_ids }))
    }

    fn orphan(&self, id: u64, event: Event, output: Vec<OwnedFd>) -> Option<Orphan> {
        let Event::Kept { pid, groups, tier, entry, network, record, door, .. } = event else {
            return None;
        };
        let guard = Guard { link: Arc::clone(&self.link), id };
        let phases = PhasesNs { order: 0, isolate: 0, exec: 0 };
        let [stdout, stderr] = <[OwnedFd; 2]>::try_from(output).ok()?;
        let socket = matches!(entry, Entry::Inherited)
            .then(|| SocketFile::of(&self.link, &self.run_dir, id));
        let kept = Kept { stdout, stderr, ready: None, socket };
        let hatched = Hatched { pid, groups, tier, phases, proxy: None };
        let exit = self.link.expect_exit(id);
        let way = Way::new(entry, network);
        Some(Orphan { record, sandbox: Sandbox::adopted(guard, hatched, exit, kept, (way, door)) })
    }
}

/// Connects to the spawner of the folder; none when there is no such.
fn knock(run_dir: &Path) -> io::Result<Option<OwnedFd>> {
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    match connect(&socket, &SocketAddrUnix::new(run_dir.join(DOOR))?) {
        Ok(()) => Ok(Some(socket)),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What it answers; none when it refuses, and has ended then, with all that it had.
fn welcomed(receiver: &mut Receiver, socket: &OwnedFd) -> io::Result<Option<Grants>> {
    let Some((bytes, _)) = receiver.receive(socket.as_fd(), RecvFlags::empty())? else {
        return Ok(None);
    };
    match packet::decode(bytes)? {
        Welcome::Ready { grants } => Ok(Some(grants)),
        Welcome::Refused { reason } => {
            tracing::warn!(reason, "sandboxes of the node before are not adopted, and end");
            while receiver.receive(socket.as_fd(), RecvFlags::empty())?.is_some() {}
            Ok(None)
        }
    }
}

/// What a spawner has told of what it kept.
#[derive(Debug, Default)]
struct Told {
    sandboxes: BTreeMap<u64, (Event, Vec<OwnedFd>)>,
    highest_ids: Vec<u64>,
}

fn listen(receiver: &mut Receiver, socket: &OwnedFd) -> io::Result<Told> {
    let mut told = Told::default();
    loop {
        let packet = receiver.receive(socket.as_fd(), RecvFlags::empty())?;
        let (bytes, attached) = packet.ok_or(io::ErrorKind::UnexpectedEof)?;
        match packet::decode(bytes)? {
            Event::AllKept { highest } => {
                told.highest_ids = highest;
                return Ok(told);
            }
            Event::Exited { id, .. } => drop(told.sandboxes.remove(&id)),
            kept @ Event::Kept { id, .. } => {
                told.sandboxes.insert(id, (kept, attached));
            }
            Event::Hatched { .. }
            | Event::Failed { .. }
            | Event::Connected { .. }
            | Event::Note { .. }
            | Event::Stopped => {}
        }
    }
}

/// Removes the sockets of sandboxes that are not there any more.
fn remove_sockets_but(dir: &Path, known: &[u64]) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|id| id.parse().ok());
        let is_known = id.is_some_and(|id: u64| known.contains(&id));
        if path.extension().is_some_and(|extension| extension == "sock") && !is_known {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
