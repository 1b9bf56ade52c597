//! What an operator decides about a node's pool.

use std::time::Duration;

use super::budget::Budget;

/// Starts are bound by processor time; more of them at once make each one later and none sooner.
const DEFAULT_MAX_HATCHING: u32 = 16;

/// Room for a sandbox to grow between two measurements.
const DEFAULT_MEMORY_HEADROOM_PERCENT: u32 = 25;

/// Enough for a runtime's shutdown hooks; nobody waits for an idle sandbox to end.
const DEFAULT_TERMINATE_GRACE: Duration = Duration::from_secs(5);

/// Kubernetes' own default of 30 s, less what is needed to kill and to say goodbye.
const DEFAULT_DRAIN_LIMIT: Duration = Duration::from_secs(25);

/// Reads a few files per sandbox: below a percent of a core for hundreds of them.
const DEFAULT_MEASURE_EVERY: Duration = Duration::from_secs(1);

/// Requests last milliseconds, so a little patience finds room that a busy moment hid; a gateway with other nodes
/// should hear of a full one soon.
const DEFAULT_ROOM_PATIENCE: Duration = Duration::from_millis(250);

/// The pool's part of a node's configuration.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// What all sandboxes together may take.
    pub budget: Budget,
    /// Added to measured memory when room for another sandbox is judged.
    pub memory_headroom_percent: u32,
    /// Starts under way at a time, over all versions; at least 1.
    pub max_hatching: u32,
    /// From the request to end until the kill.
    pub terminate_grace: Duration,
    /// From [`Pool::drain`](super::Pool::drain) until whatever still runs is killed.
    pub drain_limit: Duration,
    /// Between two measurements of what the sandboxes use.
    pub measure_every: Duration,
    /// How long a request of a version without any sandbox waits for room before [`SlotRefused::NoRoom`](super::SlotRefused::NoRoom).
    pub room_patience: Duration,
    /// The number of the first sandbox: above those of an earlier keeper.
    pub first_sandbox: u64,
}

impl PoolConfig {
    /// The defaults around a budget, which has none.
    pub fn with_budget(budget: Budget) -> Self {
        Self {
            budget,
            memory_headroom_percent: DEFAULT_MEMORY_HEADROOM_PERCENT,
            max_hatching: DEFAULT_MAX_HATCHING,
            terminate_grace: DEFAULT_TERMINATE_GRACE,
            drain_limit: DEFAULT_DRAIN_LIMIT,
            measure_every: DEFAULT_MEASURE_EVERY,
            room_patience: DEFAULT_ROOM_PATIENCE,
            first_sandbox: 1,
        }
    }
}
