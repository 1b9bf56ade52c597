//! How many sandboxes hatch, and when.

use std::collections::BTreeMap;

use super::kit::{Fixture, MIB, MS, SECOND, config, version};
use crate::pool::{Budget, SlotRefused};
use hatchway_proto::catalog::Version;

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_for_a_cold_version_hatch_as_many_as_concurrency_asks_for() {
    let fixture = Fixture::with(Version { concurrency: 16, max: 4, ..version() });
    let asks: Vec<_> = (0..1000)
        .map(|_| {
            let version = fixture.version(1);
            tokio::spawn(async move {
                let slot = version.slot().await?;
                tokio::time::sleep(5 * MS).await;
                drop(slot);
                Ok::<_, SlotRefused>(())
            })
        })
        .collect();
    for ask in asks {
        ask.await.unwrap().unwrap();
    }
    assert!(fixture.hatches() <= 4, "{} hatches", fixture.hatches());
}

#[tokio::test(start_paused = true)]
async fn ten_requests_hatch_one_sandbox_that_runs_sixteen() {
    let fixture = Fixture::with(Version { concurrency: 16, ..version() });
    let asks: Vec<_> = (0..10).map(|_| fixture.ask(1)).collect();
    let mut slots = Vec::new();
    for ask in asks {
        slots.push(ask.await.unwrap().unwrap());
    }
    assert!(slots.iter().all(crate::pool::Slot::is_cold));
    assert!(slots.iter().all(|slot| slot.waited().start == 50 * MS));
    assert_eq!(fixture.hatches(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_next_sandbox_hatches_when_70_percent_of_the_slots_are_out() {
    let fixture = Fixture::with(Version { concurrency: 10, max: 2, ..version() });
    let mut slots = vec![fixture.slot(1).await];
    for _ in 1..6 {
        slots.push(fixture.version(1).try_slot().unwrap());
    }
    fixture.settle().await;
    assert_eq!(fixture.hatches(), 1);
    slots.push(fixture.version(1).try_slot().unwrap());
    fixture.settle().await;
    assert_eq!(fixture.hatches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lone_request_hatches_nothing_in_advance() {
    let fixture = Fixture::with(version());
    let slot = fixture.slot(1).await;
    fixture.pass(SECOND).await;
    assert_eq!(fixture.hatches(), 1);
    drop(slot);
}

#[tokio::test(start_paused = true)]
async fn slots_come_from_the_busiest_sandbox_that_has_room() {
    let fixture = Fixture::with(Version { concurrency: 2, max: 2, ..version() });
    let mut slots = Vec::new();
    for ask in (0..4).map(|_| fixture.ask(1)).collect::<Vec<_>>() {
        slots.push(ask.await.unwrap().unwrap());
    }
    let mut by_sandbox = BTreeMap::<_, Vec<_>>::new();
    for slot in slots {
        by_sandbox.entry(slot.sandbox_id()).or_default().push(slot);
    }
    let (_, mut first) = by_sandbox.pop_first().unwrap();
    let (second, mut of_second) = by_sandbox.pop_first().unwrap();
    first.clear();
    of_second.pop();
    let next = fixture.version(1).try_slot().unwrap();
    assert_eq!(next.sandbox_id(), second);
}

#[tokio::test(start_paused = true)]
async fn min_is_hatched_without_a_request_and_kept() {
    let fixture = Fixture::with(Version { min: 2, ..version() });
    fixture.pass(100 * MS).await;
    assert_eq!(fixture.alive(), 2);
    fixture.pass(300 * SECOND).await;
    assert_eq!(fixture.alive(), 2);
    assert_eq!(fixture.hatches(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_start_at_a_time_than_configured_and_versions_take_turns() {
    let mut config = config();
    config.max_hatching = 2;
    let fixture = Fixture::with_config(config);
    fixture.serve((1..=5).map(|n| (n, Version { max: 100, ..version() })).collect());
    let crowd: Vec<_> = (0..20).map(|_| fixture.ask(1)).collect();
    let others: Vec<_> = (2..=5).map(|n| fixture.ask(n)).collect();
    // Five versions take turns, two at a time, 50 ms each: nobody waits for the crowd.
    let mut slots = Vec::new();
    for ask in others {
        let slot = ask.await.unwrap().unwrap();
        let waited = slot.waited();
        assert!(waited.queue + waited.start <= 150 * MS, "{waited:?}");
        slots.push(slot);
    }
    for ask in crowd {
        slots.push(ask.await.unwrap().unwrap());
    }
    assert_eq!(fixture.puppets.farm().most_hatching, 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_node_ends_what_is_idle_before_it_refuses() {
    let mut config = config();
    config.budget = Budget { memory_bytes: 256 * MIB, ..config.budget };
    config.memory_headroom_percent = 300;
    let fixture = Fixture::with_config(config);
    fixture.serve((1..=3).map(|n| (n, version())).collect());
    let first = fixture.slot(1).await;
    let second = fixture.slot(2).await;
    fixture.pass(2 * SECOND).await;

    let refused = fixture.version(3).slot().await.unwrap_err();
    assert!(matches!(refused, SlotRefused::NoRoom { what: "memory", .. }), "{refused}");

    let id = first.sandbox_id();
    drop(first);
    let third = fixture.slot(3).await;
    assert!(third.is_cold());
    let alive: Vec<_> = fixture.puppets.alive().iter().map(|puppet| puppet.id).collect();
    assert!(!alive.contains(&id) && alive.contains(&second.sandbox_id()), "{alive:?}");
}

#[tokio::test(start_paused = true)]
async fn measured_memory_above_the_mark_ends_idle_sandboxes_of_the_version_with_the_most() {
    let mut config = config();
    config.budget = Budget { memory_bytes: 1000 * MIB, ..config.budget };
    let fixture = Fixture::with_config(config);
    fixture.serve(vec![(1, Version { max: 3, ..version() }), (2, version())]);
    let asks: Vec<_> = [1, 1, 1, 2].map(|n| fixture.ask(n)).into_iter().collect();
    let mut slots = Vec::new();
    for ask in asks {
        slots.push(ask.await.unwrap().unwrap());
    }
    let of_two = slots[3].sandbox_id();
    drop(slots);
    for puppet in fixture.puppets.alive() {
        puppet.use_memory(240 * MIB);
    }
    fixture.pass(2 * SECOND).await;
    let alive: Vec<_> = fixture.puppets.alive().iter().map(|puppet| puppet.id).collect();
    assert_eq!(alive.len(), 3, "{alive:?}");
    assert!(alive.contains(&of_two));
}
