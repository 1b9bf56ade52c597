//! The requests of one version that wait for a slot: first come, first served, bounded, and free to leave.
//!
//! The lock is taken on the slow path only: by a request that found no free slot, by a slot that comes back to a marked
//! word, and by the keeper when a sandbox opens. A request marks the words *and* joins while it holds the lock, and a
//! marked word gives slots back under the same lock, so there is no moment at which a slot can slip past a request
//! that has just looked. Waiters are woken by the caller, after the lock is gone.
//!
//! `W` is how a waiter is told, `B` why newcomers are turned away. Both are left open so that the model checker can use its own.

use std::collections::BTreeMap;

use super::sync::{AtomicBool, AtomicU32, Mutex, Ordering};
use super::word::{GaveBack, Word};

/// A place in the line; lower ones are served first.
pub(crate) type Ticket = u64;

#[derive(Debug)]
struct Queue<W, B> {
    waiters: BTreeMap<Ticket, W>,
    next: Ticket,
    bar: Option<B>,
}

/// The line.
#[derive(Debug)]
pub(crate) struct Line<W, B> {
    queue: Mutex<Queue<W, B>>,
    // Written under the lock, read without it. Who has changed the line under the lock and asks `wants_call` afterwards
    // either finds what the keeper set, or came first and was counted by the keeper when it did.
    length: AtomicU32,
    call_at: AtomicU32,
    call_at_zero: AtomicBool,
}

/// What asking for a place came to.
#[derive(Debug)]
pub(crate) enum Entered<T> {
    /// A slot was free after all.
    Took(T),
    /// Wait; the waiter is told.
    Waiting(Ticket),
}

/// Whose a slot is that came back to a marked word.
enum Next<W> {
    /// This waiter's: the slot stays out, in its name.
    Owner(W),
    /// Nobody waited: the slot is back.
    Nobody(GaveBack),
}

impl<W, B> Line<W, B> {
    pub(crate) fn new() -> Self {
        let queue = Queue { waiters: BTreeMap::new(), next: 0, bar: None };
        Self {
            queue: Mutex::new(queue),
            length: AtomicU32::new(0),
            call_at: AtomicU32::new(1),
            call_at_zero: AtomicBool::new(false),
        }
    }

    /// Takes a slot or a place. `take` looks at every sandbox once more, marking the full ones; `refuse` is asked when
    /// it found nothing, with the bar and the number of waiters.
    pub(crate) fn enter<T, E>(
        &self,
        waiter: W,
        take: impl FnOnce() -> Option<T>,
        refuse: impl FnOnce(Option<&B>, usize) -> Option<E>,
    ) -> Result<Entered<T>, E> {
        let mut queue = self.lock();
        if let Some(taken) = take() {
            return Ok(Entered::Took(taken));
        }
        if let Some(refusal) = refuse(queue.bar.as_ref(), queue.waiters.len()) {
            return Err(refusal);
        }
        let ticket = queue.next;
        queue.next += 1;
        queue.waiters.insert(ticket, waiter);
        self.count(&queue);
        Ok(Entered::Waiting(ticket))
    }

    /// Leaves the line. False when the waiter has been taken out already: its answer is on the way.
    pub(crate) fn leave(&self, ticket: Ticket) -> bool {
        let mut queue = self.lock();
        let was_waiting = queue.waiters.remove(&ticket).is_some();
        self.count(&queue);
        was_waiting
    }

    /// Gives a slot of `word` back, or passes it on to who waits first. `tell` hands it over and answers false when the
    /// waiter has gone in the meantime; then the next one is tried. Never returns [`GaveBack::Wanted`].
    pub(crate) fn give_back(
        &self,
        word: &Word,
        now_ms: impl Fn() -> u64,
        mut tell: impl FnMut(W) -> bool,
    ) -> GaveBack {
        let mut gave = word.give_back(&now_ms);
        while gave == GaveBack::Wanted {
            gave = match self.next_owner(word, &now_ms) {
                Next::Owner(waiter) => {
                    if tell(waiter) {
                        GaveBack::Done
                    } else {
                        GaveBack::Wanted
                    }
                }
                Next::Nobody(back) => back,
            };
        }
        gave
    }

    /// A sandbox that has been closed or has died since its word was marked serves nobody else.
    fn next_owner(&self, word: &Word, now_ms: impl Fn() -> u64) -> Next<W> {
        let mut queue = self.lock();
        if word.seen().is_open()
            && let Some((_, waiter)) = queue.waiters.pop_first()
        {
            self.count(&queue);
            return Next::Owner(waiter);
        }
        Next::Nobody(word.give_back_unmarked(now_ms))
    }

    /// Opens a sandbox to the first `limit` waiters, and through `publish` to everybody else.
    pub(crate) fn open(
        &self,
        word: &Word,
        limit: u16,
        now_ms: u64,
        publish: impl FnOnce(),
    ) -> Vec<W> {
        let mut queue = self.lock();
        let mut served = Vec::new();
        let mut in_flight = 0;
        while in_flight < limit
            && let Some((_, waiter)) = queue.waiters.pop_first()
        {
            served.push(waiter);
            in_flight += 1;
        }
        let is_opened = word.open(in_flight, !queue.waiters.is_empty(), now_ms);
        debug_assert!(is_opened, "a sandbox is opened once");
        publish();
        self.count(&queue);
        served
    }

    /// Sends everybody away.
    pub(crate) fn clear(&self) -> Vec<W> {
        let mut queue = self.lock();
        let waiters = std::mem::take(&mut queue.waiters);
        self.count(&queue);
        waiters.into_values().collect()
    }

    /// Says why newcomers are turned away from now on, or that they are not; and whether the keeper wants to hear of the
    /// line's end. True when that has come already.
    pub(crate) fn bar(&self, bar: Option<B>, call_at_zero: bool) -> bool {
        let mut queue = self.lock();
        queue.bar = bar;
        self.call_at_zero.store(call_at_zero, Ordering::Relaxed);
        self.wants_call()
    }

    /// Sets how long the line must be for the keeper to hear of it. True when it is already.
    pub(crate) fn listen(&self, call_at: u32) -> bool {
        let _queue = self.lock();
        self.call_at.store(call_at, Ordering::Relaxed);
        self.wants_call()
    }

    /// Whether the keeper wants to hear of the line as it is. Asked by whoever has changed it.
    pub(crate) fn wants_call(&self) -> bool {
        let length = self.length();
        length >= self.call_at.load(Ordering::Relaxed)
            || length == 0 && self.call_at_zero.load(Ordering::Relaxed)
    }

    /// The keeper does nothing more about this line, however long it becomes.
    pub(crate) fn wants_no_call(&self) -> bool {
        self.call_at.load(Ordering::Relaxed) == u32::MAX
    }

    /// Waiters at the moment, without the lock.
    pub(crate) fn length(&self) -> u32 {
        self.length.load(Ordering::Relaxed)
    }

    fn count(&self, queue: &Queue<W, B>) {
        self.length
            .store(u32::try_from(queue.waiters.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn lock(&self) -> impl std::ops::DerefMut<Target = Queue<W, B>> + '_ {
        self.queue.lock().expect("nothing panics while it holds the line")
    }
}
