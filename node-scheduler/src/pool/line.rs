//! The requests of one version that wait for a slot: first come, first served, bounded, and free to leave.
//!
//! The lock is taken on the slow path only: by a request that found no free slot, by a slot that comes back to a marked
//! word, and by the keeper when a sandbox opens. A request marks the words *and* joins while it holds the lock, and a
//! marked word gives slots back under the same lock, so there is no moment at which a slot can slip past a request
//! that has just looked. Waiters are woken by the caller, after the lock is gone.
//!
//! `W` is how a waiter is told, `B` why newcomers are turned away. Both are left open so that the model checker can use its own.

use std::collections::BTreeMap;

use super::sync::{AtomicU32, Mutex, Ordering};
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
    /// Its length, to be read without the lock. Written under the lock, sequentially consistent: see `Front::listen`.
    length: AtomicU32,
}

/// What asking for a place came to.
#[derive(Debug)]
pub(crate) enum Entered<T> {
    /// A slot was free after all.
    Took(T),
    /// Wait; the waiter is told.
    Waiting(Ticket),
}

/// Where a slot went that came back to a marked word.
#[derive(Debug)]
pub(crate) enum Passed<W> {
    /// To this waiter: the slot stays out, in its name.
    To(W),
    /// Nobody waited: the slot is back.
    Back(GaveBack),
}

impl<W, B> Line<W, B> {
    pub(crate) fn new() -> Self {
        let queue = Queue { waiters: BTreeMap::new(), next: 0, bar: None };
        Self { queue: Mutex::new(queue), length: AtomicU32::new(0) }
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

    /// Finds the next owner of a slot that its holder of `word` gives up. A sandbox that has been closed or has died in
    /// the meantime serves nobody else.
    pub(crate) fn pass_on(&self, word: &Word, now_ms: u64) -> Passed<W> {
        let mut queue = self.lock();
        if word.seen().is_open()
            && let Some((_, waiter)) = queue.waiters.pop_first()
        {
            self.count(&queue);
            return Passed::To(waiter);
        }
        Passed::Back(word.give_back_unmarked(now_ms))
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

    /// Says why newcomers are turned away from now on, or that they are not.
    pub(crate) fn bar(&self, bar: Option<B>) {
        self.lock().bar = bar;
    }

    /// Waiters at the moment, without the lock.
    pub(crate) fn length(&self) -> u32 {
        self.length.load(Ordering::SeqCst)
    }

    fn count(&self, queue: &Queue<W, B>) {
        self.length.store(u32::try_from(queue.waiters.len()).unwrap_or(u32::MAX), Ordering::SeqCst);
    }

    fn lock(&self) -> impl std::ops::DerefMut<Target = Queue<W, B>> + '_ {
        self.queue.lock().expect("nothing panics while it holds the line")
    }
}
