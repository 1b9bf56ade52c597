//! What the sandboxes of one version share with the requests for it and with the keeper: the line, and when to call.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::clock::{Epoch, Stopwatch};
use super::hatchery::Hatchery;
use super::line::Line;
use super::plan::{Bar, Listen};
use super::refused::SlotRefused;
use super::slot::Slot;
use super::state::VersionKey;

/// How a waiting request is told.
pub(super) type Teller<H> = oneshot::Sender<Result<Slot<H>, SlotRefused>>;

/// The shared half of a version.
pub(super) struct Front<H: Hatchery> {
    pub(super) key: VersionKey,
    pub(super) line: Line<Teller<H>, Bar>,
    pub(super) epoch: Epoch,
    keeper: Arc<Notify>,
    /// Slots in flight at which the keeper wants to be called.
    crowded_at: AtomicU32,
    /// Set when that many have been out since the keeper looked last.
    was_crowded: AtomicBool,
    /// How long the last one had waited that got a slot from the line, in milliseconds: what a full line takes to drain.
    last_wait_ms: AtomicU32,
    /// Runs while a hatch is under way: that time is not the queue clock's.
    hatching: Mutex<Stopwatch>,
}

impl<H: Hatchery> Front<H> {
    pub(super) fn new(key: VersionKey, epoch: Epoch, keeper: Arc<Notify>) -> Self {
        Self {
            key,
            line: Line::new(),
            epoch,
            keeper,
            crowded_at: AtomicU32::new(Listen::FIRST.in_flight),
            was_crowded: AtomicBool::new(false),
            last_wait_ms: AtomicU32::new(0),
            hatching: Mutex::new(Stopwatch::default()),
        }
    }

    pub(super) fn call_keeper(&self) {
        self.keeper.notify_one();
    }

    /// The line has changed: calls the keeper if it wants to hear of that.
    pub(super) fn line_changed(&self) {
        if self.line.wants_call() {
            self.call_keeper();
        }
    }

    /// A slot has been taken, which makes `in_flight` of this version. Costs one relaxed read.
    pub(super) fn took(&self, in_flight: u32) {
        if in_flight >= self.crowded_at.load(Ordering::Relaxed)
            && !self.was_crowded.swap(true, Ordering::Relaxed)
        {
            self.call_keeper();
        }
    }

    /// Whether slots ran short since this was asked last.
    pub(super) fn take_crowded(&self) -> bool {
        // Read first: this is asked for every version at every look, and almost never true.
        self.was_crowded.load(Ordering::Relaxed) && self.was_crowded.swap(false, Ordering::Relaxed)
    }

    /// Somebody has got a slot from the line, after so long.
    pub(super) fn waited(&self, long: Duration) {
        let ms = u32::try_from(long.as_millis()).unwrap_or(u32::MAX);
        self.last_wait_ms.store(ms, Ordering::Relaxed);
    }

    /// How long the line takes, as seen last.
    pub(super) fn wait(&self) -> Duration {
        Duration::from_millis(self.last_wait_ms.load(Ordering::Relaxed).into())
    }

    /// Sets when to call.
    pub(super) fn listen(&self, listen: Listen) {
        self.crowded_at.store(listen.in_flight, Ordering::Relaxed);
        if self.line.listen(listen.waiting) {
            self.call_keeper();
        }
    }

    pub(super) fn bar(&self, bar: Option<Bar>) {
        // What the keeper does last for a retired version, it does when nobody waits any more.
        let is_leaving = matches!(bar, Some(Bar::Retired | Bar::Draining));
        if self.line.bar(bar, is_leaving) {
            self.call_keeper();
        }
    }

    /// Answers everybody who waits.
    pub(super) fn refuse_all(&self, refusal: &SlotRefused) {
        for waiter in self.line.clear() {
            // A waiter that has left in the meantime needs no answer.
            let _ = waiter.send(Err(refusal.clone()));
        }
        self.line_changed();
    }

    pub(super) fn set_hatching(&self, is_hatching: bool, now: Instant) {
        self.stopwatch().run(is_hatching, now);
    }

    /// Time spent hatching so far; only differences mean anything.
    pub(super) fn hatching(&self, now: Instant) -> Duration {
        self.stopwatch().reading(now)
    }

    fn stopwatch(&self) -> impl std::ops::DerefMut<Target = Stopwatch> + '_ {
        self.hatching.lock().expect("nothing panics while it holds the stopwatch")
    }
}

impl<H: Hatchery> fmt::Debug for Front<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("key", &self.key)
            .field("waiting", &self.line.length())
            .finish_non_exhaustive()
    }
}
