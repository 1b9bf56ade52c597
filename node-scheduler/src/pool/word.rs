//! One atomic word per sandbox: whether it takes requests, how many it runs, and since when it has none.
//!
//! Everything that decides between a request and the reaper is a compare-and-swap on this word, so there is no moment at
//! which both can win: a request takes a slot, or the reaper closes the sandbox, and the other one sees it.
//!
//! ```text
//!  63           24        18      17 16     15            0
//! | idle since ms |  ...  | wanted | gate | slots in flight |
//! ```
//!
//! The time lies in the same word because the reaper must not see "idle" together with a time from before the last
//! request; two words would need an order between them. 40 bits of milliseconds last 34 years.
//!
//! `wanted` says that requests wait in the version's [`Line`](super::line::Line). It is set on a full sandbox only, and while it is set a
//! slot that comes back goes through the line's lock instead of into the open. So no newcomer overtakes the line, and
//! nobody waits while a slot is free.

use super::sync::{AtomicU64, Ordering};

const IN_FLIGHT: u64 = 0xffff;
const GATE_SHIFT: u32 = 16;
const GATE: u64 = 0b11 << GATE_SHIFT;
const WANTED: u64 = 1 << 18;
const SINCE_SHIFT: u32 = 24;

/// Whether a sandbox takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Not yet able to answer.
    Starting,
    /// Takes requests up to its concurrency.
    Open,
    /// Takes no more; what runs finishes.
    Closed,
    /// The process has ended; whoever still holds a slot is about to learn it.
    Dead,
}

/// A word as read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(u64);

impl Seen {
    pub(crate) fn gate(self) -> Gate {
        match (self.0 & GATE) >> GATE_SHIFT {
            0 => Gate::Starting,
            1 => Gate::Open,
            2 => Gate::Closed,
            _ => Gate::Dead,
        }
    }

    /// Slots out.
    pub(crate) fn in_flight(self) -> u16 {
        (self.0 & IN_FLIGHT) as u16
    }

    /// When the last slot came back, in milliseconds on the pool's own scale.
    pub(crate) fn since_ms(self) -> u64 {
        self.0 >> SINCE_SHIFT
    }

    pub(crate) fn is_open(self) -> bool {
        self.gate() == Gate::Open
    }

    pub(crate) fn is_idle(self) -> bool {
        self.is_open() && self.in_flight() == 0
    }

    pub(crate) fn has_room(self, limit: u16) -> bool {
        self.is_open() && self.in_flight() < limit
    }

    /// Orders sandboxes by preference: the busiest first, then the one used last.
    pub(crate) fn rank(self) -> (u16, u64) {
        (self.in_flight(), self.since_ms())
    }

    fn with_gate(self, gate: Gate) -> Self {
        let bits = match gate {
            Gate::Starting => 0,
            Gate::Open => 1,
            Gate::Closed => 2,
            Gate::Dead => 3,
        };
        Self(self.0 & !GATE & !WANTED | bits << GATE_SHIFT)
    }

    /// One slot less; an open sandbox that has none left is idle from now on.
    fn less_one(self, now_ms: impl Fn() -> u64) -> Self {
        debug_assert!(self.in_flight() > 0, "a slot came back that was never out");
        let less = Self(self.0 - 1);
        if less.is_idle() {
            Self(less.0 & ((1 << SINCE_SHIFT) - 1) | now_ms() << SINCE_SHIFT)
        } else {
            less
        }
    }
}

/// What giving a slot back came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GaveBack {
    /// The slot is back.
    Done,
    /// The slot is back, and it was the last one of a closed sandbox, which may end now.
    LastOfClosed,
    /// Requests wait: the slot is still out, and the caller passes it on through the line.
    Wanted,
}

/// What a request that is about to wait came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It has a slot after all.
    Slot,
    /// The sandbox is full, and marked: its next slot goes to the line.
    Marked,
    /// The sandbox takes no requests.
    Shut,
}

/// The word itself. Every operation is lock-free and may be called from any core.
#[derive(Debug)]
pub(crate) struct Word(AtomicU64);

impl Word {
    /// The word of a sandbox that is being hatched.
    pub(crate) fn starting() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    /// Takes a slot if the sandbox is open and below `limit`.
    pub(crate) fn take(&self, limit: u16) -> bool {
        self.change(|seen| seen.has_room(limit).then(|| Seen(seen.0 + 1))).is_ok()
    }

    /// Takes a slot, or leaves a mark so that the next one to come back is passed on. Called under the line's lock.
    pub(crate) fn take_or_mark(&self, limit: u16) -> Taken {
        let outcome = self.change(|seen| match seen {
            _ if seen.has_room(limit) => Some(Seen(seen.0 + 1)),
            _ if seen.is_open() => Some(Seen(seen.0 | WANTED)),
            _ => None,
        });
        match outcome {
            Ok(before) if before.has_room(limit) => Taken::Slot,
            Ok(_) => Taken::Marked,
            Err(_) => Taken::Shut,
        }
    }

    /// Gives a slot back, unless requests wait: then it stays out and [`GaveBack::Wanted`] tells so. The time is
    /// asked for only when it is the last slot: reading a clock costs more than all the rest.
    pub(crate) fn give_back(&self, now_ms: impl Fn() -> u64) -> GaveBack {
        let outcome = self.change(|seen| {
            let is_wanted = seen.is_open() && seen.0 & WANTED != 0;
            (!is_wanted).then(|| seen.less_one(&now_ms))
        });
        match outcome {
            Ok(before) => Self::gave(before),
            Err(_) => GaveBack::Wanted,
        }
    }

    /// Gives a slot back and takes the mark away. Called under the line's lock, when nobody waits any more.
    pub(crate) fn give_back_unmarked(&self, now_ms: impl Fn() -> u64) -> GaveBack {
        let outcome = self.change(|seen| Some(Seen(seen.0 & !WANTED).less_one(&now_ms)));
        Self::gave(outcome.expect("the change is unconditional"))
    }

    fn gave(before: Seen) -> GaveBack {
        if before.gate() == Gate::Closed && before.in_flight() == 1 {
            GaveBack::LastOfClosed
        } else {
            GaveBack::Done
        }
    }

    /// Opens a sandbox that can answer now, with `in_flight` slots given out already. Called under the line's lock.
    pub(crate) fn open(&self, in_flight: u16, is_wanted: bool, now_ms: u64) -> bool {
        let wanted = if is_wanted { WANTED } else { 0 };
        let opened = u64::from(in_flight) | wanted | 1 << GATE_SHIFT | now_ms << SINCE_SHIFT;
        self.change(|seen| (seen.gate() == Gate::Starting).then_some(Seen(opened))).is_ok()
    }

    /// Closes the sandbox if nothing has happened to it since it was `seen` idle. This is the reaper's half of the race.
    pub(crate) fn close_if_idle(&self, seen: Seen) -> bool {
        let closed = seen.with_gate(Gate::Closed);
        seen.is_idle()
            && self
                .0
                .compare_exchange(seen.0, closed.0, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// Closes an open sandbox whatever it runs. Slots that are out come back as they end.
    pub(crate) fn close(&self) -> bool {
        self.change(|seen| seen.is_open().then(|| seen.with_gate(Gate::Closed))).is_ok()
    }

    /// The process has ended. Returns how the word stood before.
    pub(crate) fn die(&self) -> Seen {
        self.change(|seen| Some(seen.with_gate(Gate::Dead))).expect("the change is unconditional")
    }

    fn change(&self, next: impl Fn(Seen) -> Option<Seen>) -> Result<Seen, Seen> {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |bits| {
                next(Seen(bits)).map(|seen| seen.0)
            })
            .map(Seen)
            .map_err(Seen)
    }
}
