//! Starts that fail, and sandboxes that die.

use std::time::Duration;

use super::kit::{Fixture, MS, SECOND, Script, version};
use crate::pool::{Exit, SlotRefused};
use hatchway_proto::catalog::Version;

#[tokio::test(start_paused = true)]
async fn a_failed_start_answers_everybody_who_waits_and_is_not_repeated_per_request() {
    let fixture = Fixture::with(Version { concurrency: 100, ..version() });
    fixture.puppets.farm().script = Script::Fail(20 * MS);
    let asks: Vec<_> = (0..100).map(|_| fixture.ask(1)).collect();
    for ask in asks {
        let refused = ask.await.unwrap().unwrap_err();
        assert!(matches!(refused, SlotRefused::StartFailed { reason: "handler-not-found", .. }));
    }
    assert_eq!(fixture.hatches(), 1);
    for _ in 0..100 {
        let refused = fixture.version(1).slot().await.unwrap_err();
        assert!(matches!(refused, SlotRefused::BackingOff { reason: "handler-not-found", .. }));
    }
    assert_eq!(fixture.hatches(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_pause_between_failing_starts_grows_and_ends_with_success() {
    let fixture = Fixture::with(version());
    fixture.puppets.farm().script = Script::Fail(Duration::ZERO);
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let Err(SlotRefused::StartFailed { retry_after, .. }) = fixture.version(1).slot().await
        else {
            panic!("a start was due");
        };
        pauses.push(retry_after);
        fixture.pass(retry_after + MS).await;
    }
    for (pause, least) in pauses.iter().zip([100, 200, 400, 800, 1600]) {
        assert!(*pause >= least * MS && *pause <= (least + least / 2) * MS, "{pauses:?}");
    }
    fixture.puppets.farm().script = Script::Ready(50 * MS);
    assert!(fixture.slot(1).await.is_cold());
}

#[tokio::test(start_paused = true)]
async fn the_start_clock_ends_a_hatch_and_the_wait_for_it_but_the_queue_clock_does_not() {
    let fixture = Fixture::with(version());
    fixture.puppets.farm().script = Script::Hang;
    let begun = tokio::time::Instant::now();
    let refused = fixture.version(1).slot().await.unwrap_err();
    assert!(matches!(refused, SlotRefused::StartClock { limit, .. } if limit == 10 * SECOND));
    assert_eq!(begun.elapsed().as_secs(), 10);
    fixture.settle().await;
    assert_eq!(fixture.puppets.farm().hatching, 0);
}

#[tokio::test(start_paused = true)]
async fn who_holds_a_slot_of_a_dying_sandbox_learns_it_and_who_waits_gets_another() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    let slot = fixture.slot(1).await;
    let waiting = fixture.ask(1);
    fixture.settle().await;
    assert_eq!(slot.exit_now(), None);
    slot.sandbox().die(Exit::OutOfMemory);
    assert_eq!(slot.died().await, Exit::OutOfMemory);
    assert_eq!(slot.exit_now(), Some(Exit::OutOfMemory));

    let next = waiting.await.unwrap().unwrap();
    assert_ne!(next.sandbox_id(), slot.sandbox_id());
    drop(slot);
    assert!(fixture.version(1).try_slot().is_none());
    assert_eq!(fixture.hatches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_dies_idle_is_no_longer_offered() {
    let fixture = Fixture::with(version());
    drop(fixture.slot(1).await);
    fixture.puppets.alive()[0].die(Exit::Code(0));
    fixture.settle().await;
    assert!(fixture.version(1).try_slot().is_none());
    assert!(fixture.pool.sandboxes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sandboxes_that_keep_dying_are_replaced_ever_more_slowly() {
    let fixture = Fixture::with(Version { min: 1, ..version() });
    fixture.puppets.farm().script = Script::Ready(MS);
    let mut hatched_within_a_second = 0;
    for _ in 0..1000 {
        fixture.pass(MS).await;
        for puppet in fixture.puppets.alive() {
            hatched_within_a_second += 1;
            puppet.die(Exit::Code(1));
        }
    }
    assert!((3..=6).contains(&hatched_within_a_second), "{hatched_within_a_second}");
}

#[tokio::test(start_paused = true)]
async fn a_growing_version_that_cannot_start_more_keeps_serving_with_what_it_has() {
    let fixture = Fixture::with(version());
    let slot = fixture.slot(1).await;
    fixture.puppets.farm().script = Script::Fail(MS);
    let waiting = fixture.ask(1);
    fixture.pass(50 * MS).await;
    assert!(!waiting.is_finished());
    drop(slot);
    assert!(!waiting.await.unwrap().unwrap().is_cold());
}
