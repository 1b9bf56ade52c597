//! Real threads and a real clock: what the model cannot do to the pool. No order is prescribed and no time is measured.

use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::catalog::{Clocks, Version};
use tokio::task::JoinHandle;

use super::kit::{Fixture, MS, Puppets, SECOND, Script, config, id, version};
use crate::pool::{Exit, PoolEvent, SlotRefused, VersionPool};

/// Rounds, with everything reaped in between.
const REAPS: usize = 10;

/// Requests of each client in a round.
const REQUESTS: u32 = 300;

/// A cheap sequence that looks like chance; the same in every run.
fn chance(of: &mut u32) -> u32 {
    *of ^= *of << 13;
    *of ^= *of >> 17;
    *of ^= *of << 5;
    *of
}

/// An idle timeout of nothing, and a keeper that is called without end, make the reaper run against every request.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_race_the_reaper() {
    let hasty = Version { concurrency: 2, max: 2, idle_timeout: Duration::ZERO, ..patient() };
    let fixture = Fixture::with(hasty);
    fixture.puppets.farm().script = Script::Ready(Duration::ZERO);
    for _ in 0..REAPS {
        crowd(&fixture, 3).await;
        // The next round begins cold.
        while !fixture.pool.sandboxes().is_empty() {
            tokio::task::yield_now().await;
        }
    }
    assert!(fixture.hatches() >= REAPS);
    drains_without_force(fixture).await;
}

/// Eight clients for one slot: most of them wait, and many leave, some of them just when their turn has come.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_race_each_other_and_those_who_hang_up() {
    let fixture = Fixture::with(Version { max: 1, ..patient() });
    fixture.puppets.farm().script = Script::Ready(Duration::ZERO);
    for _ in 0..REAPS {
        crowd(&fixture, 8).await;
    }
    assert_eq!(fixture.hatches(), 1);
    drains_without_force(fixture).await;
}

/// With clocks that do not run out, however slow the machine is.
fn patient() -> Version {
    let clocks = Clocks { queue: 600 * SECOND, start: 600 * SECOND, ..version().clocks };
    Version { clocks, ..version() }
}

async fn crowd(fixture: &Fixture, clients: u32) {
    let version = fixture.version(1);
    let clients: Vec<_> =
        (1..=clients).map(|n| tokio::spawn(client(Arc::clone(&version), n))).collect();
    while !clients.iter().all(JoinHandle::is_finished) {
        version.front.call_keeper();
        tokio::task::yield_now().await;
    }
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }
    assert_eq!(version.waiting(), 0);
}

/// A slot that was lost would keep its sandbox busy, and the drain waiting until it kills.
async fn drains_without_force(mut fixture: Fixture) {
    fixture.pool.drain();
    fixture.keeper.await.unwrap();
    while let Ok(event) = fixture.events.try_recv() {
        assert!(!matches!(event, PoolEvent::Died { .. }), "{event:?}");
    }
    let told: Vec<_> = fixture.puppets.farm().puppets.iter().map(|puppet| puppet.told()).collect();
    assert!(told.iter().all(|told| told == &["terminate"]), "{told:?}");
}

/// Asks again and again, and returns how often it was served.
async fn client(version: Arc<VersionPool<Puppets>>, n: u32) -> u32 {
    let (mut seed, mut served) = (n.wrapping_mul(0x9e37_79b9), 0);
    for _ in 0..REQUESTS {
        for _ in 0..chance(&mut seed) % 8 {
            tokio::task::yield_now().await;
        }
        let is_patient = !chance(&mut seed).is_multiple_of(4);
        let slot = tokio::select! {
            biased;
            slot = version.slot() => slot.expect("nothing refuses here"),
            // Hangs up after having been polled once or twice, wherever the pool is then.
            () = tokio::task::yield_now(), if !is_patient => continue,
        };
        served += 1;
        if chance(&mut seed).is_multiple_of(2) {
            tokio::task::yield_now().await;
        }
        let told = slot.sandbox().told();
        assert!(told.is_empty(), "{slot:?} was told to {told:?} under a request");
    }
    served
}

/// Sandboxes die under their requests, and a version comes and goes: every request has a slot or a reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_race_deaths_and_a_version_that_comes_and_goes() {
    let fixture = Fixture::with_config(config());
    fixture.puppets.farm().script = Script::Ready(Duration::ZERO);
    let serve = |fixture: &Fixture| {
        fixture.serve(vec![(1, Version { concurrency: 2, max: 2, ..version() })]);
    };
    serve(&fixture);
    let clients: Vec<_> = (1..=4_u32)
        .map(|n| {
            let pool = fixture.pool.clone();
            tokio::spawn(async move {
                let mut seed = n.wrapping_mul(0x9e37_79b9);
                for _ in 0..REQUESTS {
                    let Some(version) = pool.version(&id(1)) else {
                        tokio::task::yield_now().await;
                        continue;
                    };
                    match version.slot().await {
                        Ok(slot) if chance(&mut seed).is_multiple_of(512) => {
                            slot.sandbox().die(Exit::OutOfMemory);
                            assert_eq!(slot.died().await, Exit::OutOfMemory);
                        }
                        Ok(_) => tokio::task::yield_now().await,
                        Err(SlotRefused::Retired) => {}
                        Err(refused) => panic!("{refused}"),
                    }
                }
            })
        })
        .collect();
    while !clients.iter().all(JoinHandle::is_finished) {
        fixture.serve(vec![]);
        tokio::task::yield_now().await;
        serve(&fixture);
        tokio::time::sleep(MS).await;
    }
    for client in clients {
        client.await.unwrap();
    }
    fixture.pool.drain();
    fixture.keeper.await.unwrap();
    assert_eq!(fixture.puppets.alive().len(), 0);
}
