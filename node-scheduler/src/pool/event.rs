//! What the pool tells to those who write logs and count.

use std::fmt;
use std::time::Duration;

use hatchway_proto::name::{FunctionName, SandboxId, VersionId};

use super::hatchery::{Exit, HatchFailure, StartPhases};

/// Whom an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// The sandbox.
    pub sandbox: SandboxId,
    /// Its function.
    pub function: FunctionName,
    /// Its version.
    pub version: VersionId,
}

/// A move in the life of a sandbox. One per sandbox and phase, none per request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolEvent {
    /// A start begins.
    Hatching {
        /// The sandbox.
        of: Whose,
    },
    /// The sandbox can answer.
    Hatched {
        /// The sandbox.
        of: Whose,
        /// What it was started from: `fresh`, `nest`, `stem` or `fork`.
        tier: &'static str,
        /// Where the time went.
        phases: StartPhases,
        /// From the order to the first slot.
        took: Duration,
    },
    /// A sandbox that an earlier daemon has started serves on.
    Adopted {
        /// The sandbox.
        of: Whose,
        /// What it was started from, then.
        tier: &'static str,
    },
    /// Another daemon has it from now on.
    Left {
        /// The sandbox.
        of: Whose,
    },
    /// The start failed.
    HatchFailed {
        /// The sandbox that was to be.
        of: Whose,
        /// Why.
        failure: HatchFailure,
    },
    /// The sandbox has ended because the pool wanted it to.
    Reaped {
        /// The sandbox.
        of: Whose,
        /// Why.
        why: ReapWhy,
        /// From ready to gone; nothing when the start was given up.
        lived: Duration,
        /// Requests it has run.
        served: u64,
    },
    /// The sandbox has ended by itself.
    Died {
        /// The sandbox.
        of: Whose,
        /// How.
        exit: Exit,
        /// From ready to gone.
        lived: Duration,
        /// Requests it has run.
        served: u64,
        /// Requests that were lost with it.
        in_flight: u16,
    },
}

impl PoolEvent {
    /// Whom it is about.
    pub fn of(&self) -> &Whose {
        match self {
            Self::Hatching { of }
            | Self::Hatched { of, .. }
            | Self::Adopted { of, .. }
            | Self::Left { of }
            | Self::HatchFailed { of, .. }
            | Self::Reaped { of, .. }
            | Self::Died { of, .. } => of,
        }
    }
}

/// Why the pool ended a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReapWhy {
    /// Nobody needed it for its idle timeout.
    Idle,
    /// Its version left the catalog.
    Retired,
    /// The node needed its room.
    Pressure,
    /// A plan gives it to another node.
    Share,
    /// The node goes down.
    Drain,
}

impl ReapWhy {
    /// The reason as a label.
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Retired => "retired",
            Self::Pressure => "pressure",
            Self::Share => "share",
            Self::Drain => "drain",
        }
    }
}

impl fmt::Display for ReapWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
