//! Making stem cells, and giving them away.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hatchway_proto::name::VersionId;
use hatchway_sandbox::runtime::{Adapters, Interpreters, Layout, StartPlan, StemKind};
use hatchway_sandbox::{Entry, Network, SandboxSpec, Spawner, StemCell};
use hatchway_wire::process::chain;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::StemSettings;
use super::stock::Stock;
use crate::hatch::ProcessHatchery;
use crate::metrics::StemMetrics;
use crate::pool::Pool;
use crate::zygote::Zygotes;

/// As often as the pool measures its sandboxes.
const EVERY: Duration = Duration::from_secs(1);
/// The start that took a cell is answered by then, mostly.
const REFILL_AFTER: Duration = Duration::from_millis(100);
/// A runtime boots in the tenth part of a second, and behind everybody else.
const BOOT_CLOCK: Duration = Duration::from_secs(20);
/// What a runtime may need to boot. The function's own limits take the place of these before any of its code runs.
const MEMORY_BYTES: u64 = 128 << 20;
const CPU_MILLIS: u32 = 1000;
const PIDS: u32 = 64;
/// As many as a function may be given: a limit can only be lowered.
const FILES: u64 = 1 << 20;

/// All stem cells of a node. Cloning it shares it.
#[derive(Clone, Debug)]
pub(crate) struct StemCells(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spawner: Spawner,
    interpreters: Interpreters,
    adapters: Adapters,
    settings: StemSettings,
    stock: Mutex<Stock<StemCell>>,
    /// Versions that a cell was of no use for.
    shunned: Mutex<HashSet<VersionId>>,
    was_taken: Notify,
    /// What is made in advance takes turns, and waits while somebody waits for a start.
    zygotes: Zygotes,
    metrics: StemMetrics,
}

impl StemCells {
    pub(crate) fn new(
        spawner: Spawner,
        interpreters: Interpreters,
        adapters: Adapters,
        settings: StemSettings,
        zygotes: Zygotes,
        metrics: StemMetrics,
    ) -> Self {
        Self(Arc::new(Inner {
            spawner,
            interpreters,
            adapters,
            settings,
            stock: Mutex::default(),
            shunned: Mutex::default(),
            was_taken: Notify::new(),
            zygotes,
            metrics,
        }))
    }

    /// A cell that can carry out this start, and `plan` as that cell is to be told it. None when the start is to be an
    /// ordinary one.
    pub(crate) fn take(
        &self,
        version: &VersionId,
        (kind, network): (Option<StemKind>, Network),
        plan: &StartPlan,
    ) -> Option<(StemCell, StartPlan)> {
        if !self.0.settings.is_on {
            return None;
        }
        let miss = |reason: &str| self.0.metrics.misses.with_label_values(&[reason]).inc();
        // A runtime that nobody can boot in advance misses nothing.
        let kind = kind?;
        if network == Network::Open {
            miss("network");
            return None;
        }
        if self.shunned().contains(version) {
            miss("shunned");
            return None;
        }
        let taken = self.stock().take(kind, Instant::now()).filter(|cell| !cell.has_ended());
        self.0.was_taken.notify_one();
        self.measure();
        let Some(cell) = taken else {
            miss("none-parked");
            return None;
        };
        let (base, _) = self.plan(kind).ok()?;
        Some((cell, plan.clone().in_stem(&base)))
    }

    /// A cell has not come to serve this version, for a reason that may be ours: it has ordinary starts from now on.
    pub(crate) fn shun(&self, version: &VersionId, detail: &str) {
        self.0.metrics.misses.with_label_values(&["failed"]).inc();
        tracing::warn!(%version, detail, "a stem cell was of no use");
        self.shunned().insert(*version);
    }

    /// Keeps as many as are wanted until the node drains, then lets go of all.
    pub(crate) async fn tend(self, pool: Pool<ProcessHatchery>) {
        if !self.0.settings.is_on {
            return;
        }
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = self.0.was_taken.notified() => sleep(REFILL_AFTER).await,
            }
            let load = pool.load();
            if load.is_draining {
                let all = std::mem::take(&mut *self.stock());
                drop(all);
                return;
            }
            self.look_around(&pool);
            // What sandboxes have reserved is theirs, whether they use it or not.
            let room = load.memory_budget_bytes.saturating_sub(load.memory_reserved_bytes);
            let limit = room.min(self.0.settings.memory_bytes);
            let gone = self.stock().let_go(limit, Instant::now(), StemCell::has_ended);
            drop(gone);
            let begun = self.stock().begin(limit, Instant::now());
            if let Some(kind) = begun {
                self.make(kind).await;
                // There may be another one to make.
                self.0.was_taken.notify_one();
            }
            self.measure();
        }
    }

    /// Which kinds the versions here could want.
    fn look_around(&self, pool: &Pool<ProcessHatchery>) {
        let mut known: BTreeMap<StemKind, usize> = BTreeMap::new();
        let mut served = HashSet::new();
        for version in pool.versions() {
            served.insert(version.id());
            if let Some(kind) = crate::hatch::stem_kind(version.version()) {
                *known.entry(kind).or_default() += 1;
            }
        }
        self.stock().know(&known);
        self.shunned().retain(|version| served.contains(version));
    }

    async fn make(&self, kind: StemKind) {
        let made = {
            let _turn = self.0.zygotes.turn().await;
            timeout(BOOT_CLOCK, self.boot(kind)).await
        };
        match made.unwrap_or_else(|_| Err(format!("not booted within {BOOT_CLOCK:?}"))) {
            Ok(cell) => {
                let bytes = cell.usage().map_or(0, |usage| usage.memory_bytes);
                self.0.metrics.made.inc();
                self.stock().made(kind, cell, bytes);
            }
            Err(detail) => {
                tracing::warn!(runtime = kind.word(), detail, "no stem cell");
                self.stock().failed(kind, Instant::now());
            }
        }
    }

    async fn boot(&self, kind: StemKind) -> Result<StemCell, String> {
        let (plan, package) = self.plan(kind).map_err(|missing| missing.to_string())?;
        let spec = SandboxSpec {
            id: self.0.zygotes.id(),
            name: format!("a stem cell of {}", kind.word()),
            argv: plan.argv,
            env: plan.env,
            package,
            read_only: plan.read_only_mounts,
            memory_bytes: MEMORY_BYTES,
            cpu_millis: CPU_MILLIS,
            pids: PIDS,
            files: FILES,
            tmp_bytes: 0,
            network: Network::None,
            entry: Entry::Inherited,
        };
        let cell = self.0.spawner.stem(spec).await.map_err(|error| chain(&error))?;
        cell.ready().await.map_err(|why| why.to_string())?;
        Ok(cell)
    }

    fn plan(
        &self,
        kind: StemKind,
    ) -> Result<(StartPlan, std::path::PathBuf), hatchway_sandbox::runtime::Missing> {
        let Inner { interpreters, adapters, .. } = &*self.0;
        StartPlan::stem(kind, interpreters, adapters, &Layout::default())
    }

    fn measure(&self) {
        let (counts, bytes) = self.stock().parked();
        let mut by_runtime: BTreeMap<&str, i64> = BTreeMap::new();
        for (kind, count) in counts {
            *by_runtime.entry(kind.word()).or_default() += i64::try_from(count).unwrap_or(i64::MAX);
        }
        for (runtime, count) in by_runtime {
            self.0.metrics.parked.with_label_values(&[runtime]).set(count);
        }
        self.0.metrics.memory_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Nothing is awaited, and no process ended, while it is held.
    fn stock(&self) -> MutexGuard<'_, Stock<StemCell>> {
        self.0.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shunned(&self) -> MutexGuard<'_, HashSet<VersionId>> {
        self.0.shunned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
