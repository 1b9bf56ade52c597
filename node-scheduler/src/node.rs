//! A node put together: the spawner, privileges dropped, the pool, the pages.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use hatchway_proto::catalog::Objects;
use hatchway_proto::network::Network;
use hatchway_sandbox::runtime::{InterpreterSettings, Interpreters, install_adapters};
use hatchway_sandbox::spawner::DEFAULT_UID_BASE;
use hatchway_sandbox::{Grants, Identity, Isolation, Spawner, SpawnerConfig, programs};
use hatchway_wire::process;
use prometheus::Registry;
use tokio::runtime;

use crate::admin::NodePages;
use crate::code::Codes;
use crate::config::{IsolationMode, Machine, Starts};
use crate::egress::Egress;
use crate::hatch::ProcessHatchery;
use crate::logs::Logs;
use crate::machine;
use crate::metrics::{
    self, EgressMetrics, NodeMetrics, PackageMetrics, PoolCollector, ZygoteMetrics,
};
use crate::named::Named;
use crate::package::{PackageArgs, Packages};
use crate::pool::{Pool, PoolConfig, PoolEvent};
use crate::state::{State, StateError};
use crate::zygote::{ZygoteSettings, Zygotes};

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// A folder that packages may come from.
    #[error("packages cannot come from {}", path.display())]
    Packages {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The helper programs.
    #[error("the spawner cannot be started")]
    Spawner(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Whom to become.
    #[error("cannot become {user}")]
    Identity {
        /// Whom.
        user: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A thread or a runtime.
    #[error("cannot start the node's thread")]
    Thread(#[source] io::Error),
}

/// A node whose spawner runs, and that has not dropped its privileges yet. No thread exists so far.
#[derive(Debug)]
pub struct Prepared {
    spawner: Spawner,
    /// What the machine gives and what it does not.
    pub grants: Grants,
    identity: Option<Identity>,
    interpreters: Interpreters,
    adapters: hatchway_sandbox::runtime::Adapters,
    memory_mib: Option<u64>,
    start_boosts: usize,
    zygotes: ZygoteSettings,
    egress_allow: Vec<Network>,
    /// From [`Node::drain`] until whatever still runs is killed; the pool's default where nobody says.
    pub drain_limit: Option<Duration>,
    /// Where packages come from that are no folder of this machine; from nowhere where nobody says.
    pub packages: Option<PackageArgs>,
    state: State,
}

/// Prepares a node: everything that needs privileges, and nothing that needs a thread.
///
/// # Errors
/// [`NodeError`]; under `strict`, each part of the isolation that this machine lacks is named.
pub fn prepare(
    machine: &Machine,
    default_isolation: IsolationMode,
    default_user: Option<&str>,
) -> Result<Prepared, NodeError> {
    // The spawner inherits it; each function gets a limit of its own.
    process::raise_descriptor_limit();
    let identity = identity(machine.user.as_deref().or(default_user))?;
    let state = State::open(machine.state.as_deref(), identity.as_ref())?;
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
    let (spawner, grants) = Spawner::launch(SpawnerConfig {
        program: programs.spawner,
        init: programs.init,
        run_dir: state.path.join("run"),
        cgroup_name: state.group_name(),
        isolation,
        uid_base: DEFAULT_UID_BASE,
        mounts: mounts(machine, &state, &interpreters)?,
        owner: identity,
    })
    .map_err(|error| spawner_error(error.into()))?;
    if let Ok(python) = &interpreters.python
        && let Err(error) = adapters.compile(python)
    {
        tracing::warn!(%error, "Python functions start 5 ms later: the adapter is not compiled");
    }
    Ok(Prepared {
        spawner,
        grants,
        identity,
        interpreters,
        adapters,
        memory_mib: machine.memory_mib,
        start_boosts: machine.start_boosts.unwrap_or_else(hatchway_wire::core::available),
        zygotes: zygote_settings(machine),
        egress_allow: machine.egress_allow.clone(),
        drain_limit: None,
        packages: None,
        state,
    })
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

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// Its sandboxes.
    pub pool: Pool<ProcessHatchery>,
    /// What functions print.
    pub logs: Logs,
    /// The files of its versions.
    pub packages: Packages,
    zygotes: Zygotes,
    named: Mutex<Named>,
    /// What the machine gives and what it does not.
    pub grants: Grants,
    /// What it can start: `command`, and the interpreters that the machine has.
    pub runtimes: Vec<&'static str>,
    thread: JoinHandle<()>,
}

impl Prepared {
    /// The folder of this node's own.
    pub fn state(&self) -> &std::path::Path {
        &self.state.path
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
        let zygotes = Zygotes::new(
            self.spawner.clone(),
            logs.clone(),
            egress.clone(),
            self.zygotes,
            ZygoteMetrics::register(registry),
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
            self.spawner.clone(),
            zygotes.clone(),
            (packages.clone(), egress, codes),
            self.interpreters,
            self.adapters,
            logs.clone(),
            self.start_boosts,
        );
        let (pool, keeper) = Pool::new(config, hatchery);
        let collector = PoolCollector::new(pool.clone(), zygotes.clone());
        registry.register(Box::new(collector)).expect("a registry has one node");
        let events = pool.events();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(NodeError::Thread)?;
        let (spawner, state) = (self.spawner, self.state);
        let tending = zygotes.clone().tend(pool.clone());
        let run = move || {
            let following = metrics::follow(events, move |event| {
                counts.count(event);
                told(event);
            });
            runtime.block_on(async move {
                let following = tokio::spawn(following);
                let tending = tokio::spawn(tending);
                let fetching = tokio::spawn(fetching.run());
                keeper.await;
                tending.abort();
                fetching.abort();
                if let Err(error) = spawner.stop().await {
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
        let (grants, named) = (self.grants, Mutex::default());
        Ok(Node { pool, logs, packages, zygotes, named, grants, runtimes, thread })
    }
}

impl Node {
    /// Serves the versions of `objects` that a release may choose. What was named until now stays as well, until it is
    /// [forgotten](Self::forget): requests may still be on their way to it.
    pub fn apply(&self, objects: &Objects) {
        let serving = self.named().change(objects, Instant::now());
        let new = serving.iter().filter(|serving| serving.is_new);
        self.packages.name(new.map(|serving| &serving.version.package));
        self.pool.serve(serving.into_iter().map(|it| (it.id, it.version, it.queue_depth)));
    }

    /// Retires the versions that the rules named last before `until`.
    pub fn forget(&self, until: Instant) {
        let gone = self.named().forget(until);
        self.packages.forget(gone.iter().map(|(_, version)| &version.package));
        self.pool.retire(gone.into_iter().map(|(id, _)| id));
    }

    /// Since when the rules have not named what they named longest ago, and is served still.
    pub(crate) fn first_left(&self) -> Option<Instant> {
        self.named().first_left()
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.named.lock().expect("nothing panics while it looks at what is named")
    }

    /// The pages of this node.
    pub fn pages(&self) -> NodePages {
        NodePages {
            pool: self.pool.clone(),
            logs: self.logs.clone(),
            zygotes: self.zygotes.clone(),
            packages: self.packages.clone(),
        }
    }

    /// Ends every sandbox once its requests have ended, then the spawner. Waits for all of it.
    pub fn drain(self) {
        self.pool.drain();
        if self.thread.join().is_err() {
            tracing::error!("the node's thread ended by a panic");
        }
    }
}
