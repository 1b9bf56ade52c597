//! What the sandboxes of one version share with the requests for it and with the keeper: the line, and when to call.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::clock::{Epoch, Stopwatch};
use super::hatchery::Hatchery;
use super::line::Line;
use super::refused::SlotRefused;
use super::slot::Slot;
use super::state::{Bar, Listen, VersionKey};

/// How a waiting request is told.
pub(super) type Teller<H> = oneshot::Sender<Result<Slot<H>, SlotRefused>>;

/// The shared half of a version.
pub(super) struct Front<H: Hatchery> {
    pub(super) key: VersionKey,
    pub(super) line: Line<Teller<H>, Bar>,
    pub(super) epoch: Epoch,
    keeper: Arc<Notify>,
    /// The keeper's [`Listen`].
    call_at_waiting: AtomicU32,
    call_at_in_flight: AtomicU32,
    /// Set with the bar of a retired version: the keeper waits for its line to empty.
    is_emptying: AtomicBool,
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
            call_at_waiting: AtomicU32::new(Listen::FIRST.waiting),
            call_at_in_flight: AtomicU32::new(Listen::FIRST.in_flight),
            is_emptying: AtomicBool::new(false),
            hatching: Mutex::new(Stopwatch::default()),
        }
    }

    pub(super) fn call_keeper(&self) {
        self.keeper.notify_one();
    }

    /// A request has joined the line.
    pub(super) fn joined(&self) {
        if self.line.length() >= self.call_at_waiting.load(Ordering::SeqCst) {
            self.call_keeper();
        }
    }

    /// A waiter has left the line, served or not.
    pub(super) fn left(&self) {
        if self.is_emptying.load(Ordering::SeqCst) && self.line.length() == 0 {
            self.call_keeper();
        }
    }

    /// A slot has been taken, which makes `in_flight` of this version. Costs one relaxed read.
    pub(super) fn took(&self, in_flight: u32) {
        if in_flight >= self.call_at_in_flight.load(Ordering::Relaxed) {
            // Once is enough: the keeper sets it again.
            self.call_at_in_flight.store(Listen::NEVER, Ordering::Relaxed);
            self.call_keeper();
        }
    }

    /// Sets when to call. A request that joined just before, with the old setting in view, is made up for here: it
    /// wrote the length and then read the setting, this writes the setting and then reads the length.
    pub(super) fn listen(&self, listen: Listen) {
        self.call_at_in_flight.store(listen.in_flight, Ordering::Relaxed);
        self.call_at_waiting.store(listen.waiting, Ordering::SeqCst);
        self.joined();
    }

    pub(super) fn bar(&self, bar: Option<Bar>) {
        let is_emptying = matches!(bar, Some(Bar::Retired | Bar::Draining));
        self.line.bar(bar);
        self.is_emptying.store(is_emptying, Ordering::SeqCst);
        self.left();
    }

    /// Answers everybody who waits.
    pub(super) fn refuse_all(&self, refusal: &SlotRefused) {
        for waiter in self.line.clear() {
            // A waiter that has left in the meantime needs no answer.
            let _ = waiter.send(Err(refusal.clone()));
        }
        self.left();
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
