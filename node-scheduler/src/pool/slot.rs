//! The right to run one request in one sandbox.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hatchway_proto::name::SandboxId;

use super::hatchery::{Exit, Hatchery, StartPhases};
use super::resident::Resident;

/// The right to run one request in one sandbox, given back by drop. It travels with the response body: at the head of a
/// response the sandbox is not free yet.
#[must_use = "dropped, it gives the slot back"]
pub struct Slot<H: Hatchery> {
    resident: Arc<Resident<H>>,
    is_cold: bool,
    /// Cleared when the slot goes on under another guard.
    is_armed: bool,
    waited: Waited,
}

/// What a request waited for before it had its slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// For a slot to come free, or for a hatch to begin.
    pub queue: Duration,
    /// For the sandbox to become ready.
    pub start: Duration,
}

impl<H: Hatchery> Slot<H> {
    /// The guard of a slot that has been taken in the word already.
    pub(super) fn new(resident: Arc<Resident<H>>, is_cold: bool) -> Self {
        Self { resident, is_cold, is_armed: true, waited: Waited::default() }
    }

    /// Notes how long the request has waited.
    pub(super) fn after(mut self, entered: Instant, now: Instant) -> Self {
        self.waited = self.resident.waited(entered, now, self.is_cold);
        self
    }

    /// Drops the guard without giving the slot back.
    pub(super) fn disarm(mut self) {
        self.is_armed = false;
    }

    /// The sandbox.
    pub fn sandbox(&self) -> &H::Sandbox {
        &self.resident.sandbox
    }

    /// Its number.
    pub fn sandbox_id(&self) -> SandboxId {
        self.resident.id
    }

    /// True when this request has waited for this sandbox to hatch.
    pub fn is_cold(&self) -> bool {
        self.is_cold
    }

    /// Where the time of its hatch went.
    pub fn start_phases(&self) -> &StartPhases {
        &self.resident.phases
    }

    /// What the request has waited for.
    pub fn waited(&self) -> Waited {
        self.waited
    }

    /// How the sandbox ended, if it has.
    pub fn exit_now(&self) -> Option<Exit> {
        self.resident.exit()
    }

    /// Resolves when the sandbox has ended. Independent of the slot, so that both can be used together. Polling it takes a
    /// lock that all requests of the sandbox share: a relay asks after its connection broke, not before.
    pub fn died(&self) -> impl Future<Output = Exit> + Send + use<H> {
        let resident = Arc::clone(&self.resident);
        async move { resident.gone().await }
    }
}

impl<H: Hatchery> Drop for Slot<H> {
    fn drop(&mut self) {
        if self.is_armed {
            self.resident.give_back();
        }
    }
}

impl<H: Hatchery> fmt::Debug for Slot<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("sandbox", &self.resident.id)
            .field("is_cold", &self.is_cold)
            .finish_non_exhaustive()
    }
}
