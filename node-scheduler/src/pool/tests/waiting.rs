//! The line: its order, its bounds, and those who leave it.

use super::kit::{Fixture, MS, SECOND, Script, id, version};
use crate::pool::SlotRefused;
use crate::pool::line::Entered;
use hatchway_proto::catalog::Version;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn first_come_first_served() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    let slot = fixture.slot(1).await;
    let mut asks = Vec::new();
    for _ in 0..3 {
        asks.push(fixture.ask(1));
        fixture.settle().await;
    }
    let mut held = slot;
    for ask in asks {
        assert!(!ask.is_finished());
        drop(held);
        held = ask.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_passed_over_and_leaves_no_slot_behind() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    let slot = fixture.slot(1).await;
    let (leaves, stays) = (fixture.ask(1), fixture.ask(1));
    fixture.settle().await;
    leaves.abort();
    fixture.settle().await;
    assert_eq!(fixture.version(1).waiting(), 1);
    drop(slot);
    drop(stays.await.unwrap().unwrap());
    assert_eq!(fixture.pool.sandboxes()[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_with_the_slot_already_granted_hands_it_on() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    let slot = fixture.slot(1).await;
    let (leaves, stays) = (fixture.ask(1), fixture.ask(1));
    fixture.settle().await;
    drop(slot);
    // The grant is in its hands, and it has not been polled since.
    leaves.abort();
    drop(stays.await.unwrap().unwrap());
    assert_eq!(fixture.pool.sandboxes()[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_between_being_found_and_being_told_is_passed_over() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    let slot = fixture.slot(1).await;
    // Gone, and still in line: the moment between the two, held fast.
    for _ in 0..3 {
        let (teller, told) = tokio::sync::oneshot::channel();
        drop(told);
        let entered = fixture.version(1).front.line.enter(teller, || None::<()>, |_, _| None::<()>);
        assert!(matches!(entered, Ok(Entered::Waiting(_))));
    }
    let stays = fixture.ask(1);
    fixture.settle().await;
    drop(slot);
    let slot = stays.await.unwrap().unwrap();
    assert_eq!(fixture.pool.sandboxes()[0].in_flight, 1);
    drop(slot);
    assert_eq!(fixture.pool.sandboxes()[0].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn everybody_leaves_during_a_cold_start_and_the_sandbox_is_idle_afterwards() {
    let fixture = Fixture::with(Version { concurrency: 16, ..version() });
    let asks: Vec<_> = (0..16).map(|_| fixture.ask(1)).collect();
    fixture.pass(10 * MS).await;
    asks.iter().for_each(tokio::task::JoinHandle::abort);
    fixture.pass(50 * MS).await;
    let status = &fixture.pool.sandboxes()[0];
    assert_eq!((status.phase, status.in_flight), ("idle", 0));
}

#[tokio::test(start_paused = true)]
async fn the_line_is_bounded() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    fixture.pool.serve([(id(1), Arc::new(version()), 2)]);
    let _waiting = [fixture.ask(1), fixture.ask(1)];
    fixture.settle().await;
    let refused = fixture.version(1).slot().await.unwrap_err();
    assert_eq!(refused, SlotRefused::QueueFull { depth: 2, retry_after: Duration::ZERO });
}

#[tokio::test(start_paused = true)]
async fn who_finds_the_line_full_is_told_how_long_it_takes() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    fixture.pool.serve([(id(1), Arc::new(version()), 1)]);
    let slot = fixture.slot(1).await;
    let first = fixture.ask(1);
    fixture.pass(3 * SECOND).await;
    drop(slot);
    let _slot = first.await.unwrap().unwrap();
    let _second = fixture.ask(1);
    fixture.settle().await;
    let refused = fixture.version(1).slot().await.unwrap_err();
    let SlotRefused::QueueFull { retry_after, .. } = refused else { panic!("{refused}") };
    assert!((3 * SECOND..4 * SECOND).contains(&retry_after), "{retry_after:?}");
}

#[tokio::test(start_paused = true)]
async fn the_queue_clock_runs_out_while_every_sandbox_is_busy() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    let slot = fixture.slot(1).await;
    let refused = fixture.version(1).slot().await.unwrap_err();
    assert!(matches!(refused, SlotRefused::QueueClock { waited } if waited >= 5 * SECOND));
    assert_eq!(fixture.version(1).waiting(), 0);
    drop(slot);
    assert!(fixture.version(1).try_slot().is_some());
}

#[tokio::test(start_paused = true)]
async fn who_could_go_elsewhere_waits_for_a_hatch_and_not_for_the_slots_of_others() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    fixture.puppets.farm().script = Script::Ready(SECOND);
    let slot = fixture.version(1).choosy_slot().await.expect("it hatches for a second");
    let began = Instant::now();
    let refused = fixture.version(1).choosy_slot().await.unwrap_err();
    assert_eq!(refused, SlotRefused::Saturated);
    assert!(began.elapsed() < SECOND, "the queue clock has not run");
    drop(slot);
    assert!(fixture.version(1).choosy_slot().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn behind_a_line_as_long_as_there_are_slots_who_could_go_elsewhere_is_refused_at_once() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    let _slot = fixture.slot(1).await;
    let waiting = fixture.ask(1);
    fixture.settle().await;
    let began = Instant::now();
    let refused = fixture.version(1).choosy_slot().await.unwrap_err();
    assert_eq!((refused, began.elapsed()), (SlotRefused::Saturated, Duration::ZERO));
    assert!(!waiting.is_finished(), "who has nowhere else to go waits on");
}

#[tokio::test(start_paused = true)]
async fn in_a_line_that_was_too_slow_for_one_who_could_go_elsewhere_the_next_one_does_not_try() {
    let fixture = Fixture::with(Version { max: 1, concurrency: 2, ..version() });
    let (slot, _other) = (fixture.slot(1).await, fixture.slot(1).await);
    let waiting = fixture.ask(1);
    fixture.settle().await;
    let refused_after = async || {
        let began = Instant::now();
        let refused = fixture.version(1).choosy_slot().await.unwrap_err();
        assert_eq!(refused, SlotRefused::Saturated);
        began.elapsed()
    };
    assert!(refused_after().await >= 100 * MS, "the line is shorter than it may be");
    assert_eq!(refused_after().await, Duration::ZERO);
    drop(slot);
    let slot = waiting.await.unwrap().unwrap();
    let waiting = fixture.ask(1);
    fixture.settle().await;
    drop(slot);
    drop(waiting.await.unwrap().unwrap());
    assert!(fixture.version(1).choosy_slot().await.is_ok(), "it is quick again");
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_divided_into_queue_and_start() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    let early = fixture.ask(1);
    fixture.pass(20 * MS).await;
    let late = fixture.ask(1);
    let slot = early.await.unwrap().unwrap();
    assert_eq!((slot.waited().queue, slot.waited().start), (Duration::ZERO, 50 * MS));
    fixture.pass(100 * MS).await;
    drop(slot);
    let slot = late.await.unwrap().unwrap();
    assert!(!slot.is_cold() && slot.waited().start.is_zero());
    assert!(slot.waited().queue >= 130 * MS, "{:?}", slot.waited());
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_version_before_it_is_here_gets_it_when_it_comes() {
    let fixture = Fixture::with(version());
    let pool = fixture.pool.clone();
    let early = tokio::spawn(async move { pool.version_soon(&id(2), SECOND).await });
    fixture.settle().await;
    fixture.serve(vec![(1, version())]);
    fixture.settle().await;
    assert!(!early.is_finished(), "another change is not the one");
    fixture.serve(vec![(1, version()), (2, version())]);
    assert_eq!(early.await.unwrap().expect("it has come").id(), id(2));
    assert!(fixture.pool.version_soon(&id(1), SECOND).await.is_some());
    assert!(fixture.pool.version_soon(&id(3), SECOND).await.is_none());
}
