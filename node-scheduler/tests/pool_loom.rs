//! Every interleaving of requests, the reaper and the keeper on a sandbox's word and its version's line.
//!
//! The two files under test are compiled here a second time, with loom's atomics and mutex in place of the standard
//! ones, so the model is the code. Each test is a race of two or three threads over a few operations; loom runs all
//! orders, and all values that the memory model allows a read to see.
#![allow(dead_code, reason = "the files under test offer more than a race uses")]

#[path = "../src/pool/line.rs"]
mod line;
#[path = "../src/pool/word.rs"]
mod word;

mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
}

use line::{Entered, Line};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use word::{Gate, GaveBack, Taken, Word};

const NOW: u64 = 7;

const WAITING: u32 = 0;
const TOLD: u32 = 1;
const LEFT: u32 = 2;

/// The two ends of the channel through which a waiter is told.
#[derive(Clone, Debug)]
struct Teller(Arc<AtomicU32>);

impl Teller {
    fn new() -> Self {
        Self(Arc::new(AtomicU32::new(WAITING)))
    }

    /// False when nobody is there any more.
    fn tell(self) -> bool {
        self.0.compare_exchange(WAITING, TOLD, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn is_told(&self) -> bool {
        self.0.load(Ordering::Acquire) == TOLD
    }
}

/// One version with one sandbox.
struct Stage {
    word: Word,
    line: Line<Teller, &'static str>,
    limit: u16,
}

impl Stage {
    /// Open, with `in_flight` slots out.
    fn open(limit: u16, in_flight: u16) -> Arc<Self> {
        let stage = Self { word: Word::starting(), line: Line::new(), limit };
        assert!(stage.word.open(in_flight, false, NOW));
        Arc::new(stage)
    }

    fn give_back(&self) -> GaveBack {
        self.line.give_back(&self.word, || NOW, Teller::tell)
    }

    /// The slow path of a request.
    fn enter(&self) -> Request<'_> {
        let teller = Teller::new();
        let take = || (self.word.take_or_mark(self.limit) == Taken::Slot).then_some(());
        let refuse = |bar: Option<&&'static str>, _| bar.copied();
        match self.line.enter(teller.clone(), take, refuse) {
            Ok(Entered::Took(())) => Request { stage: self, teller, place: Place::Slot },
            Ok(Entered::Waiting(ticket)) => {
                Request { stage: self, teller, place: Place::Line(ticket) }
            }
            Err(_) => Request { stage: self, teller, place: Place::Refused },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Slot,
    Line(u64),
    Refused,
}

struct Request<'a> {
    stage: &'a Stage,
    teller: Teller,
    place: Place,
}

impl Request<'_> {
    fn has_slot(&self) -> bool {
        self.place == Place::Slot || self.teller.is_told()
    }

    /// Hangs up, wherever it stands.
    fn hang_up(self) {
        match self.place {
            Place::Slot => drop(self.stage.give_back()),
            Place::Line(ticket) if self.stage.line.leave(ticket) => {}
            Place::Line(_) => {
                if self.teller.0.swap(LEFT, Ordering::AcqRel) == TOLD {
                    self.stage.give_back();
                }
            }
            Place::Refused => {}
        }
    }
}

/// All orders of at most three preemptions, which is where such bugs are known to live, in seconds.
fn check(race: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(race);
}

#[test]
fn a_request_is_never_given_to_a_sandbox_that_is_being_reaped() {
    check(|| {
        let stage = Stage::open(1, 0);
        let reaper = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.word.close_if_idle(stage.word.seen()))
        };
        let is_taken = stage.word.take(stage.limit);
        let is_reaped = reaper.join().unwrap();
        assert!(is_taken != is_reaped, "one of them wins, and only one");
        let seen = stage.word.seen();
        assert_eq!(seen.in_flight(), u16::from(is_taken));
        assert_eq!(seen.gate(), if is_reaped { Gate::Closed } else { Gate::Open });
    });
}

#[test]
fn a_sandbox_that_was_used_since_it_was_seen_idle_is_not_reaped() {
    check(|| {
        let stage = Stage::open(1, 0);
        let seen = stage.word.seen();
        let user = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || {
                let is_taken = stage.word.take(1);
                if is_taken {
                    stage.line.give_back(&stage.word, || NOW + 1, Teller::tell);
                }
                is_taken
            })
        };
        let is_reaped = stage.word.close_if_idle(seen);
        let is_used = user.join().unwrap();
        assert!(is_used != is_reaped);
    });
}

#[test]
fn the_last_slot_is_given_once() {
    check(|| {
        let stage = Stage::open(2, 1);
        let other = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.word.take(stage.limit))
        };
        let is_mine = stage.word.take(stage.limit);
        assert!(is_mine != other.join().unwrap());
        assert_eq!(stage.word.seen().in_flight(), 2);
    });
}

#[test]
fn nobody_waits_while_a_slot_is_free() {
    check(|| {
        let stage = Stage::open(1, 1);
        let holder = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.give_back())
        };
        let request = stage.enter();
        holder.join().unwrap();
        assert!(request.has_slot());
        assert_eq!((stage.word.seen().in_flight(), stage.line.length()), (1, 0));
    });
}

#[test]
fn two_slots_that_come_back_serve_two_who_wait() {
    check(|| {
        let stage = Stage::open(2, 2);
        let holders: Vec<_> = (0..2)
            .map(|_| {
                let stage = Arc::clone(&stage);
                thread::spawn(move || stage.give_back())
            })
            .collect();
        let (first, second) = (stage.enter(), stage.enter());
        for holder in holders {
            holder.join().unwrap();
        }
        assert!(first.has_slot() && second.has_slot());
        assert_eq!((stage.word.seen().in_flight(), stage.line.length()), (2, 0));
    });
}

#[test]
fn a_newcomer_does_not_overtake_the_line() {
    check(|| {
        let stage = Stage::open(1, 1);
        let first = stage.enter();
        let holder = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.give_back())
        };
        assert!(!stage.word.take(stage.limit), "the slot belongs to who waits");
        holder.join().unwrap();
        assert!(first.has_slot());
    });
}

#[test]
fn a_slot_is_never_lost_when_a_waiter_hangs_up() {
    check(|| {
        let stage = Stage::open(1, 1);
        let holder = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.give_back())
        };
        let (leaves, stays) = (stage.enter(), stage.enter());
        leaves.hang_up();
        holder.join().unwrap();
        assert!(stays.has_slot());
        stays.hang_up();
        assert!(stage.word.seen().is_idle());
        assert_eq!(stage.line.length(), 0);
    });
}

#[test]
fn all_who_hang_up_at_once_leave_the_sandbox_idle() {
    check(|| {
        let stage = Stage::open(1, 1);
        let other = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.enter().hang_up())
        };
        let holder = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.give_back())
        };
        stage.enter().hang_up();
        other.join().unwrap();
        holder.join().unwrap();
        assert!(stage.word.seen().is_idle());
    });
}

#[test]
fn a_sandbox_that_opens_serves_who_comes_at_that_moment() {
    check(|| {
        let stage = Arc::new(Stage { word: Word::starting(), line: Line::new(), limit: 1 });
        let keeper = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || {
                for waiter in stage.line.open(&stage.word, stage.limit, NOW, || ()) {
                    assert!(waiter.tell());
                }
            })
        };
        let (first, second) = (stage.enter(), stage.enter());
        keeper.join().unwrap();
        assert!(first.has_slot() && !second.has_slot());
        first.hang_up();
        assert!(second.has_slot());
    });
}

#[test]
fn the_end_of_a_closed_sandbox_is_heard_of_once_its_last_slot_is_back() {
    check(|| {
        let stage = Stage::open(2, 2);
        let holders: Vec<_> = (0..2)
            .map(|_| {
                let stage = Arc::clone(&stage);
                thread::spawn(move || stage.give_back() == GaveBack::LastOfClosed)
            })
            .collect();
        assert!(stage.word.close());
        let is_seen = stage.word.seen().in_flight() == 0;
        let told =
            holders.into_iter().filter_map(|holder| holder.join().unwrap().then_some(())).count();
        assert_eq!(stage.word.seen().in_flight(), 0);
        // The keeper looks right after it has closed, so it finds the end there or is called.
        assert!(is_seen || told == 1, "seen {is_seen}, told {told}");
    });
}

#[test]
fn a_sandbox_that_is_closed_or_dies_is_handed_to_nobody_and_loses_no_slot() {
    for is_death in [false, true] {
        check(move || {
            let stage = Stage::open(1, 1);
            let request = stage.enter();
            let holder = {
                let stage = Arc::clone(&stage);
                thread::spawn(move || stage.give_back())
            };
            if is_death {
                stage.word.die();
            } else {
                stage.word.close();
            }
            let still_waits = stage.line.listen(1);
            holder.join().unwrap();
            // Handed over just before, or still in line for the next sandbox; never both, never neither.
            let has_slot = request.has_slot();
            assert!(!(still_waits && has_slot), "what is closed serves nobody else");
            assert_eq!(stage.word.seen().in_flight(), u16::from(has_slot));
            assert_eq!(stage.line.length(), u32::from(!has_slot));
        });
    }
}

#[test]
fn the_keeper_hears_of_who_waits() {
    check(|| {
        let stage = Stage::open(1, 1);
        let call_nobody = stage.line.listen(u32::MAX);
        assert!(!call_nobody);
        let waiter = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || {
                stage.enter();
                stage.line.wants_call()
            })
        };
        let is_seen = stage.line.listen(1);
        assert!(waiter.join().unwrap() || is_seen);
    });
}

#[test]
fn the_keeper_hears_of_the_end_of_a_retired_line() {
    check(|| {
        let stage = Stage::open(1, 1);
        let request = stage.enter();
        let Place::Line(ticket) = request.place else { panic!("the sandbox is full") };
        let waiter = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || {
                assert!(stage.line.leave(ticket));
                stage.line.wants_call()
            })
        };
        let is_seen = stage.line.bar(Some("retired"), true);
        assert!(waiter.join().unwrap() || is_seen);
        assert_eq!(stage.enter().place, Place::Refused);
    });
}
