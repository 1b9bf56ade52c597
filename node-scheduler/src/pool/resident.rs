//! A sandbox that has hatched, as requests see it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use hatchway_proto::name::SandboxId;
use tokio::sync::Notify;

use super::clock;
use super::front::Front;
use super::hatchery::{Exit, Hatched, Hatchery, StartPhases, Usage};
use super::slot::{Slot, Waited};
use super::word::{GaveBack, Word};

/// One sandbox, from ready to gone. Lives as long as anybody holds a slot of it.
pub(super) struct Resident<H: Hatchery> {
    pub(super) id: SandboxId,
    pub(super) word: Word,
    /// Slots at most.
    pub(super) limit: u16,
    pub(super) sandbox: H::Sandbox,
    pub(super) phases: StartPhases,
    /// When the hatch was ordered.
    pub(super) ordered_at: Instant,
    pub(super) ready_at: Instant,
    served: AtomicU64,
    exit: OnceLock<Exit>,
    gone: Notify,
    usage: Mutex<Option<Usage>>,
    front: Arc<Front<H>>,
}

impl<H: Hatchery> Resident<H> {
    pub(super) fn new(
        id: SandboxId,
        limit: u16,
        hatched: Hatched<H::Sandbox>,
        (ordered_at, ready_at): (Instant, Instant),
        front: Arc<Front<H>>,
    ) -> Self {
        Self {
            id,
            word: Word::starting(),
            limit,
            sandbox: hatched.sandbox,
            phases: hatched.phases,
            ordered_at,
            ready_at,
            served: AtomicU64::new(0),
            exit: OnceLock::new(),
            gone: Notify::new(),
            usage: Mutex::new(None),
            front,
        }
    }

    /// Opens it to those who wait, and through `publish` to those who come.
    pub(super) fn open(self: &Arc<Self>, publish: impl FnOnce()) {
        let now_ms = self.front.epoch.ms(self.ready_at);
        for waiter in self.front.line.open(&self.word, self.limit, now_ms, publish) {
            let slot = Slot::new(Arc::clone(self), true);
            // Dropped unread, it gives itself back, to the next in line if there is one.
            drop(waiter.send(Ok(slot)));
        }
        self.front.line_changed();
    }

    /// Takes a slot back, or passes it on: at once, whoever held it, and whatever becomes of those who wait.
    pub(super) fn give_back(self: &Arc<Self>) {
        self.served.fetch_add(1, Ordering::Relaxed);
        let now_ms = || self.front.epoch.ms(clock::now());
        let gave = self.front.line.give_back(&self.word, now_ms, |waiter| {
            let sent = waiter.send(Ok(Slot::new(Arc::clone(self), false)));
            self.front.line_changed();
            // Refused, it left between being found and being told: the slot goes on without this guard.
            sent.map_err(|slot| slot.map(Slot::disarm)).is_ok()
        });
        if gave == GaveBack::LastOfClosed {
            self.front.call_keeper();
        }
    }

    /// The process has ended: no more slots, and those who hold one learn it. Returns how many that are.
    pub(super) fn die(&self, exit: Exit) -> u16 {
        let before = self.word.die();
        let _ = self.exit.set(exit);
        self.gone.notify_waiters();
        before.in_flight()
    }

    pub(super) fn exit(&self) -> Option<Exit> {
        self.exit.get().copied()
    }

    /// Resolves when the process has ended.
    pub(super) async fn gone(&self) -> Exit {
        loop {
            // Created before the look, so that an end between the two is not missed.
            let gone = self.gone.notified();
            if let Some(exit) = self.exit() {
                return exit;
            }
            gone.await;
        }
    }

    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        *self.usage.lock().expect("a copy cannot panic")
    }

    pub(super) fn set_usage(&self, usage: Option<Usage>) {
        *self.usage.lock().expect("a copy cannot panic") = usage;
    }

    /// How the wait of a request that entered the line at `entered` divides.
    pub(super) fn waited(&self, entered: Instant, now: Instant, is_cold: bool) -> Waited {
        let whole = now.saturating_duration_since(entered);
        if !is_cold {
            return Waited { queue: whole, start: Duration::ZERO };
        }
        let start = self.ready_at.saturating_duration_since(entered.max(self.ordered_at));
        let start = start.min(whole);
        Waited { queue: whole - start, start }
    }
}

impl<H: Hatchery> fmt::Debug for Resident<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resident")
            .field("id", &self.id)
            .field("word", &self.word.seen())
            .finish_non_exhaustive()
    }
}
