//! Clocks of a core: coarse, one sleep for all of them, and free to move.
//!
//! A request moves its deadline several times and almost never meets it. A runtime timer per move costs
//! more than the request's own parsing; here a move is a store, and one task per core sleeps until the
//! earliest deadline that it knows of, then looks at all of them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How late a clock may ring. Looking more often than this is never needed.
pub const TICK: Duration = Duration::from_millis(25);

thread_local! {
    static READ: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The time.
pub fn now() -> Instant {
    let now = Instant::now();
    READ.set(Some(now));
    now
}

/// The time as [`now`] last read it on this core: for what follows from that in the same turn. A request would look at the
/// clock a dozen times otherwise, and find the same.
pub fn recent() -> Instant {
    READ.get().unwrap_or_else(now)
}

#[derive(Debug, Default)]
struct Slot {
    deadline: Option<Instant>,
    waker: Option<Waker>,
}

/// All clocks of one core. Cheap to clone within it.
#[derive(Clone, Debug, Default)]
pub struct Ticker(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
    /// When the task will look again; a deadline before this must wake it.
    next_look: Cell<Option<Instant>>,
    task: RefCell<Option<Waker>>,
    draining_since: Cell<Option<Instant>>,
    has_heir: Cell<bool>,
}

impl Ticker {
    /// A clock that rings never, until it is set.
    pub fn timer(&self) -> Timer {
        let mut slots = self.0.slots.borrow_mut();
        let index = self.0.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot::default());
            slots.len() - 1
        });
        Timer { ticker: Rc::clone(&self.0), index }
    }

    /// True once [`Ticker::drain`] was called: idle connections close, busy ones do not stay for another request.
    pub fn is_draining(&self) -> bool {
        self.draining_since().is_some()
    }

    /// When [`Ticker::drain`] was called.
    pub fn draining_since(&self) -> Option<Instant> {
        self.0.draining_since.get()
    }

    /// True once this process drains because another one takes its place.
    pub fn has_heir(&self) -> bool {
        self.0.has_heir.get()
    }

    /// As [`Ticker::drain`], for a process whose place another one takes.
    pub fn hand_over(&self) {
        self.0.has_heir.set(true);
        self.drain();
    }

    /// Waits for the drain. Cancel safe.
    pub async fn drained(&self) {
        let timer = self.timer();
        poll_fn(|cx| if self.is_draining() { Poll::Ready(()) } else { timer.poll(cx) }).await;
    }

    /// Wakes everyone who holds a clock, so that the idle ones see that this core drains.
    pub fn drain(&self) {
        self.0.draining_since.set(Some(Instant::now()));
        for slot in self.0.slots.borrow_mut().iter_mut() {
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }

    /// Rings the clocks, for as long as the core lives.
    pub async fn run(self) {
        let far = Duration::from_secs(3600);
        loop {
            let next = self.ring(Instant::now());
            self.0.next_look.set(next);
            let mut sleep = pin!(sleep_until(next.unwrap_or_else(|| Instant::now() + far)));
            poll_fn(|cx| {
                *self.0.task.borrow_mut() = Some(cx.waker().clone());
                // Woken by an earlier deadline: look again; woken by the sleep: look as well.
                if self.0.next_look.get() != next {
                    return Poll::Ready(());
                }
                sleep.as_mut().poll(cx)
            })
            .await;
        }
    }

    /// Wakes those whose deadline has passed; says when to look next.
    fn ring(&self, now: Instant) -> Option<Instant> {
        let mut earliest: Option<Instant> = None;
        for slot in self.0.slots.borrow_mut().iter_mut() {
            let Some(deadline) = slot.deadline else { continue };
            if deadline <= now {
                if let Some(waker) = slot.waker.take() {
                    waker.wake();
                }
            } else {
                earliest = Some(earliest.map_or(deadline, |at| at.min(deadline)));
            }
        }
        earliest.map(|at| at.max(now + TICK))
    }
}

/// One clock, for one waiter at a time.
#[derive(Debug)]
pub struct Timer {
    ticker: Rc<Inner>,
    index: usize,
}

impl Timer {
    /// Rings at `deadline` in place of whatever was set before, up to [`TICK`] late.
    pub fn set(&self, deadline: Instant) {
        self.ticker.slots.borrow_mut()[self.index].deadline = Some(deadline);
        let is_known = self.ticker.next_look.get().is_some_and(|look| look <= deadline + TICK);
        if !is_known {
            self.ticker.next_look.set(Some(deadline));
            if let Some(task) = self.ticker.task.borrow().as_ref() {
                task.wake_by_ref();
            }
        }
    }

    /// Rings never.
    pub fn clear(&self) {
        let mut slots = self.ticker.slots.borrow_mut();
        slots[self.index] = Slot::default();
    }

    /// Ready once the deadline has passed.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_at(Instant::now(), cx)
    }

    /// The same for who has just looked at the time.
    pub fn poll_at(&self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut slots = self.ticker.slots.borrow_mut();
        let slot = &mut slots[self.index];
        if slot.deadline.is_some_and(|deadline| deadline <= now) {
            return Poll::Ready(());
        }
        match &slot.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => slot.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.clear();
        self.ticker.free.borrow_mut().push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;

    async fn on_a_core<T>(work: impl Future<Output = T>, ticker: &Ticker) -> T {
        let local = tokio::task::LocalSet::new();
        local.spawn_local(ticker.clone().run());
        local.run_until(work).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_rings_at_its_last_deadline_and_not_at_an_earlier_one() {
        let ticker = Ticker::default();
        let timer = ticker.timer();
        let start = Instant::now();
        let rang = async {
            timer.set(start + Duration::from_secs(5));
            timer.set(start + Duration::from_secs(60));
            timer.set(start + Duration::from_secs(7));
            poll_fn(|cx| timer.poll(cx)).await;
            start.elapsed()
        };
        let rang = on_a_core(rang, &ticker).await;
        assert!(rang >= Duration::from_secs(7) && rang <= Duration::from_secs(7) + 2 * TICK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_set_while_the_task_sleeps_for_a_later_one_is_kept() {
        let ticker = Ticker::default();
        let (late, soon) = (ticker.timer(), ticker.timer());
        let start = Instant::now();
        late.set(start + Duration::from_secs(600));
        let rang = async {
            tokio::task::yield_now().await;
            soon.set(start + Duration::from_secs(1));
            poll_fn(|cx| soon.poll(cx)).await;
            start.elapsed()
        };
        assert!(on_a_core(rang, &ticker).await <= Duration::from_secs(1) + 2 * TICK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_wakes_those_who_wait() {
        let ticker = Ticker::default();
        let timer = ticker.timer();
        timer.set(Instant::now() + Duration::from_secs(3600));
        let seen = async {
            let waiter = poll_fn(|cx| {
                if ticker.is_draining() {
                    return Poll::Ready(true);
                }
                timer.poll(cx).map(|()| false)
            });
            let drain = async {
                tokio::task::yield_now().await;
                ticker.drain();
            };
            tokio::join!(waiter, drain).0
        };
        assert!(on_a_core(seen, &ticker).await);
    }
}
