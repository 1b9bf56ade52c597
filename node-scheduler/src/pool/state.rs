//! What the keeper knows: every version, every sandbox, and what each of them takes. Plain data; [`decide`](super::decide) moves it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hatchway_proto::catalog::Version;
use hatchway_proto::growth::Share;
use hatchway_proto::name::SandboxId;

use super::backoff::Backoff;
use super::budget::{Charge, Used};
use super::config::PoolConfig;
use super::event::ReapWhy;
use super::phase::Phase;
use super::plan::{Bar, Listen};

/// One stay of a version in the catalog. A version that is retired and comes back gets a new one, so that the end of
/// the old stay does not touch the new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct VersionKey(pub(super) u64);

/// Of a version, what decisions need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) concurrency: u16,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) idle_timeout: Duration,
    pub(super) start_clock: Duration,
    pub(super) charge: Charge,
    /// This node's part of a plan over all nodes, in the place of `min` and within `max`.
    pub(super) share: Option<Share>,
}

impl Spec {
    pub(super) fn of(version: &Version) -> Self {
        Self {
            concurrency: version.concurrency.max(1),
            min: version.min.min(version.max.max(1)),
            max: version.max.max(1),
            idle_timeout: version.idle_timeout,
            start_clock: version.clocks.start,
            charge: Charge::reserved(&version.resources),
            share: None,
        }
    }
}

/// One sandbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sandbox {
    pub(super) phase: Phase,
    /// As last measured.
    pub(super) used: Option<Used>,
    /// Why it is being ended, or was to be.
    pub(super) why: Option<ReapWhy>,
}

impl Sandbox {
    /// Chosen to be reaped a moment ago: no longer counted on, not yet closed.
    pub(super) fn is_doomed(&self) -> bool {
        matches!(self.phase, Phase::Idle { .. }) && self.why.is_some()
    }

    /// As last measured.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.used.map_or(0, |used| used.memory_bytes)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Idle { .. } | Phase::Busy { .. }) && !self.is_doomed()
    }

    /// Nothing more is expected of it: what it takes comes back by itself.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_doomed()
            || matches!(self.phase, Phase::Draining { in_flight: 0 } | Phase::Ending { .. })
    }
}

/// One version.
#[derive(Clone, Debug)]
pub(super) struct VersionState {
    pub(super) spec: Spec,
    pub(super) is_retired: bool,
    /// Requests in its line, as last seen.
    pub(super) waiting: u32,
    /// Slots ran short since the look before.
    pub(super) was_crowded: bool,
    pub(super) sandboxes: BTreeMap<SandboxId, Sandbox>,
    pub(super) backoff: Backoff,
    /// The failure that newcomers are told while the back-off lasts.
    pub(super) failure: Option<(&'static str, Arc<str>)>,
    /// Since when requests wait for room on the node, and for what.
    pub(super) short: Option<(Instant, &'static str)>,
    /// As last told.
    pub(super) bar: Option<Bar>,
    /// As last told.
    pub(super) listen: Listen,
}

/// A version's sandboxes, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) starting: u32,
    pub(super) open: u32,
    pub(super) in_flight: u32,
}

impl Tally {
    /// Those that serve or will.
    pub(super) fn alive(&self) -> u32 {
        self.starting + self.open
    }
}

impl VersionState {
    pub(super) fn new(spec: Spec) -> Self {
        Self {
            spec,
            is_retired: false,
            waiting: 0,
            was_crowded: false,
            sandboxes: BTreeMap::new(),
            backoff: Backoff::default(),
            failure: None,
            short: None,
            bar: None,
            listen: Listen::FIRST,
        }
    }

    /// Sandboxes at most: what the plan allows, and no more than one node may have.
    pub(super) fn max(&self) -> u32 {
        let most = self.spec.share.and_then(|share| share.most);
        most.map_or(self.spec.max, |most| most.min(self.spec.max))
    }

    /// Sandboxes that are kept even when idle.
    pub(super) fn min(&self) -> u32 {
        self.spec.share.map_or(self.spec.min, |share| share.keep).min(self.max())
    }

    /// None may be here, and none is: others have them.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.max() == 0 && self.tally().alive() == 0
    }

    /// Retired, and newcomers have been turned away since before the last look: its line only gets shorter.
    pub(super) fn is_shut(&self) -> bool {
        matches!(self.bar, Some(Bar::Retired | Bar::Draining))
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for sandbox in self.sandboxes.values() {
            match sandbox.phase {
                Phase::Starting { .. } => tally.starting += 1,
                Phase::Idle { .. } | Phase::Busy { .. } if sandbox.is_open() => tally.open += 1,
                Phase::Idle { .. } | Phase::Busy { .. } => {}
                Phase::Draining { .. } | Phase::Ending { .. } => {}
            }
            if let Phase::Busy { in_flight } = sandbox.phase {
                tally.in_flight += u32::from(in_flight);
            }
        }
        tally
    }

    /// What a sandbox takes at the moment.
    pub(super) fn charge(&self, sandbox: &Sandbox, headroom_percent: u32) -> Charge {
        let charge = match sandbox.used {
            Some(used) => self.spec.charge.measured(used, headroom_percent),
            None => self.spec.charge,
        };
        match sandbox.phase {
            Phase::Starting { .. } | Phase::Busy { .. } => charge,
            Phase::Draining { in_flight } if in_flight > 0 => charge,
            Phase::Idle { .. } | Phase::Draining { .. } | Phase::Ending { .. } => charge.idle(),
        }
    }
}

/// Everything.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) config: PoolConfig,
    pub(super) versions: BTreeMap<VersionKey, VersionState>,
    pub(super) next_sandbox: u64,
    pub(super) draining_since: Option<Instant>,
    /// It drains because another keeper takes over: nothing is ended.
    pub(super) leaves: bool,
    pub(super) measured_at: Option<Instant>,
    /// The version that hatched last; the next round starts behind it.
    pub(super) last_turn: VersionKey,
}

impl State {
    pub(super) fn new(config: PoolConfig) -> Self {
        Self {
            versions: BTreeMap::new(),
            next_sandbox: config.first_sandbox,
            config,
            draining_since: None,
            leaves: false,
            measured_at: None,
            last_turn: VersionKey(0),
        }
    }

    /// Takes over a sandbox that serves already.
    pub(super) fn adopt(&mut self, key: VersionKey, id: SandboxId, now: Instant) {
        if let Some(version) = self.versions.get_mut(&key) {
            let phase = Phase::Idle { since: now };
            version.sandboxes.insert(id, Sandbox { phase, used: None, why: None });
            self.next_sandbox = self.next_sandbox.max(id.0 + 1);
        }
    }

    /// Nothing is served from now on but who is here already.
    pub(super) fn drain(&mut self, now: Instant) {
        self.draining_since.get_or_insert(now);
        for version in self.versions.values_mut() {
            version.is_retired = true;
        }
    }

    /// Takes over how long a line is, and whether slots ran short since the last look.
    pub(super) fn see_line(&mut self, key: VersionKey, waiting: u32, was_crowded: bool) {
        if let Some(version) = self.versions.get_mut(&key) {
            version.waiting = waiting;
            version.was_crowded = was_crowded;
        }
    }

    /// Takes over what a sandbox's word says. A sandbox that was to be reaped and is still open has won the race.
    pub(super) fn see(&mut self, key: VersionKey, id: SandboxId, phase: Phase) {
        let Some(sandbox) = self.sandbox_mut(key, id) else { return };
        if matches!(sandbox.phase, Phase::Ending { .. }) {
            return;
        }
        if matches!(phase, Phase::Idle { .. } | Phase::Busy { .. }) {
            sandbox.why = None;
        }
        sandbox.phase = phase;
    }

    pub(super) fn sandbox_mut(&mut self, key: VersionKey, id: SandboxId) -> Option<&mut Sandbox> {
        self.versions.get_mut(&key)?.sandboxes.get_mut(&id)
    }

    /// All sandboxes with their versions.
    pub(super) fn sandboxes(
        &self,
    ) -> impl Iterator<Item = (VersionKey, SandboxId, &VersionState, &Sandbox)> {
        self.versions.iter().flat_map(|(key, version)| {
            version.sandboxes.iter().map(move |(id, sandbox)| (*key, *id, version, sandbox))
        })
    }

    /// What everything takes, and how much of that is on its way back.
    pub(super) fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for (_, _, version, sandbox) in self.sandboxes() {
            let charge = version.charge(sandbox, self.config.memory_headroom_percent);
            ledger.taken = ledger.taken.plus(charge);
            if sandbox.is_leaving() {
                ledger.leaving = ledger.leaving.plus(charge);
            }
        }
        ledger
    }

    /// Memory in use as far as it has been measured.
    pub(super) fn measured_bytes(&self) -> u64 {
        self.sandboxes().map(|(_, _, _, sandbox)| sandbox.memory_bytes()).sum()
    }

    /// Requests of versions that have no sandbox.
    pub(super) fn waiting_for_room(&self) -> u32 {
        let has_none = |version: &&VersionState| version.sandboxes.is_empty();
        self.versions.values().filter(has_none).map(|version| version.waiting).sum()
    }

    pub(super) fn starting(&self) -> u32 {
        self.versions.values().map(|version| version.tally().starting).sum()
    }
}

/// What all sandboxes take together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ledger {
    pub(super) taken: Charge,
    /// The part of `taken` that comes back without anything more to be done.
    pub(super) leaving: Charge,
}
