//! The node's half of the spawner: starting it, ordering sandboxes, stopping it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::RecvFlags;

use crate::clock::now_ns;
use crate::equipment::{Equipment, Guard};
use crate::folder::Folder;
use crate::grants::Grants;
use crate::identity::Identity;
use crate::link::{Link, Unhatched};
use crate::protocol::event::Welcome;
use crate::protocol::order::{Charter, FORMAT, Order};
use crate::protocol::packet::{self, Receiver};
use crate::sandbox::{Phases, Sandbox, Way};
use crate::spec::{Entry, Isolation, SandboxSpec, SpecError};
use crate::stem::StemCell;
use crate::steps::StepError;
use crate::zygote::Zygote;

/// Far above the ids of people and services, and below the ranges that tools like useradd
/// hand out for user namespaces in nested containers.
pub const DEFAULT_UID_BASE: u32 = 1_000_000;
/// A Unix socket's path has 107 bytes (unix(7)); the longest name we make in the folder is
/// `/18446744073709551615.sock`.
const MAX_RUN_DIR_BYTES: usize = 107 - 26;

/// What a spawner is to work with; it never changes after.
#[derive(Clone, Debug)]
pub struct SpawnerConfig {
    /// `hatchway-spawner`.
    pub program: PathBuf,
    /// `hatchway-sandbox-init`.
    pub init: PathBuf,
    /// For sockets; at most 81 bytes long. Made if need be, emptied of what we know.
    pub run_dir: PathBuf,
    /// The group under our own control group; starts with `hatchway`, unique per state folder.
    pub cgroup_name: String,
    pub isolation: Isolation,
    /// Sandboxes get user ids from here up: [`DEFAULT_UID_BASE`].
    pub uid_base: u32,
    /// Below these folders lies everything that may be mounted into a sandbox: packages, runtimes, adapters. Absolute,
    /// as sandboxes will name them.
    pub mounts: Vec<PathBuf>,
    /// How long sandboxes live on when this node goes without a word, for the next one to [adopt](Spawner::adopt); not at
    /// all when it is nothing.
    pub adopt: Duration,
    /// Whom the node will be after [`drop_privileges`](crate::drop_privileges): gets the
    /// folder. `None` when it stays who it is.
    pub owner: Option<Identity>,
}

impl SpawnerConfig {
    /// What is asked of a spawner, in words for the node before: see [`Spawner::covers`].
    pub fn wants(&self) -> String {
        serde_json::to_string(&self.charter()).expect("paths that were given as text, and numbers")
    }

    pub(crate) fn charter(&self) -> Charter {
        Charter {
            format: FORMAT,
            init: self.init.clone(),
            run_dir: self.run_dir.clone(),
            cgroup_name: self.cgroup_name.clone(),
            isolation: self.isolation,
            uid_base: self.uid_base,
            mounts: self.mounts.clone(),
            orphan_ms: u64::try_from(self.adopt.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Why there is no spawner.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("{path} is {bytes} bytes long, a folder for sockets has at most {MAX_RUN_DIR_BYTES}", path = .path.display())]
    RunDirTooLong { path: PathBuf, bytes: usize },
    #[error("{name:?} is no name for our control group: 'hatchway', then a-z, 0-9, - and _")]
    GroupName { name: String },
    #[error("cannot use {path} for sockets", path = .path.display())]
    RunDir { path: PathBuf, source: io::Error },
    #[error("cannot start {path}", path = .path.display())]
    Start { path: PathBuf, source: io::Error },
    /// The spawner's own words: in strict isolation every step that is missing.
    #[error("{reason}")]
    Refused { reason: String },
    #[error("the spawner ended before it was ready")]
    Lost(#[source] io::Error),
    /// Somebody else stands where the spawner of the node before should.
    #[error("{path} belongs to user {user}, not to a spawner of ours", path = .path.display())]
    Stranger { path: PathBuf, user: u32 },
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum HatchError {
    #[error("refused before anything was touched")]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Step(StepError),
    #[error("cannot prepare sockets and pipes")]
    Prepare(#[source] io::Error),
    #[error("the spawner is gone")]
    SpawnerLost,
}

/// A handle to the spawner. When the last one is dropped, every sandbox ends.
#[derive(Clone, Debug)]
pub struct Spawner {
    pub(crate) link: Arc<Link>,
    pub(crate) run_dir: Arc<Path>,
    pub(crate) pid: u32,
    /// What the node that holds this asked for.
    pub(crate) charter: Arc<Charter>,
}

impl Spawner {
    /// Starts `hatchway-spawner` and waits until it has removed what an earlier run has left
    /// and tried what this machine gives. Blocks for tens of milliseconds; starts no thread.
    ///
    /// # Errors
    /// In strict isolation also when a step is missing, naming each.
    pub fn launch(config: SpawnerConfig) -> Result<(Self, Grants), LaunchError> {
        check(&config)?;
        make_run_dir(&config)
            .map_err(|source| LaunchError::RunDir { path: config.run_dir.clone(), source })?;
        let started = packet::pair().and_then(|(ours, theirs)| {
            // A group of its own: a Ctrl-C in the node's terminal must not end the nests.
            let spawner = Command::new(&config.program)
                .env_clear()
                .stdin(Stdio::from(theirs))
                .process_group(0)
                .spawn()?;
            Ok((ours, spawner))
        });
        let (socket, mut spawner) = started
            .map_err(|source| LaunchError::Start { path: config.program.clone(), source })?;
        match greet(&socket, &config) {
            Ok(grants) => {
                let run_dir = Arc::from(config.run_dir.as_path());
                let pid = spawner.id();
                let link = Link::new(socket, Some(spawner), !config.adopt.is_zero());
                let link = Arc::new(link);
                let charter = Arc::new(config.charter());
                Ok((Self { link, run_dir, pid, charter }, grants))
            }
            Err(error) => {
                drop(socket);
                collect(&mut spawner);
                Err(error)
            }
        }
    }

    /// Starts a sandbox; returns when its program has taken over, which says nothing yet about
    /// whether it is [ready](Sandbox::ready).
    ///
    /// Cancel safe: dropped on the way, the sandbox ends as soon as it has started.
    ///
    /// # Errors
    /// The step that failed; nothing of the sandbox is left then.
    pub async fn hatch(&self, spec: SandboxSpec) -> Result<Sandbox, HatchError> {
        spec.check()?;
        let decided_ns = now_ns();
        let (id, way) = (spec.id, Way::new(spec.entry, spec.network));
        let equipment = Equipment::make(&self.link, &self.run_dir, id, spec.entry);
        let order = Order::Hatch { spec: Box::new(spec), decided_ns, stem: None };
        self.order(id, &order, equipment.map_err(HatchError::Prepare)?, way).await
    }

    /// Starts a zygote: a sandbox that loads its code and is then forked, never called. Returns
    /// when its program has taken over; [`Zygote::ready`] says when it can be forked. What
    /// `spec` limits is the limit of the zygote and of each child.
    ///
    /// Cancel safe: dropped on the way, it ends as soon as it has started.
    ///
    /// # Errors
    /// The step that failed; nothing of it is left then. [`Step::Check`](crate::Step) on a machine
    /// that has no control groups, or no process-id namespaces.
    pub async fn zygote(&self, spec: SandboxSpec) -> Result<Zygote, HatchError> {
        spec.check()?;
        let decided_ns = now_ns();
        let id = spec.id;
        let equipment = Equipment::of_zygote().map_err(HatchError::Prepare)?;
        let order = Order::Zygote { spec: Box::new(spec), decided_ns };
        let sandbox = self.order(id, &order, equipment, Way::Inherited).await?;
        Ok(Zygote::new(sandbox, self.clone()))
    }

    /// Starts a stem cell: a runtime that boots, and waits. `spec` has a package of ours, and says what can be said before it
    /// is known what the cell becomes. Returns when its program has taken over; [`StemCell::ready`] says when it has booted.
    ///
    /// Cancel safe: dropped on the way, it ends as soon as it has started.
    ///
    /// # Errors
    /// The step that failed; nothing of it is left then. [`Step::Check`](crate::Step) on a machine that gives sandboxes no
    /// root of their own, or no process-id namespaces.
    pub async fn stem(&self, spec: SandboxSpec) -> Result<StemCell, HatchError> {
        spec.check()?;
        let decided_ns = now_ns();
        let id = spec.id;
        let equipment = Equipment::of_zygote().map_err(HatchError::Prepare)?;
        let order = Order::Stem { spec: Box::new(spec), decided_ns };
        Ok(StemCell::new(self.order(id, &order, equipment, Way::Inherited).await?))
    }

    /// Starts a sandbox in a stem cell, by a `spec` with the argument vector and the environment of an ordinary start, and
    /// without the mounts that the cell has; returns when the cell has been told. What it needs that a cell has for good,
    /// its network and the limits by which its runtime booted, has to be that cell's.
    ///
    /// Cancel safe: dropped on the way, both end.
    ///
    /// # Errors
    /// The step that failed; nothing of the cell is left then.
    pub async fn hatch_in(&self, cell: StemCell, spec: SandboxSpec) -> Result<Sandbox, HatchError> {
        spec.check()?;
        let decided_ns = now_ns();
        let (id, way) = (spec.id, Way::new(spec.entry, spec.network));
        let equipment = Equipment::make(&self.link, &self.run_dir, id, spec.entry);
        let order = Order::Hatch { spec: Box::new(spec), decided_ns, stem: Some(cell.id()) };
        self.order(id, &order, equipment.map_err(HatchError::Prepare)?, way).await
    }

    /// Has a zygote fork the sandbox `id`.
    pub(crate) async fn park(&self, zygote: u64, id: u64) -> Result<Sandbox, HatchError> {
        let equipment = Equipment::make(&self.link, &self.run_dir, id, Entry::Inherited);
        let order = Order::Park { id, zygote, decided_ns: now_ns() };
        self.order(id, &order, equipment.map_err(HatchError::Prepare)?, Way::Inherited).await
    }

    async fn order(
        &self,
        id: u64,
        order: &Order,
        equipment: Equipment,
        way: Way,
    ) -> Result<Sandbox, HatchError> {
        let bytes = packet::encode(order).map_err(HatchError::Prepare)?;
        // From here on a dropped future ends what it has asked for.
        let guard = Guard { link: Arc::clone(&self.link), id };
        let (answered, exited) = match self.link.hatch(id, bytes, equipment.given) {
            Ok(channels) => channels,
            // Whoever asked is about to give up, and to ask the next node.
            Err(_) if self.link.has_left() => std::future::pending().await,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Err(HatchError::SpawnerLost);
            }
            Err(error) => return Err(HatchError::Prepare(error)),
        };
        let hatched = match answered.await {
            Ok(Ok(hatched)) => hatched,
            Ok(Err(Unhatched::Step(error))) => return Err(HatchError::Step(error)),
            Ok(Err(Unhatched::SpawnerLost)) | Err(_) => return Err(HatchError::SpawnerLost),
        };
        Ok(Sandbox::new(guard, hatched, exited, equipment.kept, way))
    }

    /// Hears from now on what becomes of sandboxes that were [adopted](Self::adopt). Starts threads: privileges are dropped by then.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn attend(&self) -> io::Result<()> {
        self.link.start_threads()
    }

    /// The number of the spawner's process, for an operator.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the spawner could serve a node that [wants](SpawnerConfig::wants) this.
    ///
    /// # Errors
    /// What speaks against it, in words.
    pub fn covers(&self, wanted: &str) -> Result<(), String> {
        if self.charter.orphan_ms == 0 {
            return Err("its sandboxes end with it".to_owned());
        }
        let wanted = packet::decode(wanted.as_bytes());
        let wanted = wanted.map_err(|error| format!("another format of packets: {error}"))?;
        self.charter.covers(&wanted)
    }

    /// Says that no other node will come: whatever becomes of this one, every sandbox ends with it.
    pub fn farewell(&self) {
        self.link.order(&Order::Farewell);
    }

    /// Orders nothing more from now on, and ends no sandbox by dropping it: they are about to be [left](Self::leave). Who is
    /// waiting for a start then waits in vain.
    pub fn fall_silent(&self) {
        self.link.fall_silent();
    }

    /// Leaves every sandbox that serves to the next node, which has to come within the time that was set. Nothing is
    /// ordered from here any more: those that this node still holds are used, and not ended by dropping them.
    pub fn leave(&self) {
        self.link.leave();
    }

    /// Ends every sandbox, removes everything, and waits until the spawner itself has ended.
    ///
    /// # Errors
    /// When the threads that would tell cannot be started.
    pub async fn stop(self) -> io::Result<()> {
        self.link.stopped().await?;
        remove_sockets(&self.run_dir)
    }
}

pub(crate) fn check(config: &SpawnerConfig) -> Result<(), LaunchError> {
    let bytes = config.run_dir.as_os_str().len();
    if bytes > MAX_RUN_DIR_BYTES {
        return Err(LaunchError::RunDirTooLong { path: config.run_dir.clone(), bytes });
    }
    let name = &config.cgroup_name;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    // What is in the group at start is killed: it has to be certain that it is ours.
    if !name.starts_with("hatchway") || !name.chars().all(is_plain) {
        return Err(LaunchError::GroupName { name: name.clone() });
    }
    Ok(())
}

/// The folder, closed to everyone else; old sockets go, other things are not ours to remove.
fn make_run_dir(config: &SpawnerConfig) -> io::Result<()> {
    let dir = &config.run_dir;
    let folder = Folder::make(dir, 0o700)?;
    remove_sockets(&folder.path())?;
    match config.owner {
        Some(owner) => chown(folder.path(), Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}

fn remove_sockets(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sock") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The first two packets: what it is to work with, and what it has found.
fn greet(socket: &OwnedFd, config: &SpawnerConfig) -> Result<Grants, LaunchError> {
    packet::send_message(socket, &config.charter(), &[]).map_err(LaunchError::Lost)?;
    let mut receiver = Receiver::new();
    let packet = receiver.receive(socket.as_fd(), RecvFlags::empty());
    let ended = || LaunchError::Lost(io::ErrorKind::UnexpectedEof.into());
    let (bytes, _) = packet.map_err(LaunchError::Lost)?.ok_or_else(ended)?;
    match packet::decode(bytes).map_err(LaunchError::Lost)? {
        Welcome::Ready { grants } => Ok(grants),
        Welcome::Refused { reason } => Err(LaunchError::Refused { reason }),
    }
}

/// Waits for a spawner that has nobody to work for, so that no zombie is left.
fn collect(spawner: &mut Child) {
    let _ = spawner.wait();
}

impl From<crate::protocol::event::PhasesNs> for Phases {
    fn from(phases: crate::protocol::event::PhasesNs) -> Self {
        Self {
            order: Duration::from_nanos(phases.order),
            isolate: Duration::from_nanos(phases.isolate),
            exec: Duration::from_nanos(phases.exec),
        }
    }
}
