//! Making zygotes, forking them, letting go of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hatchway_proto::catalog::Version;
use hatchway_proto::name::{SandboxId, VersionId};
use hatchway_sandbox::{ExitKind, NotReady, Parked, SandboxSpec, Spawner, Zygote};
use tokio::net::unix::pipe;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::ZygoteSettings;
use super::table::{BACK_OFF, Bar, Table, ZygoteStatus};
use super::trial::Trial;
use crate::logs::{Logs, Origin};
use crate::metrics::ZygoteMetrics;

/// A fork takes milliseconds, and a child is ready in one. On a machine so busy that this is not enough an ordinary start
/// would do no better, but it is what the start clock was set for.
pub(crate) const CHILD_CLOCK: Duration = Duration::from_secs(2);

/// The start that made us think of a zygote is answered by then, mostly, and a function that was called once has shown
/// whether it is called again.
const MAKE_AFTER: Duration = Duration::from_millis(50);

/// The start that took the last parked child is answered by then, mostly.
const REFILL_AFTER: Duration = Duration::from_millis(10);

/// How long a refill waits for a moment in which nothing starts. Under a storm there is none, and each of its starts
/// would fork for itself.
const REFILL_PATIENCE: Duration = Duration::from_millis(20);

/// Zygotes and parked children have numbers of their own, far above those of sandboxes.
const FIRST_ID: u64 = 1 << 48;

/// The sandbox that lines are said to be from which a version prints while a zygote loads it: none has this number.
const NOBODY: SandboxId = SandboxId(0);

/// A zygote, and one child that is ready to be let go.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) zygote: Arc<Zygote>,
    pub(super) parked: Option<Parked>,
}

/// How a zygote of a version is made.
#[derive(Debug)]
pub(crate) struct Blueprint {
    pub(crate) id: VersionId,
    pub(crate) version: Arc<Version>,
    /// Its id is not looked at.
    pub(crate) spec: SandboxSpec,
    /// For a runtime that is tried before it is forked.
    pub(crate) trial: Option<Trial>,
}

impl Blueprint {
    async fn may_be_forked(&self) -> Result<(), Bar> {
        let Some(trial) = &self.trial else { return Ok(()) };
        trial.verdict().await.map_err(|detail| Bar { reason: "runtime", detail })
    }
}

/// All zygotes of a node. Cloning it shares it.
#[derive(Clone, Debug)]
pub(crate) struct Zygotes(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    spawner: Spawner,
    logs: Logs,
    pub(super) settings: ZygoteSettings,
    table: Mutex<Table<Family>>,
    /// How many starts somebody waits for.
    starts: watch::Sender<u32>,
    /// One zygote loads at a time.
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
    pub(crate) fn new(
        spawner: Spawner,
        logs: Logs,
        settings: ZygoteSettings,
        metrics: ZygoteMetrics,
    ) -> Self {
        Self(Arc::new(Inner {
            spawner,
            logs,
            settings,
            table: Mutex::default(),
            starts: watch::Sender::new(0),
            turn: Semaphore::new(1),
            next_id: AtomicU64::new(FIRST_ID),
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

    /// A child of the version's zygote, to be let go. None when the start is to be an ordinary one; where
    /// that is a fallback, it is counted.
    ///
    /// Cancel safe: dropped on the way, the child ends.
    pub(crate) async fn take(&self, version: &VersionId) -> Option<Parked> {
        let zygote = {
            let mut table = self.table();
            let now = Instant::now();
            if let Some(reason) = table.barred(version, now) {
                self.0.metrics.fallbacks.with_label_values(&[reason]).inc();
                return None;
            }
            let family = table.use_now(version, now)?;
            let parked = family.parked.take().filter(|parked| !parked.has_ended());
            self.refill_later(*version);
            match parked {
                Some(parked) => return Some(parked),
                None => Arc::clone(&family.zygote),
            }
        };
        match timeout(CHILD_CLOCK, zygote.park(self.id())).await {
            Ok(Ok(parked)) => Some(parked),
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

    async fn make(self, blueprint: Blueprint) {
        sleep(MAKE_AFTER).await;
        self.leisure().await;
        let _turn = self.0.turn.acquire().await.expect("the semaphore is never closed");
        self.leisure().await;
        let version = blueprint.id;
        let clock = blueprint.version.clocks.start;
        let late = || Bar { reason: "load-slow", detail: format!("not loaded within {clock:?}") };
        let made = match blueprint.may_be_forked().await {
            Ok(()) => timeout(clock, self.load(&blueprint)).await.unwrap_or_else(|_| Err(late())),
            Err(bar) => Err(bar),
        };
        match made {
            Ok(zygote) => self.keep(version, zygote),
            Err(bar) => {
                tracing::info!(function = %blueprint.version.function, reason = bar.reason, detail = bar.detail, "no zygote");
                drop(self.table().bar(&version, bar, None));
            }
        }
    }

    /// Starts a zygote and waits until it can be forked.
    async fn load(&self, blueprint: &Blueprint) -> Result<Zygote, Bar> {
        let spec = SandboxSpec { id: self.id(), ..blueprint.spec.clone() };
        let failed = |reason, detail| Bar { reason, detail };
        let zygote = self.0.spawner.zygote(spec).await;
        let zygote =
            zygote.map_err(|error| failed("isolation", hatchway_wire::process::chain(&error)))?;
        self.capture(&zygote, blueprint);
        match zygote.ready().await {
            Ok(_) => Ok(zygote),
            Err(why) => Err(Bar { reason: reason_word(&why), detail: detail(&why) }),
        }
    }

    /// What a version prints while it is loaded is printed once for all its forks.
    fn capture(&self, zygote: &Zygote, blueprint: &Blueprint) {
        let Some((stdout, stderr)) = zygote.take_output() else { return };
        for (stream, descriptor) in [("stdout", stdout), ("stderr", stderr)] {
            let function = blueprint.version.function.clone();
            let origin = Origin { function, version: blueprint.id, sandbox: NOBODY, stream };
            match pipe::Receiver::from_owned_fd(descriptor) {
                Ok(reader) => {
                    drop(tokio::spawn(self.0.logs.clone().capture(origin, reader, || None)))
                }
                Err(error) => tracing::warn!(%error, "the output of a zygote is not read"),
            }
        }
    }

    fn keep(&self, version: VersionId, zygote: Zygote) {
        let memory_bytes = zygote.usage().map_or(0, |usage| usage.memory_bytes);
        let ended = zygote.exited();
        let zygote = Arc::new(zygote);
        let family = Family { zygote: Arc::clone(&zygote), parked: None };
        if self.table().ready(&version, family, memory_bytes, Instant::now()).is_err() {
            return;
        }
        self.0.metrics.made.inc();
        self.refill_later(version);
        let (zygotes, known) = (self.clone(), Arc::downgrade(&zygote));
        tokio::spawn(async move {
            let exit = ended.await;
            // One that was let go is known to nobody.
            let mut table = zygotes.table();
            let is_kept = table
                .kept(&version)
                .is_some_and(|kept| known.ptr_eq(&Arc::downgrade(&kept.zygote.zygote)));
            if is_kept {
                let reason = if exit.kind == ExitKind::OutOfMemory { "oom" } else { "died" };
                tracing::warn!(%version, %exit, "a zygote died");
                let bar = Bar { reason, detail: exit.to_string() };
                let family = table.bar(&version, bar, Some(Instant::now() + BACK_OFF));
                drop(table);
                drop(family);
            }
        });
    }

    /// Sees to it that a child is parked again, when nothing is disturbed by that.
    fn refill_later(&self, version: VersionId) {
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

    fn id(&self) -> u64 {
        self.0.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Nothing is awaited, and no process ended, while it is held.
    pub(super) fn table(&self) -> MutexGuard<'_, Table<Family>> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}

/// What an adapter says is let into labels only if it is a word of ours.
fn reason_word(why: &NotReady) -> &'static str {
    const UNFIT: [&str; 8] =
        ["threads", "sockets", "files", "timers", "children", "handles", "random", "runtime"];
    match why {
        NotReady::Failed { report } if report["reason"] == "unfit" => {
            let what = report["what"].as_str();
            what.and_then(|what| UNFIT.into_iter().find(|word| *word == what)).unwrap_or("unfit")
        }
        NotReady::Failed { .. } => "load-failed",
        NotReady::Ended(exit) if exit.kind == ExitKind::OutOfMemory => "oom",
        NotReady::Ended(_) | NotReady::Silent | NotReady::Garbled { .. } | NotReady::Io { .. } => {
            "load-failed"
        }
    }
}

fn detail(why: &NotReady) -> String {
    match why {
        NotReady::Failed { report } => {
            report["message"].as_str().map_or_else(|| why.to_string(), str::to_owned)
        }
        NotReady::Ended(_) | NotReady::Silent | NotReady::Garbled { .. } | NotReady::Io { .. } => {
            why.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_words_of_ours_become_labels() {
        let word = |report| reason_word(&NotReady::Failed { report });
        assert_eq!(word(json!({"reason": "unfit", "what": "threads"})), "threads");
        assert_eq!(word(json!({"reason": "unfit", "what": "anything"})), "unfit");
        assert_eq!(word(json!({"reason": "unfit"})), "unfit");
        assert_eq!(word(json!({"reason": "module_failed", "what": "threads"})), "load-failed");
    }
}
