//! The owner of all sandboxes: waits, looks, lets `decide` think, and acts.
//!
//! One owner for all versions, not one each, because what it weighs belongs to the whole node: room, memory pressure and the
//! number of starts at a time. It is not on the path of a warm request, and a step costs microseconds.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use hatchway_proto::name::SandboxId;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::clock;
use super::config::PoolConfig;
use super::decide::decide;
use super::event::{PoolEvent, ReapWhy};
use super::hatchery::{Exit, HatchFailure, Hatched, Hatchery, LiveSandbox};
use super::phase::Phase;
use super::refused::SlotRefused;
use super::resident::Resident;
use super::shared::{Listed, Shared};
use super::state::{Action, Bar, Ended, Event, Spec, State, VersionKey};
use super::status::Reserve;
use super::version::VersionPool;
use super::word::Seen;

/// What a process that was killed for want of anything better to do is said to have ended by.
const SIGKILL: i32 = 9;

/// The future that keeps a pool. Must be polled inside a tokio runtime with time enabled.
#[must_use = "a pool does nothing without its keeper"]
pub struct Keeper<H> {
    run: Pin<Box<dyn Future<Output = ()> + Send>>,
    of: std::marker::PhantomData<fn() -> H>,
}

impl<H: Hatchery> Keeper<H> {
    pub(super) fn new(shared: Arc<Shared<H>>, config: PoolConfig, hatchery: H) -> Self {
        let desk = Desk {
            shared,
            hatchery: Arc::new(hatchery),
            state: State::new(config),
            versions: BTreeMap::new(),
            rows: BTreeMap::new(),
            tasks: JoinSet::new(),
            is_drain_known: false,
        };
        Self { run: Box::pin(desk.run()), of: std::marker::PhantomData }
    }
}

impl<H> Future for Keeper<H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.run.as_mut().poll(cx)
    }
}

impl<H> fmt::Debug for Keeper<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

/// A version, and whether its stopwatch runs.
struct Known<H: Hatchery> {
    pool: Arc<VersionPool<H>>,
    is_hatching: bool,
}

/// A sandbox as the keeper handles it.
struct Row<H: Hatchery> {
    key: VersionKey,
    ordered_at: Instant,
    /// The task that hatches it, then the one that waits for its end.
    task: AbortHandle,
    resident: Option<Arc<Resident<H>>>,
    /// Its word at the last look: what a decision to reap it is based on.
    seen: Option<Seen>,
    /// Requests that were lost when it died.
    lost: u16,
}

enum Done<H: Hatchery> {
    Hatched(SandboxId, Result<Hatched<H::Sandbox>, HatchFailure>),
    Exited(SandboxId, Exit),
}

struct Desk<H: Hatchery> {
    shared: Arc<Shared<H>>,
    hatchery: Arc<H>,
    state: State,
    versions: BTreeMap<VersionKey, Known<H>>,
    rows: BTreeMap<SandboxId, Row<H>>,
    tasks: JoinSet<Done<H>>,
    is_drain_known: bool,
}

impl<H: Hatchery> Desk<H> {
    async fn run(mut self) {
        loop {
            self.read_letters();
            let event = self.measure();
            self.step(event);
            if self.state.is_over(clock::now()) {
                return;
            }
            if let Some(event) = self.wait().await {
                self.step(event);
            }
        }
    }

    /// Until something happens or is due.
    async fn wait(&mut self) -> Option<Event> {
        let next_look = self.state.next_look(clock::now());
        let due = async {
            match next_look {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shared.keeper.notified() => None,
            () = due => None,
            Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => self.done(done),
        }
    }

    fn read_letters(&mut self) {
        let (known, retired, is_draining) = {
            let mut letters = self.shared.letters();
            let known = std::mem::take(&mut letters.known);
            (known, std::mem::take(&mut letters.retired), letters.is_draining)
        };
        for pool in known {
            let (key, spec) = (pool.front.key, Spec::of(pool.version()));
            self.versions.insert(key, Known { pool, is_hatching: false });
            self.step(Event::Known { key, spec });
        }
        for key in retired {
            self.step(Event::Retired { key });
        }
        if is_draining && !self.is_drain_known {
            self.is_drain_known = true;
            self.step(Event::Drain);
        }
    }

    /// Asks every open sandbox what it uses, when that is due.
    fn measure(&mut self) -> Event {
        if !self.state.is_measure_due(clock::now()) {
            return Event::Looked;
        }
        let mut uses = Vec::new();
        for (id, row) in &self.rows {
            let Some(resident) = &row.resident else { continue };
            let usage = resident.sandbox.usage();
            resident.set_usage(usage);
            uses.extend(usage.map(|usage| (row.key, *id, usage.memory_bytes)));
        }
        Event::Measured(uses)
    }

    fn step(&mut self, event: Event) {
        self.look();
        let draw = random();
        for action in decide(&mut self.state, clock::now(), draw, event) {
            self.act(action);
        }
        self.report();
    }

    /// Takes over what requests have done since the last look.
    fn look(&mut self) {
        for (key, known) in &self.versions {
            self.state.see_waiting(*key, known.pool.waiting());
        }
        for (id, row) in &mut self.rows {
            let Some(resident) = &row.resident else { continue };
            let seen = resident.word.seen();
            row.seen = Some(seen);
            if let Some(phase) = Phase::of(seen, |ms| self.shared.epoch.instant(ms)) {
                self.state.see(row.key, *id, phase);
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Hatch { key, id } => self.hatch(key, id),
            Action::GiveUp { id, failure, .. } => self.give_up(id, failure),
            Action::Reap { id, .. } => self.reap(id),
            Action::Close { id, .. } => self.close(id),
            Action::Terminate { id, .. } => {
                if let Some(resident) = self.resident(id) {
                    resident.sandbox.terminate();
                    self.mark_ending(id);
                }
            }
            Action::Kill { id, .. } => {
                if let Some(resident) = self.resident(id) {
                    resident.sandbox.kill();
                    self.mark_ending(id);
                }
            }
            Action::Gone { id, ended, exit, .. } => self.gone(id, ended, exit),
            Action::Refuse { key, refusal } => {
                if let Some(known) = self.versions.get(&key) {
                    known.pool.front.refuse_all(&refusal);
                }
            }
            Action::Bar { key, bar } => {
                if let Some(known) = self.versions.get(&key) {
                    known.pool.front.bar(bar);
                }
            }
            Action::Listen { key, listen } => {
                if let Some(known) = self.versions.get(&key) {
                    known.pool.front.listen(listen);
                }
            }
            Action::Forget { key } => {
                self.versions.remove(&key);
            }
        }
    }

    fn hatch(&mut self, key: VersionKey, id: SandboxId) {
        let Some(known) = self.versions.get(&key) else { return };
        let (hatchery, version) = (Arc::clone(&self.hatchery), Arc::clone(known.pool.version()));
        let version_id = known.pool.id();
        let task = self
            .tasks
            .spawn(async move { Done::Hatched(id, hatchery.hatch(id, version_id, version).await) });
        let ordered_at = clock::now();
        let listed = Listed {
            version: Arc::clone(&known.pool),
            ordered_at,
            resident: None,
            is_ending: false,
        };
        self.shared.announce(PoolEvent::Hatching { of: listed.whose(id) });
        self.shared.roster().insert(id, listed);
        let row = Row { key, ordered_at, task, resident: None, seen: None, lost: 0 };
        self.rows.insert(id, row);
    }

    fn give_up(&mut self, id: SandboxId, failure: Option<HatchFailure>) {
        let Some(row) = self.rows.remove(&id) else { return };
        row.task.abort();
        let Some(listed) = self.shared.roster().remove(&id) else { return };
        let of = listed.whose(id);
        self.shared.announce(match failure {
            Some(failure) => PoolEvent::HatchFailed { of, failure },
            None => {
                let why = if self.is_drain_known { ReapWhy::Drain } else { ReapWhy::Retired };
                PoolEvent::Reaped { of, why, lived: std::time::Duration::ZERO, served: 0 }
            }
        });
    }

    /// Closes a sandbox if no request has come since it was decided.
    fn reap(&mut self, id: SandboxId) {
        if let Some(row) = self.rows.get(&id)
            && let (Some(resident), Some(seen)) = (&row.resident, row.seen)
            && resident.word.close_if_idle(seen)
        {
            self.take_off_table(row.key, resident);
        }
        // Closed or not, the next look shows it, and it is due now.
        self.shared.keeper.notify_one();
    }

    fn close(&mut self, id: SandboxId) {
        if let Some(row) = self.rows.get(&id)
            && let Some(resident) = &row.resident
            && resident.word.close()
        {
            self.take_off_table(row.key, resident);
        }
        self.shared.keeper.notify_one();
    }

    fn take_off_table(&self, key: VersionKey, resident: &Arc<Resident<H>>) {
        if let Some(known) = self.versions.get(&key) {
            known.pool.dismiss(resident);
        }
    }

    fn resident(&self, id: SandboxId) -> Option<&Arc<Resident<H>>> {
        self.rows.get(&id)?.resident.as_ref()
    }

    fn mark_ending(&self, id: SandboxId) {
        if let Some(listed) = self.shared.roster().get_mut(&id) {
            listed.is_ending = true;
        }
    }

    fn gone(&mut self, id: SandboxId, ended: Ended, exit: Exit) {
        let (Some(row), Some(listed)) = (self.rows.remove(&id), self.shared.roster().remove(&id))
        else {
            return;
        };
        let Some(resident) = row.resident else { return };
        let of = listed.whose(id);
        let lived = clock::now().saturating_duration_since(resident.ready_at);
        let served = resident.served();
        self.shared.announce(match ended {
            Ended::Asked(why) => PoolEvent::Reaped { of, why, lived, served },
            Ended::Died => PoolEvent::Died { of, exit, lived, served, in_flight: row.lost },
        });
    }

    fn done(&mut self, done: Result<Done<H>, JoinError>) -> Option<Event> {
        match done {
            Ok(Done::Hatched(id, Ok(hatched))) => self.hatched(id, hatched),
            Ok(Done::Hatched(id, Err(failure))) => self.hatch_failed(id, failure),
            Ok(Done::Exited(id, exit)) => self.exited(id, exit),
            Err(error) if error.is_cancelled() => None,
            Err(error) => self.panicked(&error),
        }
    }

    fn hatched(&mut self, id: SandboxId, hatched: Hatched<H::Sandbox>) -> Option<Event> {
        let known = self.rows.get_mut(&id).and_then(|row| {
            let known = self.versions.get(&row.key)?;
            Some((row, known))
        });
        let Some((row, known)) = known else {
            // Given up in the very moment in which it was ready.
            hatched.sandbox.kill();
            return None;
        };
        let (pool, times) = (&known.pool, (row.ordered_at, clock::now()));
        let front = Arc::clone(&pool.front);
        let resident = Arc::new(Resident::new(id, pool.limit(), hatched, times, front));
        row.resident = Some(Arc::clone(&resident));
        let watched = Arc::clone(&resident);
        row.task =
            self.tasks.spawn(async move { Done::Exited(id, watched.sandbox.exited().await) });
        if let Some(listed) = self.shared.roster().get_mut(&id) {
            listed.resident = Some(Arc::clone(&resident));
            let (of, phases) = (listed.whose(id), resident.phases.clone());
            self.shared.announce(PoolEvent::Hatched { of, phases, took: times.1 - times.0 });
        }
        resident.open(|| pool.admit(Arc::clone(&resident)));
        Some(Event::Hatched { key: row.key, id })
    }

    fn hatch_failed(&mut self, id: SandboxId, failure: HatchFailure) -> Option<Event> {
        let row = self.rows.remove(&id)?;
        if let Some(listed) = self.shared.roster().remove(&id) {
            let (of, failure) = (listed.whose(id), failure.clone());
            self.shared.announce(PoolEvent::HatchFailed { of, failure });
        }
        Some(Event::HatchFailed { key: row.key, id, failure })
    }

    fn exited(&mut self, id: SandboxId, exit: Exit) -> Option<Event> {
        let row = self.rows.get_mut(&id)?;
        if let Some(resident) = row.resident.clone() {
            row.lost = resident.die(exit);
            let key = row.key;
            self.take_off_table(key, &resident);
        }
        Some(Event::Exited { key: self.rows.get(&id)?.key, id, exit })
    }

    /// A hatchery that panics costs its own sandbox only.
    fn panicked(&mut self, error: &JoinError) -> Option<Event> {
        let (id, row) = self.rows.iter().find(|(_, row)| row.task.id() == error.id())?;
        let id = *id;
        match &row.resident {
            None => {
                let failure = HatchFailure { reason: "panicked", message: error.to_string() };
                self.hatch_failed(id, failure)
            }
            Some(resident) => {
                resident.sandbox.kill();
                self.exited(id, Exit::Signal(SIGKILL))
            }
        }
    }

    /// Brings the stopwatches and the load up to date.
    fn report(&mut self) {
        let now = clock::now();
        for (key, known) in &mut self.versions {
            let is_hatching =
                self.state.versions.get(key).is_some_and(|version| version.tally().starting > 0);
            if is_hatching != known.is_hatching {
                known.is_hatching = is_hatching;
                known.pool.front.set_hatching(is_hatching, now);
            }
        }
        let taken = self.state.ledger().taken;
        *self.shared.reserve() = Reserve {
            sandboxes: u32::try_from(self.rows.len()).unwrap_or(u32::MAX),
            hatching: self.state.starting(),
            memory_reserved_bytes: taken.memory_bytes,
            memory_measured_bytes: self.state.measured_bytes(),
            cpu_reserved_millis: taken.cpu_millis,
            is_draining: self.is_drain_known,
        };
    }
}

/// Without a keeper nobody may wait, and nothing may run on.
impl<H: Hatchery> Drop for Desk<H> {
    fn drop(&mut self) {
        let mut letters = self.shared.letters();
        letters.is_draining = true;
        let unread = std::mem::take(&mut letters.known);
        drop(letters);
        for row in self.rows.values() {
            if let Some(resident) = &row.resident {
                resident.word.close();
                self.take_off_table(row.key, resident);
                resident.sandbox.kill();
            }
        }
        self.shared.roster().clear();
        for pool in self.versions.values().map(|known| &known.pool).chain(&unread) {
            pool.front.bar(Some(Bar::Draining));
            pool.front.refuse_all(&SlotRefused::Draining);
        }
    }
}

/// Uniform over its whole range, from the seed that every process draws for its hash maps.
fn random() -> u32 {
    let bytes = RandomState::new().hash_one(0).to_ne_bytes();
    u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
