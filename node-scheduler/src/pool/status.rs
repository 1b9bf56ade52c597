//! What the pool says about itself: to `ps`, to metrics, and to gateways with every answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hatchway_proto::name::{FunctionName, SandboxId, VersionId};

use super::clock;
use super::hatchery::{Hatchery, LiveSandbox, StartPhases, Usage};
use super::phase::Phase;
use super::shared::{Listed, Shared};

/// A load summary is worked out at most this often, whatever the number of answers that carry it.
const LOAD_FRESH_FOR: Duration = Duration::from_millis(5);

/// One sandbox as `ps` shows it.
#[derive(Clone, Debug)]
pub struct SandboxStatus {
    /// The sandbox.
    pub id: SandboxId,
    /// Its function.
    pub function: FunctionName,
    /// Its version.
    pub version: VersionId,
    /// `starting`, `idle`, `busy`, `draining` or `ending`.
    pub phase: &'static str,
    /// Slots out.
    pub in_flight: u16,
    /// Since it was ordered.
    pub age: Duration,
    /// Since its last slot came back, while none is out.
    pub idle_for: Option<Duration>,
    /// Requests it has run to the end.
    pub served: u64,
    /// Where the time of its start went; nothing while it starts.
    pub start: Option<StartPhases>,
    /// What it was started from: `fresh`, `nest`, `stem` or `fork`; nothing while it starts.
    pub tier: Option<&'static str>,
    /// As last measured.
    pub usage: Option<Usage>,
    /// Its process on this machine, where it is one.
    pub pid: Option<u32>,
}

/// How full a node is. Rides on answers, so it is small and a few milliseconds old at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Slots of open sandboxes that nobody holds.
    pub slots_free: u32,
    /// Slots out.
    pub slots_in_flight: u32,
    /// Requests in lines.
    pub queued: u32,
    /// Sandboxes in any phase.
    pub sandboxes: u32,
    /// Of these, the ones that are being hatched.
    pub hatching: u32,
    /// Memory charged against the budget.
    pub memory_reserved_bytes: u64,
    /// Memory in use by sandboxes, as last measured.
    pub memory_measured_bytes: u64,
    /// The budget.
    pub memory_budget_bytes: u64,
    /// Processor time charged against the budget, in thousandths of a core.
    pub cpu_reserved_millis: u64,
    /// The budget, overcommit included.
    pub cpu_budget_millis: u64,
    /// Processor time that sandboxes have taken of late, in thousandths of a core.
    pub cpu_used_millis: u64,
    /// What there really is of it.
    pub cpu_millis: u64,
    /// Processes and threads charged against the budget.
    pub pids_reserved: u64,
    /// The budget.
    pub pids_budget: u64,
    /// True from the order to drain on.
    pub is_draining: bool,
}

impl Load {
    /// What is taken of the scarcest of memory, processor time and process ids, in thousandths of what may be.
    pub fn used_permille(&self) -> u16 {
        let share = |used: u64, of: u64| used.saturating_mul(1000) / of.max(1);
        let memory = share(self.memory_reserved_bytes, self.memory_budget_bytes);
        let cpu = share(self.cpu_used_millis, self.cpu_millis);
        let pids = share(self.pids_reserved, self.pids_budget);
        u16::try_from(memory.max(cpu).max(pids)).unwrap_or(u16::MAX)
    }
}

/// The part of [`Load`] that the keeper works out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reserve {
    pub(super) sandboxes: u32,
    pub(super) hatching: u32,
    pub(super) memory_reserved_bytes: u64,
    pub(super) memory_measured_bytes: u64,
    pub(super) cpu_reserved_millis: u64,
    pub(super) cpu_used_millis: u64,
    pub(super) pids_reserved: u64,
    /// Requests of versions that have no sandbox, not even one that starts.
    pub(super) waiting_for_room: u32,
    pub(super) is_draining: bool,
}

impl<H: Hatchery> Shared<H> {
    pub(super) fn status(&self) -> Vec<SandboxStatus> {
        let now = clock::now();
        self.roster().iter().map(|(id, listed)| self.status_of(*id, listed, now)).collect()
    }

    fn status_of(&self, id: SandboxId, listed: &Listed<H>, now: Instant) -> SandboxStatus {
        let resident = listed.resident.as_deref();
        let seen = resident.map(|resident| resident.word.seen());
        let phase = match seen.and_then(|seen| Phase::of(seen, |ms| self.epoch.instant(ms))) {
            _ if listed.is_ending => Phase::Ending { since: now, is_killed: false },
            Some(phase) => phase,
            None if resident.is_some() => Phase::Ending { since: now, is_killed: false },
            None => Phase::Starting { since: listed.ordered_at },
        };
        let idle_for = match phase {
            Phase::Idle { since } => Some(now.saturating_duration_since(since)),
            _ => None,
        };
        SandboxStatus {
            id,
            function: listed.version.version().function.clone(),
            version: listed.version.id(),
            phase: phase.word(),
            in_flight: seen.map_or(0, |seen| seen.in_flight()),
            age: now.saturating_duration_since(listed.ordered_at),
            idle_for,
            served: resident.map_or(0, |resident| resident.served()),
            start: resident.map(|resident| resident.phases.clone()),
            tier: resident.map(|resident| resident.sandbox.tier()),
            usage: resident.and_then(|resident| resident.usage()),
            pid: resident.and_then(|resident| resident.sandbox.pid()),
        }
    }

    /// The load as of a few milliseconds ago. Two cores may work it out at once; that is cheaper than to wait for each other.
    pub(super) fn load(&self) -> Load {
        let now = clock::now();
        let known = self.load.load();
        if now.saturating_duration_since(known.0) < LOAD_FRESH_FOR {
            return known.1;
        }
        let load = self.load_now(known.1);
        self.load.store(Arc::new((now, load)));
        load
    }

    fn load_now(&self, last: Load) -> Load {
        let reserve = *self.reserve();
        let mut load = Load {
            slots_free: 0,
            slots_in_flight: 0,
            queued: reserve.waiting_for_room,
            sandboxes: reserve.sandboxes,
            hatching: reserve.hatching,
            memory_reserved_bytes: reserve.memory_reserved_bytes,
            memory_measured_bytes: reserve.memory_measured_bytes,
            cpu_reserved_millis: reserve.cpu_reserved_millis,
            cpu_used_millis: reserve.cpu_used_millis,
            pids_reserved: reserve.pids_reserved,
            is_draining: reserve.is_draining,
            ..last
        };
        // What lives, and not what is served here: of a hundred thousand versions a few hundred have sandboxes.
        let mut lines = Vec::new();
        for listed in self.roster().values() {
            let waiting = listed.version.waiting();
            if waiting > 0 {
                lines.push((listed.version.id(), waiting));
            }
            let Some(resident) = &listed.resident else { continue };
            let seen = resident.word.seen();
            load.slots_in_flight += u32::from(seen.in_flight());
            if seen.is_open() {
                load.slots_free += u32::from(resident.limit.saturating_sub(seen.in_flight()));
            }
        }
        // A line is one, however many sandboxes it is for.
        lines.sort_unstable_by_key(|(version, _)| *version);
        lines.dedup_by_key(|(version, _)| *version);
        load.queued += lines.iter().map(|(_, waiting)| waiting).sum::<u32>();
        load
    }
}
