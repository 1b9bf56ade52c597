//! What is made ready before a node runs: its folder, its isolation, what it may mount, and whoever ran here before.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

use hatchway_proto::network::Network;
use hatchway_sandbox::runtime::{InterpreterSettings, Interpreters, install_adapters};
use hatchway_sandbox::spawner::DEFAULT_UID_BASE;
use hatchway_sandbox::{
    Grants, Identity, Isolation, LaunchError, Spawner, SpawnerConfig, programs,
};
use hatchway_wire::listen::{Address, Listener};
use hatchway_wire::process;
use prometheus::Registry;
use tokio::runtime;

use crate::adopt::Heritage;
use crate::code::Codes;
use crate::config::{IsolationMode, Machine, Starts};
use crate::egress::Egress;
use crate::hatch::ProcessHatchery;
use crate::heir::{Predecessor, ReplaceError, Rest};
use crate::logs::Logs;
use crate::machine;
use crate::metrics::{
    self, EgressMetrics, NodeMetrics, PackageMetrics, PoolCollector, StemMetrics, ZygoteMetrics,
};
use crate::package::{PackageArgs, Packages};
use crate::pool::{Pool, PoolConfig, PoolEvent};
use crate::state::{State, StateError};
use crate::stem::{StemCells, StemSettings};
use crate::zygote::{ZygoteSettings, Zygotes};

use super::{Node, NodeError};

/// Room for four or five kinds of stem cells; more would wait for nothing.
const STEM_MEMORY_BYTES: u64 = 64 << 20;

/// How a node follows another one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Succession<'a> {
    /// How long sandboxes live on when this one goes without a word; nothing ends them at once.
    pub adopt: Duration,
    /// The daemon that runs and listens there is to be replaced.
    pub replaces: Option<&'a Address>,
}

/// Where the sandboxes come from.
#[derive(Debug)]
enum Origin {
    /// A spawner, and what it has kept.
    Spawner(Spawner, Heritage),
    /// A daemon that commands it still.
    Predecessor(Box<Predecessor>, Box<SpawnerConfig>),
}

/// What a predecessor has given.
#[derive(Debug)]
pub struct Taken {
    /// One for each core.
    pub listeners: Vec<Listener>,
    /// Where they listen.
    pub address: Address,
    /// What gateways know the node by.
    pub instance: u128,
}

/// A node whose spawner runs, and that has not dropped its privileges yet. No thread exists so far.
#[derive(Debug)]
pub struct Prepared {
    origin: Origin,
    /// What a predecessor has still to say.
    rest: Option<Rest>,
    /// What the machine gives and what it does not.
    pub grants: Grants,
    identity: Option<Identity>,
    interpreters: Interpreters,
    adapters: hatchway_sandbox::runtime::Adapters,
    memory_mib: Option<u64>,
    start_boosts: usize,
    zygotes: ZygoteSettings,
    stems: StemSettings,
    egress_allow: Vec<Network>,
    /// From [`Node::drain`] until whatever still runs is killed; the pool's default where nobody says.
    pub drain_limit: Option<Duration>,
    /// Where packages come from that are no folder of this machine; from nowhere where nobody says.
    pub packages: Option<PackageArgs>,
    state: State,
}

/// Prepares a node: everything that needs privileges, and nothing that needs a thread. What an earlier one has left is taken over.
///
/// # Errors
/// [`NodeError`]; under `strict`, each part of the isolation that this machine lacks is named.
pub fn prepare(
    machine: &Machine,
    default_isolation: IsolationMode,
    default_user: Option<&str>,
    succession: Succession<'_>,
) -> Result<Prepared, NodeError> {
    // The spawner inherits it; each function gets a limit of its own.
    process::raise_descriptor_limit();
    let identity = identity(machine.user.as_deref().or(default_user))?;
    let replaces = succession.replaces;
    let state = State::open(machine.state.as_deref(), identity.as_ref(), replaces.is_some())?;
    let spawner_error = |error: Box<dyn std::error::Error + Send + Sync>| NodeError::Spawner(error);
    let programs = programs::beside_current_exe().map_err(|error| spawner_error(error.into()))?;
    let isolation = match machine.isolation.unwrap_or(default_isolation) {
        IsolationMode::Strict => Isolation::Strict,
        IsolationMode::BestEffort => Isolation::BestEffort,
    };
    let interpreters = Interpreters::discover(&InterpreterSettings::default());
    let adapters_dir = state.path.join("adapters");
    let adapters = install_adapters(&adapters_dir)
        .map_err(|source| StateError::Io { path: adapters_dir, source })?;
    let config = SpawnerConfig {
        program: programs.spawner,
        init: programs.init,
        run_dir: state.run_dir(),
        cgroup_name: state.group_name(),
        isolation,
        uid_base: DEFAULT_UID_BASE,
        mounts: mounts(machine, &state, &interpreters)?,
        adopt: succession.adopt,
        owner: identity,
    };
    let (origin, grants) = match replaces.filter(|_| state.lock().is_none()) {
        Some(listen) => predecessor(config, listen)?,
        None => spawner(config).map_err(|error| spawner_error(error.into()))?,
    };
    if let Ok(python) = &interpreters.python
        && let Err(error) = adapters.compile(python)
    {
        tracing::warn!(%error, "Python functions start 5 ms later: the adapter is not compiled");
    }
    Ok(Prepared {
        origin,
        rest: None,
        grants,
        identity,
        interpreters,
        adapters,
        memory_mib: machine.memory_mib,
        start_boosts: machine.start_boosts.unwrap_or_else(hatchway_wire::core::available),
        zygotes: zygote_settings(machine),
        stems: stem_settings(machine),
        egress_allow: machine.egress_allow.clone(),
        drain_limit: None,
        packages: None,
        state,
    })
}

/// The spawner of a daemon that has gone, with all that serves, or one of our own.
fn spawner(config: SpawnerConfig) -> Result<(Origin, Grants), LaunchError> {
    if let Some(found) = Spawner::adopt(&config)? {
        let heritage = Heritage::of(found.orphans, &found.highest_ids);
        return Ok((Origin::Spawner(found.spawner, heritage), found.grants));
    }
    let (spawner, grants) = Spawner::launch(config)?;
    Ok((Origin::Spawner(spawner, Heritage::default()), grants))
}

/// The daemon that is to be replaced, which agrees.
fn predecessor(config: SpawnerConfig, listen: &Address) -> Result<(Origin, Grants), ReplaceError> {
    let user = config.owner.map_or_else(|| rustix::process::geteuid().as_raw(), |owner| owner.uid);
    let asked = Predecessor::ask(&config.run_dir, user, (listen, config.wants()))?;
    let grants = asked.grants.clone();
    Ok((Origin::Predecessor(Box::new(asked), Box::new(config)), grants))
}

/// Everything of this machine that a sandbox may ever see, beside the system's own programs.
fn mounts(
    machine: &Machine,
    state: &State,
    interpreters: &Interpreters,
) -> Result<Vec<PathBuf>, NodeError> {
    let runtimes = [&interpreters.node, &interpreters.python].into_iter().flatten();
    let runtimes = runtimes.flat_map(|runtime| runtime.mounts.iter().map(|(host, _)| host.clone()));
    let mut mounts: Vec<_> = runtimes.chain([state.path.clone()]).collect();
    for path in &machine.packages {
        // The catalog names packages without links.
        let found = path.canonicalize();
        mounts.push(found.map_err(|source| NodeError::Packages { path: path.clone(), source })?);
    }
    Ok(mounts)
}

fn zygote_settings(machine: &Machine) -> ZygoteSettings {
    let quarter = || machine::budget(machine.memory_mib).memory_bytes / 4;
    ZygoteSettings {
        is_on: machine.starts == Starts::Fork,
        memory_bytes: machine.zygote_memory_mib.map_or_else(quarter, |mib| mib << 20),
    }
}

fn stem_settings(machine: &Machine) -> StemSettings {
    let share = || machine::budget(machine.memory_mib).memory_bytes / 16;
    StemSettings {
        is_on: machine.starts != Starts::Fresh,
        memory_bytes: machine
            .stem_memory_mib
            .map_or_else(|| share().min(STEM_MEMORY_BYTES), |mib| mib << 20),
    }
}

/// Whom to become; nobody when this process has nothing to drop.
fn identity(user: Option<&str>) -> Result<Option<Identity>, NodeError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let user = user.unwrap_or("nobody");
    if let Ok(uid) = user.parse() {
        return Ok(Some(Identity::by_uid(uid)));
    }
    Identity::by_name(user)
        .map(Some)
        .map_err(|source| NodeError::Identity { user: user.to_owned(), source: source.into() })
}

impl Prepared {
    /// The folder of this node's own.
    pub fn state(&self) -> &std::path::Path {
        &self.state.path
    }

    /// Whether another daemon serves until it is [taken over](Self::take_over).
    pub fn has_predecessor(&self) -> bool {
        matches!(self.origin, Origin::Predecessor(..))
    }

    /// Takes the place of the daemon that is to be replaced, if there is one. Everything that could go wrong should have been
    /// tried before: there is no way back.
    ///
    /// # Errors
    /// [`NodeError::Replace`], [`NodeError::Spawner`].
    pub fn take_over(mut self) -> Result<(Self, Option<Taken>), NodeError> {
        let Origin::Predecessor(predecessor, config) = self.origin else {
            return Ok((self, None));
        };
        let legacy = predecessor.take()?;
        let found = Spawner::adopt(&config).map_err(|error| NodeError::Spawner(error.into()))?;
        let found = found.ok_or_else(|| NodeError::Spawner("it is gone".into()))?;
        let mut heritage = Heritage::of(found.orphans, &found.highest_ids);
        heritage.are_used(&legacy.slots_out);
        self.origin = Origin::Spawner(found.spawner, heritage);
        self.state.inherit(legacy.lock);
        self.rest = Some(legacy.rest);
        let taken = Taken {
            listeners: legacy.listeners,
            address: legacy.address,
            instance: legacy.instance,
        };
        Ok((self, Some(taken)))
    }

    /// Becomes the unprivileged user for good. Nothing after this can undo it.
    ///
    /// # Errors
    /// [`NodeError::Identity`]; the process must not go on then.
    pub fn drop_privileges(&self) -> Result<(), NodeError> {
        let Some(identity) = &self.identity else { return Ok(()) };
        hatchway_sandbox::drop_privileges(identity).map_err(|source| NodeError::Identity {
            user: identity.uid.to_string(),
            source: source.into(),
        })
    }

    /// Starts the node's own thread: the keeper of the pool, the captured output, the counting. `told` hears
    /// of every move in the life of a sandbox.
    ///
    /// # Errors
    /// [`NodeError::Thread`]; [`NodeError::State`] when unpacked packages cannot be read.
    pub fn start(
        self,
        registry: &Registry,
        mut told: impl FnMut(&PoolEvent) + Send + 'static,
    ) -> Result<Node, NodeError> {
        let Origin::Spawner(spawner, heritage) = self.origin else {
            return Err(NodeError::Spawner("another daemon commands it".into()));
        };
        let lock = self.state.lock().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
        let lock = lock.and_then(OwnedFd::try_clone).map_err(NodeError::Thread)?;
        spawner.attend().map_err(NodeError::Thread)?;
        let counts = NodeMetrics::register(registry);
        let found = [
            ("command", true),
            ("node", self.interpreters.node.is_ok()),
            ("python", self.interpreters.python.is_ok()),
        ];
        let runtimes = found.iter().filter(|(_, is_there)| *is_there).map(|(word, _)| *word);
        let runtimes = runtimes.collect();
        let logs = Logs::new(counts.log_lines_dropped.clone());
        let mut config = PoolConfig::with_budget(machine::budget(self.memory_mib));
        config.drain_limit = self.drain_limit.unwrap_or(config.drain_limit);
        let metrics = EgressMetrics::register(registry);
        let (egress, egress_thread) =
            Egress::start(self.egress_allow, metrics).map_err(NodeError::Thread)?;
        config.first_sandbox = heritage.first_sandbox;
        let zygotes = Zygotes::new(
            spawner.clone(),
            logs.clone(),
            egress.clone(),
            self.zygotes,
            ZygoteMetrics::register(registry),
            heritage.first_zygote,
        );
        let stems = StemCells::new(
            spawner.clone(),
            self.interpreters.clone(),
            self.adapters.clone(),
            self.stems,
            zygotes.clone(),
            StemMetrics::register(registry),
        );
        let metrics = PackageMetrics::register(registry);
        let (packages, fetching) =
            Packages::open(self.packages.as_ref(), &self.state.path, metrics).map_err(
                |source| StateError::Io { path: self.state.path.join("packages"), source },
            )?;
        let records = metrics::code_records(registry);
        let codes = Codes::open(&self.state.path, &self.interpreters, records)
            .map_err(|source| StateError::Io { path: self.state.path.join("code"), source })?;
        let hatchery = ProcessHatchery::new(
            spawner.clone(),
            (zygotes.clone(), stems.clone()),
            (packages.clone(), egress, codes),
            self.interpreters,
            self.adapters,
            logs.clone(),
            self.start_boosts,
        );
        let (pool, keeper) = Pool::new(config, hatchery);
        pool.adopt(heritage.orphans);
        if let Some(rest) = self.rest {
            let pool = pool.clone();
            rest.follow(move |sandbox| pool.freed(sandbox)).map_err(NodeError::Thread)?;
        }
        let collector = PoolCollector::new(pool.clone(), zygotes.clone());
        registry.register(Box::new(collector)).expect("a registry has one node");
        let events = pool.events();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(NodeError::Thread)?;
        let (kept, run_dir) = (spawner.clone(), self.state.run_dir());
        let state = self.state;
        let leaves = Arc::new(AtomicBool::new(false));
        let is_left = Arc::clone(&leaves);
        let tending = zygotes.clone().tend(pool.clone());
        let stocking = stems.tend(pool.clone());
        let run = move || {
            let following = metrics::follow(events, move |event| {
                counts.count(event);
                told(event);
            });
            runtime.block_on(async move {
                let following = tokio::spawn(following);
                let tending = tokio::spawn(tending);
                let stocking = tokio::spawn(stocking);
                let fetching = tokio::spawn(fetching.run());
                keeper.await;
                tending.abort();
                stocking.abort();
                fetching.abort();
                if !is_left.load(Ordering::SeqCst)
                    && let Err(error) = spawner.stop().await
                {
                    tracing::error!(%error, "the spawner was not seen to end");
                }
                // Events that were sent are counted before the thread ends.
                tokio::task::yield_now().await;
                following.abort();
            });
            egress_thread.stop();
            drop(state);
        };
        let thread =
            Builder::new().name("node".to_owned()).spawn(run).map_err(NodeError::Thread)?;
        let (grants, named, part) = (self.grants, Mutex::default(), Mutex::default());
        Ok(Node {
            pool,
            logs,
            packages,
            zygotes,
            named,
            part,
            grants,
            runtimes,
            spawner: kept,
            run_dir,
            lock,
            leaves,
            thread,
        })
    }
}
