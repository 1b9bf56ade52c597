//! Why a request got no slot. An ordinary answer: most of them send the gateway to another node.

use std::sync::Arc;
use std::time::Duration;

/// Why a request got no slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotRefused {
    /// As many requests wait as may.
    #[error("queue is full at {depth} waiting requests")]
    QueueFull {
        /// The limit.
        depth: u32,
        /// How long the line takes.
        retry_after: Duration,
    },
    /// Every sandbox is busy, no further one is hatched, and another node may have room.
    #[error("every sandbox of the version is busy")]
    Saturated,
    /// Every sandbox stayed busy for the whole queue clock.
    #[error("no slot came free within the queue clock ({} ms)", waited.as_millis())]
    QueueClock {
        /// Time in the queue; starts do not count.
        waited: Duration,
    },
    /// The sandbox that the request waited for did not become ready in time.
    #[error("the sandbox was not ready within the start clock ({} ms)", limit.as_millis())]
    StartClock {
        /// The clock.
        limit: Duration,
        /// When the next start may be tried.
        retry_after: Duration,
    },
    /// The sandbox that the request waited for could not be started.
    #[error("the sandbox did not start: {reason}: {message}")]
    StartFailed {
        /// A word in kebab case.
        reason: &'static str,
        /// What a person needs to mend it.
        message: Arc<str>,
        /// When the next start may be tried.
        retry_after: Duration,
    },
    /// The last starts failed, and the next one is not due yet.
    #[error("starts are failing, the next one is due in {} ms: {reason}: {message}", retry_after.as_millis())]
    BackingOff {
        /// A word in kebab case.
        reason: &'static str,
        /// What a person needs to mend it.
        message: Arc<str>,
        /// When the next start may be tried.
        retry_after: Duration,
    },
    /// The node has no room for another sandbox, and nothing idle to end for it.
    #[error("the node has no room: {what} is used up")]
    NoRoom {
        /// `memory`, `cpu` or `pids`.
        what: &'static str,
        /// When to ask again.
        retry_after: Duration,
    },
    /// The node is going down.
    #[error("the node is draining")]
    Draining,
    /// The version is no longer served here.
    #[error("the version has been retired")]
    Retired,
}
