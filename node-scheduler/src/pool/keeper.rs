//! The owner of all sandboxes: waits, looks, lets [`decide`](super::decide) think, and acts.
//!
//! One owner for all versions, not one each, because what it weighs belongs to the whole node: room, memory pressure and the
//! number of starts at a time. It is not on the path of a warm request, and a step is short beside a start.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hatchway_proto::name::SandboxId;
use tokio::task::{AbortHandle, JoinSet};

use super::adopt::LentOut;
use super::budget::Used;
use super::clock;
use super::config::PoolConfig;
use super::decide::decide;
use super::hatchery::{Exit, HatchFailure, Hatched, Hatchery, LiveSandbox, Usage};
use super::phase::Phase;
use super::plan::{Bar, Event};
use super::refused::SlotRefused;
use super::resident::Resident;
use super::shared::Shared;
use super::state::{Spec, State, VersionKey};
use super::status::Reserve;
use super::version::VersionPool;
use super::word::Seen;

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
            lent: LentOut::new(),
            cpu_used_millis: 0,
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

/// What the keeper works on.
pub(super) struct Desk<H: Hatchery> {
    pub(super) shared: Arc<Shared<H>>,
    pub(super) hatchery: Arc<H>,
    state: State,
    pub(super) versions: BTreeMap<VersionKey, Known<H>>,
    pub(super) rows: BTreeMap<SandboxId, Row<H>>,
    pub(super) tasks: JoinSet<Done<H>>,
    pub(super) is_drain_known: bool,
    pub(super) lent: LentOut<H>,
    /// Processor time that all sandboxes took between the last two measurements, in thousandths of a core.
    cpu_used_millis: u64,
}

/// A version, and whether its stopwatch runs.
pub(super) struct Known<H: Hatchery> {
    pub(super) pool: Arc<VersionPool<H>>,
    is_hatching: bool,
}

/// A sandbox.
pub(super) struct Row<H: Hatchery> {
    pub(super) key: VersionKey,
    pub(super) ordered_at: Instant,
    /// The task that hatches it, then the one that waits for its end.
    pub(super) task: AbortHandle,
    pub(super) resident: Option<Arc<Resident<H>>>,
    /// Its word at the last look: what a decision to reap it is based on.
    pub(super) seen: Option<Seen>,
    /// Requests that were lost when it died.
    pub(super) lost: u16,
}

/// What a task has come to.
pub(super) enum Done<H: Hatchery> {
    Hatched(SandboxId, Result<Hatched<H::Sandbox>, HatchFailure>),
    Exited(SandboxId, Exit),
}

impl<H: Hatchery> Desk<H> {
    async fn run(mut self) {
        let mut event = Event::Looked;
        loop {
            self.step(event);
            self.read_letters();
            self.measure();
            if self.state.is_over(clock::now()) {
                return;
            }
            event = self.wait().await;
        }
    }

    /// Until something happens or is due.
    async fn wait(&mut self) -> Event {
        let next_look = self.state.next_look(clock::now());
        let due = async {
            match next_look {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            () = self.shared.keeper.notified() => None,
            () = due => None,
            Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => self.done(done),
        };
        event.unwrap_or(Event::Looked)
    }

    fn read_letters(&mut self) {
        let (known, retired, is_draining, shares, orphans, freed, heir) = {
            let letters = &mut *self.shared.letters();
            let known = std::mem::take(&mut letters.known);
            let has_new = std::mem::take(&mut letters.has_new_shares) || !known.is_empty();
            let shares = has_new.then(|| letters.shares.clone());
            let orphans = match letters.knows_rules {
                true => std::mem::take(&mut letters.orphans),
                false => Vec::new(),
            };
            let (retired, freed) =
                (std::mem::take(&mut letters.retired), std::mem::take(&mut letters.freed));
            let heir = letters.heir.take();
            (known, retired, letters.is_draining, shares, orphans, freed, heir)
        };
        if !known.is_empty() || !retired.is_empty() || !orphans.is_empty() {
            let mut specs = Vec::new();
            for pool in known {
                let key = pool.front.key;
                let share = shares.as_ref().and_then(|shares| shares.of.get(&pool.id()).copied());
                specs.push((key, Spec { share, ..Spec::of(pool.version()) }));
                self.versions.insert(key, Known { pool, is_hatching: false });
            }
            let adopted = self.adopt(orphans);
            self.step(Event::Catalog { known: specs, adopted, retired });
        }
        self.take_back(freed);
        if let Some(heir) = heir {
            self.leave(heir);
        }
        if let Some(shares) = shares {
            let of = |(key, known): (&VersionKey, &Known<H>)| {
                (*key, shares.of.get(&known.pool.id()).copied())
            };
            let all = self.versions.iter().map(of).collect();
            self.step(Event::Shares(all));
            self.shared.plans_kept.store(shares.revision, Ordering::Release);
        }
        if is_draining && !self.is_drain_known {
            self.is_drain_known = true;
            self.step(Event::Drain);
        }
    }

    /// Asks every sandbox what it uses, when that is due.
    fn measure(&mut self) {
        if !self.state.is_measure_due(clock::now()) {
            return;
        }
        let mut uses = Vec::new();
        let mut cpu = Duration::ZERO;
        for (id, row) in &self.rows {
            let Some(resident) = &row.resident else { continue };
            let usage = resident.sandbox.usage();
            let before = resident.usage().map_or(Duration::ZERO, |before| before.cpu);
            cpu += usage.map_or(Duration::ZERO, |usage| usage.cpu.saturating_sub(before));
            resident.set_usage(usage);
            let used = usage.map(|Usage { memory_bytes, pids, .. }| Used { memory_bytes, pids });
            uses.extend(used.map(|used| (row.key, *id, used)));
        }
        let now = clock::now();
        self.cpu_used_millis = match self.state.measured_at.map(|since| (now - since).as_micros()) {
            None | Some(0) => 0,
            Some(elapsed) => u64::try_from(cpu.as_micros() * 1000 / elapsed).unwrap_or(u64::MAX),
        };
        self.step(Event::Measured(uses));
    }

    pub(super) fn step(&mut self, event: Event) {
        self.look();
        for action in decide(&mut self.state, clock::now(), random(), event) {
            self.act(action);
        }
        self.report();
    }

    /// Takes over what requests have done since the last look.
    fn look(&mut self) {
        for (key, known) in &self.versions {
            let was_crowded = known.pool.front.take_crowded();
            self.state.see_line(*key, known.pool.waiting(), was_crowded);
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
            pids_reserved: taken.pids,
            waiting_for_room: self.state.waiting_for_room(),
            cpu_used_millis: if self.rows.is_empty() { 0 } else { self.cpu_used_millis },
            is_draining: self.is_drain_known,
        };
    }
}

/// Without a keeper nobody may wait, and nothing may run on.
impl<H: Hatchery> Drop for Desk<H> {
    fn drop(&mut self) {
        let unread = {
            let mut letters = self.shared.letters();
            letters.is_draining = true;
            std::mem::take(&mut letters.known)
        };
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
