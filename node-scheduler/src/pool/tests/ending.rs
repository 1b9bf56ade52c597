//! How sandboxes end.

use super::kit::{Fixture, MS, SECOND, version};
use crate::pool::{PoolEvent, ReapWhy, SlotRefused};
use hatchway_proto::catalog::Version;

#[tokio::test(start_paused = true)]
async fn an_idle_sandbox_ends_when_its_timeout_has_passed_and_not_before() {
    let fixture = Fixture::with(version());
    drop(fixture.slot(1).await);
    fixture.pass(30 * SECOND - 2 * MS).await;
    assert_eq!(fixture.alive(), 1);
    fixture.pass(3 * MS).await;
    assert_eq!(fixture.alive(), 0);
    assert!(fixture.pool.sandboxes().is_empty());
    assert!(fixture.version(1).residents().is_empty(), "requests do not look at it any more");
}

#[tokio::test(start_paused = true)]
async fn the_timeout_begins_when_the_last_slot_comes_back() {
    let fixture = Fixture::with(Version { concurrency: 2, max: 1, ..version() });
    let long = fixture.slot(1).await;
    fixture.pass(100 * SECOND).await;
    drop(fixture.version(1).try_slot().unwrap());
    drop(long);
    fixture.pass(30 * SECOND - 2 * MS).await;
    assert_eq!(fixture.alive(), 1);
    fixture.pass(3 * MS).await;
    assert_eq!(fixture.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_retired_version_finishes_its_request_and_then_ends() {
    let mut fixture = Fixture::with(version());
    let slot = fixture.slot(1).await;
    let version = fixture.version(1);
    fixture.serve(vec![]);
    fixture.settle().await;
    assert!(fixture.pool.version(&version.id()).is_none());
    assert!(slot.sandbox().is_alive() && slot.sandbox().told().is_empty());
    assert_eq!(version.slot().await.unwrap_err(), SlotRefused::Retired);

    let puppet = std::sync::Arc::clone(slot.sandbox());
    drop(slot);
    fixture.settle().await;
    assert_eq!(puppet.told(), ["terminate"]);
    let mut why = None;
    while let Ok(event) = fixture.events.try_recv() {
        if let PoolEvent::Reaped { why: reason, served, .. } = event {
            why = Some((reason, served));
        }
    }
    assert_eq!(why, Some((ReapWhy::Retired, 1)));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_version_that_is_retired_is_served() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    let asks: Vec<_> = (0..3).map(|_| fixture.ask(1)).collect();
    fixture.settle().await;
    fixture.serve(vec![]);
    for ask in asks {
        drop(ask.await.unwrap().unwrap());
    }
    fixture.settle().await;
    assert_eq!((fixture.hatches(), fixture.alive()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_comes_back_starts_anew() {
    let fixture = Fixture::with(version());
    let old = fixture.slot(1).await;
    fixture.serve(vec![]);
    fixture.serve(vec![(1, version())]);
    let new = fixture.slot(1).await;
    assert_ne!(old.sandbox_id(), new.sandbox_id());
    drop(old);
    fixture.settle().await;
    assert_eq!(fixture.alive(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_will_not_end_is_killed_after_the_grace_period() {
    let fixture = Fixture::with(version());
    fixture.puppets.farm().is_stubborn = true;
    drop(fixture.slot(1).await);
    fixture.serve(vec![]);
    fixture.settle().await;
    let puppet = fixture.puppets.alive().pop().unwrap();
    assert_eq!(puppet.told(), ["terminate"]);
    fixture.pass(4 * SECOND).await;
    assert!(puppet.is_alive());
    fixture.pass(SECOND).await;
    assert_eq!(puppet.told(), ["terminate", "kill"]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_the_idle_at_once_lets_the_busy_finish_and_then_the_keeper_ends() {
    let mut fixture = Fixture::with(version());
    let (a, b) = (fixture.ask(1), fixture.ask(1));
    let (busy, idle) = (a.await.unwrap().unwrap(), b.await.unwrap().unwrap());
    drop(idle);
    fixture.pool.drain();
    fixture.settle().await;
    assert_eq!(fixture.alive(), 1);
    assert_eq!(fixture.version(1).slot().await.unwrap_err(), SlotRefused::Draining);
    assert!(fixture.pool.load().is_draining);
    assert!(!fixture.keeper.is_finished());
    drop(busy);
    (&mut fixture.keeper).await.unwrap();
    assert_eq!(fixture.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_kills_what_still_runs_at_its_limit() {
    let mut fixture = Fixture::with(Version { max: 1, ..version() });
    let slot = fixture.slot(1).await;
    fixture.pool.drain();
    (&mut fixture.keeper).await.unwrap();
    assert_eq!(slot.sandbox().told(), ["kill"]);
    assert_eq!(slot.died().await, crate::pool::Exit::Signal(9));
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_is_dropped_leaves_nobody_waiting_and_nothing_running() {
    let fixture = Fixture::with(Version { max: 1, ..version() });
    let slot = fixture.slot(1).await;
    let waiting = fixture.ask(1);
    fixture.settle().await;
    fixture.keeper.abort();
    assert_eq!(waiting.await.unwrap().unwrap_err(), SlotRefused::Draining);
    assert_eq!(slot.sandbox().told(), ["kill"]);
    drop(slot);
    assert_eq!(fixture.version(1).slot().await.unwrap_err(), SlotRefused::Draining);
}
