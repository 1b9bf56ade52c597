//! A hatchery of puppets, and a pool around it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hatchway_proto::catalog::{Clocks, Network, Package, Resources, Runtime, Version};
use hatchway_proto::name::{FunctionName, SandboxId, VersionId};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::super::{
    Budget, Exit, HatchFailure, Hatched, Hatchery, LiveSandbox, Pool, PoolConfig, PoolEvent, Slot,
    SlotRefused, StartPhases, Usage, VersionPool,
};

pub(in crate::pool) const MS: Duration = Duration::from_millis(1);
pub(in crate::pool) const SECOND: Duration = Duration::from_secs(1);
pub(in crate::pool) const MIB: u64 = 1024 * 1024;

/// What the next starts come to.
#[derive(Clone, Debug)]
pub(in crate::pool) enum Script {
    /// Ready after this long.
    Ready(Duration),
    /// Fails after this long.
    Fail(Duration),
    /// Never ready.
    Hang,
    /// Ready, or failed, when the test says so through [`Farm::told`].
    Told,
}

/// A start that waits for the test.
#[derive(Debug)]
pub(in crate::pool) struct Start {
    pub(in crate::pool) version: Arc<Version>,
    pub(in crate::pool) end: oneshot::Sender<bool>,
}

/// One sandbox, as the test sees and moves it.
#[derive(Debug)]
pub(in crate::pool) struct Puppet {
    pub(in crate::pool) id: SandboxId,
    ended: watch::Sender<Option<Exit>>,
    told: Mutex<Vec<&'static str>>,
    is_stubborn: bool,
    memory_bytes: Mutex<u64>,
    pub(in crate::pool) version: Arc<Version>,
}

impl Puppet {
    /// It ends by itself.
    pub(in crate::pool) fn die(&self, exit: Exit) {
        self.ended.send_if_modified(|ended| ended.is_none() && ended.replace(exit).is_none());
    }

    pub(in crate::pool) fn is_alive(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// What the pool has told it: `terminate`, `kill`.
    pub(in crate::pool) fn told(&self) -> Vec<&'static str> {
        self.told.lock().unwrap().clone()
    }

    pub(in crate::pool) fn use_memory(&self, bytes: u64) {
        *self.memory_bytes.lock().unwrap() = bytes;
    }
}

impl LiveSandbox for Arc<Puppet> {
    fn kill(&self) {
        self.told.lock().unwrap().push("kill");
        self.die(Exit::Signal(9));
    }

    fn terminate(&self) {
        self.told.lock().unwrap().push("terminate");
        if !self.is_stubborn {
            self.die(Exit::Signal(15));
        }
    }

    async fn exited(&self) -> Exit {
        let mut ended = self.ended.subscribe();
        let exit = *ended.wait_for(Option::is_some).await.expect("the puppet holds the sender");
        exit.expect("waited for")
    }

    fn usage(&self) -> Option<Usage> {
        let memory_bytes = *self.memory_bytes.lock().unwrap();
        Some(Usage { memory_bytes, memory_peak_bytes: memory_bytes, cpu: Duration::ZERO, pids: 1 })
    }
}

#[derive(Debug)]
pub(in crate::pool) struct Farm {
    /// What every start comes to from now on.
    pub(in crate::pool) script: Script,
    /// Sandboxes ignore the request to end.
    pub(in crate::pool) is_stubborn: bool,
    /// Starts so far, the ones that failed included.
    pub(in crate::pool) hatches: usize,
    /// Starts under way, and the most there were at a time.
    pub(in crate::pool) hatching: usize,
    pub(in crate::pool) most_hatching: usize,
    pub(in crate::pool) puppets: Vec<Arc<Puppet>>,
    /// Starts of [`Script::Told`]; those that were given up are closed.
    pub(in crate::pool) told: Vec<Start>,
}

/// The hatchery: a farm that the test keeps the other hand on.
#[derive(Clone, Debug)]
pub(in crate::pool) struct Puppets(Arc<Mutex<Farm>>);

struct UnderWay<'a>(&'a Puppets);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.farm().hatching -= 1;
    }
}

impl Puppets {
    pub(in crate::pool) fn farm(&self) -> MutexGuard<'_, Farm> {
        self.0.lock().unwrap()
    }

    pub(in crate::pool) fn alive(&self) -> Vec<Arc<Puppet>> {
        self.farm().puppets.iter().filter(|puppet| puppet.is_alive()).cloned().collect()
    }

    fn begin(&self) -> (Script, UnderWay<'_>) {
        let mut farm = self.farm();
        farm.hatches += 1;
        farm.hatching += 1;
        farm.most_hatching = farm.most_hatching.max(farm.hatching);
        (farm.script.clone(), UnderWay(self))
    }
}

impl Hatchery for Puppets {
    type Sandbox = Arc<Puppet>;
    type Orphan = Abandoned;

    async fn hatch(
        &self,
        id: SandboxId,
        _version_id: VersionId,
        version: Arc<Version>,
    ) -> Result<Hatched<Arc<Puppet>>, HatchFailure> {
        let (script, _under_way) = self.begin();
        let (took, is_ready) = match script {
            Script::Ready(took) => (took, true),
            Script::Fail(took) => (took, false),
            Script::Hang => std::future::pending().await,
            Script::Told => {
                let (end, told) = oneshot::channel();
                self.farm().told.push(Start { version: Arc::clone(&version), end });
                (Duration::ZERO, told.await.unwrap_or(false))
            }
        };
        if !took.is_zero() {
            tokio::time::sleep(took).await;
        }
        if !is_ready {
            let message = "there is no such export".to_owned();
            return Err(HatchFailure { reason: "handler-not-found", message });
        }
        let mut farm = self.farm();
        let sandbox = Arc::new(Puppet {
            id,
            memory_bytes: Mutex::new(version.resources.memory_bytes / 4),
            version,
            ended: watch::Sender::new(None),
            told: Mutex::default(),
            is_stubborn: farm.is_stubborn,
        });
        farm.puppets.push(Arc::clone(&sandbox));
        Ok(Hatched { sandbox, phases: StartPhases(vec![("exec", took)]) })
    }

    fn adopt(
        &self,
        _id: SandboxId,
        mut orphan: Abandoned,
        _version_id: VersionId,
        _version: Arc<Version>,
    ) -> Option<Arc<Puppet>> {
        orphan.0.take()
    }
}

/// A puppet that a keeper has left; ends when nobody takes it.
#[derive(Debug)]
pub(in crate::pool) struct Abandoned(pub(in crate::pool) Option<Arc<Puppet>>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(puppet) = &self.0 {
            puppet.kill();
        }
    }
}

/// A version with round numbers; a test changes what it is about.
pub(in crate::pool) fn version() -> Version {
    Version {
        function: FunctionName::parse("hello").unwrap(),
        package: Package { root: Some(PathBuf::from("/srv/hello")), digest: String::new() },
        runtime: Runtime::Command { argv: vec!["hello".to_owned()] },
        resources: Resources {
            cpu_millis: 500,
            memory_bytes: 128 * MIB,
            pids: 64,
            files: 1024,
            tmp_bytes: 16 * MIB,
        },
        concurrency: 1,
        min: 0,
        max: 4,
        idle_timeout: 30 * SECOND,
        clocks: Clocks {
            queue: 5 * SECOND,
            start: 10 * SECOND,
            first_byte: 30 * SECOND,
            idle: 60 * SECOND,
            run: 300 * SECOND,
        },
        env: BTreeMap::new().into(),
        network: Network::None,
        egress: Default::default(),
        protocol: Default::default(),
        assets: None,
        warmup: Default::default(),
    }
}

pub(in crate::pool) fn id(n: u8) -> VersionId {
    VersionId::from_digest(&[n; 32])
}

pub(in crate::pool) fn config() -> PoolConfig {
    PoolConfig::with_budget(Budget {
        memory_bytes: 4096 * MIB,
        cpu_millis: 4000,
        cpu_overcommit_percent: 1000,
        pids: 32768,
    })
}

/// A pool at work.
pub(in crate::pool) struct Fixture {
    pub(in crate::pool) pool: Pool<Puppets>,
    pub(in crate::pool) puppets: Puppets,
    pub(in crate::pool) keeper: JoinHandle<()>,
    pub(in crate::pool) events: tokio::sync::broadcast::Receiver<PoolEvent>,
}

pub(in crate::pool) type Ask = JoinHandle<Result<Slot<Puppets>, SlotRefused>>;

impl Fixture {
    pub(in crate::pool) fn with_config(config: PoolConfig) -> Self {
        let puppets = Puppets(Arc::new(Mutex::new(Farm {
            script: Script::Ready(50 * MS),
            is_stubborn: false,
            hatches: 0,
            hatching: 0,
            most_hatching: 0,
            puppets: Vec::new(),
            told: Vec::new(),
        })));
        Self::over(puppets, config)
    }

    /// Another pool over puppets that are there.
    pub(in crate::pool) fn over(puppets: Puppets, config: PoolConfig) -> Self {
        let (pool, keeper) = Pool::new(config, puppets.clone());
        let events = pool.events();
        Self { pool, puppets, keeper: tokio::spawn(keeper), events }
    }

    /// With one version, number 1.
    pub(in crate::pool) fn with(version: Version) -> Self {
        let fixture = Self::with_config(config());
        fixture.serve(vec![(1, version)]);
        fixture
    }

    pub(in crate::pool) fn serve(&self, versions: Vec<(u8, Version)>) {
        let versions = versions.into_iter().map(|(n, version)| (id(n), Arc::new(version), 1000));
        self.serve_only(versions.collect());
    }

    /// These and no others.
    pub(in crate::pool) fn serve_only(&self, versions: Vec<(VersionId, Arc<Version>, u32)>) {
        let is_listed = |id: &VersionId| versions.iter().any(|(listed, ..)| listed == id);
        let known = self.pool.versions().into_iter().map(|version| version.id());
        let gone: Vec<_> = known.filter(|id| !is_listed(id)).collect();
        self.pool.serve(versions);
        self.pool.retire(gone);
    }

    pub(in crate::pool) fn version(&self, n: u8) -> Arc<VersionPool<Puppets>> {
        self.pool.version(&id(n)).expect("it is served")
    }

    /// A request of its own task.
    pub(in crate::pool) fn ask(&self, n: u8) -> Ask {
        let version = self.version(n);
        tokio::spawn(async move { version.slot().await })
    }

    /// A slot, or the test fails.
    pub(in crate::pool) async fn slot(&self, n: u8) -> Slot<Puppets> {
        self.version(n).slot().await.expect("a slot")
    }

    /// Until all tasks wait for time or for the test. On a paused clock nothing else can be running.
    pub(in crate::pool) async fn settle(&self) {
        tokio::time::sleep(Duration::from_micros(1)).await;
    }

    pub(in crate::pool) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.settle().await;
    }

    pub(in crate::pool) fn alive(&self) -> usize {
        self.puppets.alive().len()
    }

    pub(in crate::pool) fn hatches(&self) -> usize {
        self.puppets.farm().hatches
    }
}
