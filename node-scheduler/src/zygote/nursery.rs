//! Forking zygotes, keeping a child parked, letting go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hatchway_proto::name::VersionId;
use hatchway_sandbox::{Parked, Spawner, Zygote};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{sleep, timeout};

use super::ZygoteSettings;
use super::make::Blueprint;
use super::table::{BACK_OFF, Bar, Table, ZygoteStatus};
use crate::egress::{Egress, Outlet};
use crate::logs::Logs;
use crate::metrics::ZygoteMetrics;
use crate::package::Held;

/// A fork takes milliseconds, and a child is ready in one. On a machine so busy that this is not enough an ordinary start
/// would do no better, but it is what the start clock was set for.
pub(crate) const CHILD_CLOCK: Duration = Duration::from_secs(2);

/// The start that took the last parked child is answered by then, mostly.
const REFILL_AFTER: Duration = Duration::from_millis(10);

/// How long a refill waits for a moment in which nothing starts. Under a storm there is none, and each of its starts
/// would fork for itself.
const REFILL_PATIENCE: Duration = Duration::from_millis(20);

/// A zygote, and one child that is ready to be let go.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) zygote: Arc<Zygote>,
    pub(super) parked: Option<Parked>,
    /// The way out of the zygote and of all that is forked from it, where it has one.
    pub(super) outlet: Option<Outlet>,
    pub(super) children: Children,
    /// The files that both see.
    pub(super) _package: Held,
}

/// Held by every sandbox that was forked from a zygote, for as long as it lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children(Arc<()>);

impl Children {
    pub(super) fn are_there(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// All zygotes of a node. Cloning it shares it.
#[derive(Clone, Debug)]
pub(crate) struct Zygotes(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) spawner: Spawner,
    pub(super) logs: Logs,
    pub(super) egress: Egress,
    pub(super) settings: ZygoteSettings,
    table: Mutex<Table<Family>>,
    /// How many starts somebody waits for.
    starts: watch::Sender<u32>,
    /// One zygote loads at a time, or one stem cell boots.
    turn: Semaphore,
    next_id: AtomicU64,
    pub(super) metrics: ZygoteMetrics,
}

/// A start that somebody waits for: what can wait, waits until it is dropped.
#[derive(Debug)]
pub(crate) struct Starting(Zygotes);

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.0.starts.send_modify(|starts| *starts -= 1);
    }
}

impl Zygotes {
    /// `first_id` is above those that live, and far above those of sandboxes.
    pub(crate) fn new(
        spawner: Spawner,
        logs: Logs,
        egress: Egress,
        settings: ZygoteSettings,
        metrics: ZygoteMetrics,
        first_id: u64,
    ) -> Self {
        Self(Arc::new(Inner {
            spawner,
            logs,
            egress,
            settings,
            table: Mutex::default(),
            starts: watch::Sender::new(0),
            turn: Semaphore::new(1),
            next_id: AtomicU64::new(first_id),
            metrics,
        }))
    }

    /// Somebody waits for a start.
    pub(crate) fn starting(&self) -> Starting {
        self.0.starts.send_modify(|starts| *starts += 1);
        Starting(self.clone())
    }

    /// Every version that a zygote was thought of for.
    pub(crate) fn status(&self) -> Vec<ZygoteStatus> {
        self.table().status(Instant::now())
    }

    /// A child of the version's zygote, to be let go, and the way out that it shares. None when the start is to be an ordinary one; where
    /// that is a fallback, it is counted.
    ///
    /// Cancel safe: dropped on the way, the child ends.
    pub(crate) async fn take(
        &self,
        version: &VersionId,
    ) -> Option<(Parked, Option<Outlet>, Children)> {
        let (zygote, outlet, children) = {
            let mut table = self.table();
            let now = Instant::now();
            if let Some(reason) = table.barred(version, now) {
                self.0.metrics.fallbacks.with_label_values(&[reason]).inc();
                return None;
            }
            let family = table.use_now(version, now)?;
            let parked = family.parked.take().filter(|parked| !parked.has_ended());
            let children = family.children.clone();
            self.refill_later(*version);
            let outlet = family.outlet.clone();
            match parked {
                Some(parked) => return Some((parked, outlet, children)),
                None => (Arc::clone(&family.zygote), outlet, children),
            }
        };
        match timeout(CHILD_CLOCK, zygote.park(self.id())).await {
            Ok(Ok(parked)) => Some((parked, outlet, children)),
            Ok(Err(error)) => {
                self.disappoint(version, "fork-failed", hatchway_wire::process::chain(&error));
                None
            }
            Err(_) => {
                self.disappoint(version, "fork-slow", format!("no child within {CHILD_CLOCK:?}"));
                None
            }
        }
    }

    /// A child was of no use: this start goes on as an ordinary one, and so do those of the next minute.
    pub(crate) fn disappoint(&self, version: &VersionId, reason: &'static str, detail: String) {
        self.0.metrics.fallbacks.with_label_values(&[reason]).inc();
        tracing::warn!(%version, reason, detail, "a start could not be forked");
        let family =
            self.table().bar(version, Bar { reason, detail }, Some(Instant::now() + BACK_OFF));
        drop(family);
    }

    /// An ordinary start has come to serve: the next ones may be forks.
    pub(crate) fn consider(&self, blueprint: impl FnOnce() -> Option<Blueprint>) {
        if !self.0.settings.is_on {
            return;
        }
        let Some(blueprint) = blueprint() else { return };
        let is_ours = self.table().claim(blueprint.id, &blueprint.version.function, Instant::now());
        if is_ours {
            tokio::spawn(self.clone().make(blueprint));
        }
    }

    /// Sees to it that a child is parked again, when nothing is disturbed by that.
    pub(super) fn refill_later(&self, version: VersionId) {
        let zygotes = self.clone();
        tokio::spawn(async move {
            sleep(REFILL_AFTER).await;
            // In vain: then it is not the moment, but the next one would be no better.
            let _ = timeout(REFILL_PATIENCE, zygotes.leisure()).await;
            zygotes.refill(&version).await;
        });
    }

    async fn refill(&self, version: &VersionId) {
        let zygote = {
            let mut table = self.table();
            let Some(kept) = table.kept(version) else { return };
            if kept.zygote.parked.as_ref().is_some_and(|parked| !parked.has_ended()) {
                return;
            }
            Arc::clone(&kept.zygote.zygote)
        };
        // Should it fail, the next start finds nobody parked, forks for itself, and tells.
        let Ok(Ok(parked)) = timeout(CHILD_CLOCK, zygote.park(self.id())).await else { return };
        let mut table = self.table();
        let Some(kept) = table.kept(version) else { return };
        // Another refill may have been sooner: then this child is one too many.
        let spare = match &kept.zygote.parked {
            Some(other) if !other.has_ended() => Some(parked),
            Some(_) | None => kept.zygote.parked.replace(parked),
        };
        drop(table);
        drop(spare);
    }

    /// Waits until nobody waits for a start.
    async fn leisure(&self) {
        let mut starts = self.0.starts.subscribe();
        let waited = starts.wait_for(|starts| *starts == 0).await;
        waited.expect("we hold the sending end");
    }

    /// The right to make something that nobody waits for: one at a time, once nobody waits for a start.
    pub(crate) async fn turn(&self) -> SemaphorePermit<'_> {
        self.leisure().await;
        let turn = self.0.turn.acquire().await.expect("the semaphore is never closed");
        self.leisure().await;
        turn
    }

    /// A number for a process that is no sandbox yet.
    pub(crate) fn id(&self) -> u64 {
        self.0.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Nothing is awaited, and no process ended, while it is held.
    pub(super) fn table(&self) -> MutexGuard<'_, Table<Family>> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
