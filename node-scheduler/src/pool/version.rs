//! One version as requests see it: a free slot at once, or a place in the line.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hatchway_proto::catalog::Version;
use hatchway_proto::name::VersionId;
use hatchway_wire::trie::Keyed;
use tokio::sync::oneshot;

use super::clock;
use super::front::Front;
use super::hatchery::Hatchery;
use super::line::{Entered, Ticket};
use super::plan::Bar;
use super::refused::SlotRefused;
use super::resident::Resident;
use super::slot::Slot;
use super::word::Taken;

/// How soon the queue clock is looked at again when it stood still while a hatch was under way.
const RECHECK: Duration = Duration::from_millis(10);

/// How long a request that could go elsewhere waits for a slot: about as long as it would wait there for a start.
const PATIENCE: Duration = Duration::from_millis(100);

/// The open sandboxes of a version. Replaced whole by the keeper.
type Table<H> = Vec<Arc<Resident<H>>>;

/// One version on this node.
pub struct VersionPool<H: Hatchery> {
    id: VersionId,
    version: Arc<Version>,
    limit: u16,
    queue_depth: AtomicU32,
    table: ArcSwap<Table<H>>,
    pub(super) front: Arc<Front<H>>,
}

impl<H: Hatchery> Keyed for VersionPool<H> {
    type Key = VersionId;

    fn key(&self) -> &VersionId {
        &self.id
    }
}

impl<H: Hatchery> VersionPool<H> {
    pub(super) fn new(
        id: VersionId,
        version: Arc<Version>,
        queue_depth: u32,
        front: Front<H>,
    ) -> Self {
        Self {
            id,
            limit: version.concurrency.max(1),
            version,
            queue_depth: AtomicU32::new(queue_depth),
            table: ArcSwap::default(),
            front: Arc::new(front),
        }
    }

    /// The build that it runs.
    pub fn id(&self) -> VersionId {
        self.id
    }

    /// Its specification.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// Requests in the line.
    pub fn waiting(&self) -> u32 {
        self.front.line.length()
    }

    /// A free slot right now, without a lock, from any core.
    ///
    /// Of the sandboxes with room the busiest is preferred, so that the others fall idle and can be reaped; among equals the one
    /// used last, whose caches are warm. Reads one word per sandbox of the version.
    pub fn try_slot(self: &Arc<Self>) -> Option<Slot<H>> {
        let table = self.table.load();
        loop {
            let mut in_flight = 0;
            let mut best = None;
            for resident in table.iter() {
                let seen = resident.word.seen();
                in_flight += u32::from(seen.in_flight());
                if seen.has_room(self.limit) {
                    let candidate = (seen.rank(), resident);
                    if best.is_none_or(|(rank, _)| rank < candidate.0) {
                        best = Some(candidate);
                    }
                }
            }
            let (_, resident) = best?;
            // Lost to another core or to the reaper, it looks again: either has changed what there is to find.
            if resident.word.take(self.limit) {
                self.front.took(in_flight + 1);
                return Some(Slot::new(Arc::clone(resident), false));
            }
        }
    }

    /// A slot, waited for if need be: for one to come back, or for a sandbox to hatch.
    ///
    /// Cancel safe: dropped, it leaves the line, and a slot that was granted meanwhile goes to the next.
    ///
    /// # Errors
    /// [`SlotRefused`] when the line is full, a clock has run out, or no sandbox can be had.
    pub async fn slot(self: &Arc<Self>) -> Result<Slot<H>, SlotRefused> {
        self.slot_within(None).await
    }

    /// The same for a request that another node may have room for: it waits for a sandbox to hatch, but next to nothing for
    /// slots that others hold. Cancel safe.
    ///
    /// # Errors
    /// [`SlotRefused`]; [`SlotRefused::Saturated`] long before the queue clock.
    pub async fn choosy_slot(self: &Arc<Self>) -> Result<Slot<H>, SlotRefused> {
        self.slot_within(Some(PATIENCE.min(self.version.clocks.queue))).await
    }

    async fn slot_within(
        self: &Arc<Self>,
        patience: Option<Duration>,
    ) -> Result<Slot<H>, SlotRefused> {
        if let Some(slot) = self.try_slot() {
            return Ok(slot);
        }
        let entered = clock::now();
        let hatching_before = self.front.hatching(entered);
        let (teller, mut told) = oneshot::channel();
        let line = &self.front.line;
        let ticket = match line.enter(
            teller,
            || self.take_or_mark(),
            |bar, waiting| self.refusal(bar, waiting, (entered, patience.is_some())),
        )? {
            Entered::Took(slot) => return Ok(slot),
            Entered::Waiting(ticket) => ticket,
        };
        let mut place = Place { front: &self.front, ticket: Some(ticket) };
        self.front.line_changed();

        let clock = patience.unwrap_or(self.version.clocks.queue);
        let mut left = clock;
        let answer = loop {
            match tokio::time::timeout(left, &mut told).await {
                Ok(answer) => break answer,
                Err(_) => {
                    let now = clock::now();
                    let started = self.front.hatching(now) - hatching_before;
                    let queued = (now - entered).saturating_sub(started);
                    if queued < clock {
                        left = (clock - queued).max(RECHECK);
                    } else if place.leave() {
                        self.front.waited(queued);
                        return Err(match patience {
                            Some(_) => SlotRefused::Saturated,
                            None => SlotRefused::QueueClock { waited: queued },
                        });
                    } else {
                        // Found already; the answer is on its way.
                        break (&mut told).await;
                    }
                }
            }
        };
        place.ticket = None;
        // A teller that went away without a word took the keeper with it.
        let slot = answer.unwrap_or(Err(SlotRefused::Draining))?;
        let now = clock::now();
        self.front.waited(now - entered);
        Ok(slot.after(entered, now))
    }

    /// The last look before waiting, under the line's lock: full sandboxes are marked on the way.
    fn take_or_mark(&self) -> Option<Slot<H>> {
        let table = self.table.load();
        let taken =
            table.iter().find(|resident| resident.word.take_or_mark(self.limit) == Taken::Slot);
        taken.map(|resident| Slot::new(Arc::clone(resident), false))
    }

    fn refusal(
        &self,
        bar: Option<&Bar>,
        waiting: usize,
        (now, is_choosy): (Instant, bool),
    ) -> Option<SlotRefused> {
        match bar {
            Some(Bar::Retired) => return Some(SlotRefused::Retired),
            Some(Bar::Draining) => return Some(SlotRefused::Draining),
            Some(Bar::Elsewhere) => return Some(SlotRefused::Saturated),
            Some(Bar::BackingOff { until, reason, message }) if *until > now => {
                let (message, retry_after) = (Arc::clone(message), *until - now);
                return Some(SlotRefused::BackingOff { reason, message, retry_after });
            }
            Some(Bar::BackingOff { .. }) | None => {}
        }
        if is_choosy && self.is_saturated(waiting) {
            return Some(SlotRefused::Saturated);
        }
        let depth = self.queue_depth.load(Ordering::Relaxed);
        let retry_after = self.front.wait();
        (waiting >= depth as usize).then_some(SlotRefused::QueueFull { depth, retry_after })
    }

    /// Nothing more is hatched, and one more would not have its turn soon: as many wait as there are slots, or somebody waits, and
    /// the last one has waited for too long.
    fn is_saturated(&self, waiting: usize) -> bool {
        let slots = self.table.load().len() * usize::from(self.limit);
        let is_slow = waiting > 0 && self.front.wait() >= PATIENCE;
        slots > 0 && (waiting >= slots || is_slow) && self.front.line.wants_no_call()
    }

    pub(super) fn set_queue_depth(&self, depth: u32) {
        self.queue_depth.store(depth, Ordering::Relaxed);
    }

    pub(super) fn limit(&self) -> u16 {
        self.limit
    }

    #[cfg(test)]
    pub(super) fn residents(&self) -> Arc<Table<H>> {
        self.table.load_full()
    }

    /// Puts a sandbox on the table. The keeper is the only writer.
    pub(super) fn admit(&self, resident: Arc<Resident<H>>) {
        let mut table = Table::clone(&self.table.load());
        table.push(resident);
        self.table.store(Arc::new(table));
    }

    /// Takes a sandbox off the table.
    pub(super) fn dismiss(&self, resident: &Arc<Resident<H>>) {
        let mut table = Table::clone(&self.table.load());
        table.retain(|other| !Arc::ptr_eq(other, resident));
        self.table.store(Arc::new(table));
    }
}

/// A place in the line, left by drop unless the answer has come.
struct Place<'a, H: Hatchery> {
    front: &'a Front<H>,
    ticket: Option<Ticket>,
}

impl<H: Hatchery> Place<'_, H> {
    /// False when the answer is on its way.
    fn leave(&mut self) -> bool {
        let was_waiting = self.ticket.take().is_some_and(|ticket| self.front.line.leave(ticket));
        if was_waiting {
            self.front.line_changed();
        }
        was_waiting
    }
}

impl<H: Hatchery> Drop for Place<'_, H> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<H: Hatchery> fmt::Debug for VersionPool<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionPool")
            .field("function", &self.version.function)
            .field("id", &self.id)
            .field("front", &self.front)
            .finish_non_exhaustive()
    }
}
