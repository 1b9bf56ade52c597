//! What goes into a decision and what comes out of it.

use std::sync::Arc;
use std::time::Instant;

use hatchway_proto::growth::Share;
use hatchway_proto::name::SandboxId;

use super::budget::Used;
use super::event::ReapWhy;
use super::hatchery::{Exit, HatchFailure};
use super::refused::SlotRefused;
use super::state::{Spec, VersionKey};

/// Something happened.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// The catalog has versions that were not there, some of them with sandboxes of an earlier keeper, and has some no longer.
    Catalog {
        known: Vec<(VersionKey, Spec)>,
        adopted: Vec<(VersionKey, SandboxId)>,
        retired: Vec<VersionKey>,
    },
    /// The parts of a plan over all nodes; none where a version goes by its own numbers.
    Shares(Vec<(VersionKey, Option<Share>)>),
    /// Nothing but time and what the words show.
    Looked,
    /// A sandbox can answer; waiting requests have their slots already.
    Hatched { key: VersionKey, id: SandboxId },
    /// A sandbox could not be started.
    HatchFailed { key: VersionKey, id: SandboxId, failure: HatchFailure },
    /// A process has ended.
    Exited { key: VersionKey, id: SandboxId, exit: Exit },
    /// Memory in use, by sandbox.
    Measured(Vec<(VersionKey, SandboxId, Used)>),
    /// The node goes down.
    Drain,
    /// Another keeper takes over.
    Leave,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start a sandbox.
    Hatch { key: VersionKey, id: SandboxId },
    /// Stop starting it; `failure` when that is because it took too long.
    GiveUp { key: VersionKey, id: SandboxId, failure: Option<HatchFailure> },
    /// Close it if it is still as idle as it was seen.
    Reap { key: VersionKey, id: SandboxId },
    /// Close it, whatever it runs.
    Close { key: VersionKey, id: SandboxId },
    /// Ask it to end.
    Terminate { key: VersionKey, id: SandboxId },
    /// Force it to end.
    Kill { key: VersionKey, id: SandboxId },
    /// It has ended: take it off every table, and tell.
    Gone { key: VersionKey, id: SandboxId, ended: Ended, exit: Exit },
    /// It is the next keeper's: forget it.
    Leave { key: VersionKey, id: SandboxId },
    /// Answer everybody who waits.
    Refuse { key: VersionKey, refusal: SlotRefused },
    /// Turn newcomers away, or do not.
    Bar { key: VersionKey, bar: Option<Bar> },
    /// When requests call the keeper.
    Listen { key: VersionKey, listen: Listen },
    /// Nothing is left of a retired version.
    Forget { key: VersionKey },
}

/// Whether a sandbox's end was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Asked(ReapWhy),
    Died,
}

/// Why newcomers are turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bar {
    Retired,
    Draining,
    /// By a plan, other nodes have all sandboxes.
    Elsewhere,
    BackingOff {
        until: Instant,
        reason: &'static str,
        message: Arc<str>,
    },
}

/// The counts from which on requests call the keeper; `u32::MAX` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    /// Requests waiting.
    pub(super) waiting: u32,
    /// Slots in flight.
    pub(super) in_flight: u32,
}

impl Listen {
    pub(super) const NEVER: u32 = u32::MAX;

    /// How a version starts: the first request that waits calls.
    pub(super) const FIRST: Self = Self { waiting: 1, in_flight: Self::NEVER };
}
