//! The life of a sandbox.

use std::time::Instant;

use super::word::{Gate, Seen};

/// ```text
/// Starting -ready-> Idle <-slot out / last slot back-> Busy -closed-> Draining
///    | start failed,   | closed: idle timeout, pressure,                 | last slot back
///    | start clock     |         retired, drain                          v
///    |                 `---------------------------------------------> Ending -exit-> gone
///    `-> gone
/// ```
/// A sandbox that dies unasked goes from wherever it is. The word of the sandbox holds the moves that requests make
/// (between `Idle` and `Busy`, and out of `Draining`); the keeper makes the others, in `decide`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The hatchery is at work.
    Starting {
        /// When it was told to.
        since: Instant,
    },
    /// Open, with every slot free.
    Idle {
        /// When the last slot came back.
        since: Instant,
    },
    /// Open, with slots out.
    Busy {
        /// How many.
        in_flight: u16,
    },
    /// Closed to new requests; ends when the last slot is back.
    Draining {
        /// Slots still out.
        in_flight: u16,
    },
    /// Asked to end.
    Ending {
        /// When it was asked.
        since: Instant,
        /// Whether the grace period is over and it has been killed.
        is_killed: bool,
    },
}

impl Phase {
    /// The phase as a word, for tables and labels.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting { .. } => "starting",
            Self::Idle { .. } => "idle",
            Self::Busy { .. } => "busy",
            Self::Draining { .. } => "draining",
            Self::Ending { .. } => "ending",
        }
    }

    /// What a sandbox's word says about it; nothing before it opens and after it has died.
    pub(super) fn of(seen: Seen, instant: impl FnOnce(u64) -> Instant) -> Option<Self> {
        match seen.gate() {
            Gate::Open if seen.is_idle() => Some(Self::Idle { since: instant(seen.since_ms()) }),
            Gate::Open => Some(Self::Busy { in_flight: seen.in_flight() }),
            Gate::Closed => Some(Self::Draining { in_flight: seen.in_flight() }),
            Gate::Starting | Gate::Dead => None,
        }
    }
}
