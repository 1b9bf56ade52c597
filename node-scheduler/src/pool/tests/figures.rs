//! Figures, printed and not judged:
//! `cargo test --profile quick -p hatchway-node --lib pool::tests::figures -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hatchway_proto::catalog::Version;

use super::kit::{Fixture, MIB, Script, config, id, version};
use crate::pool::decide::decide;
use crate::pool::plan::{Action, Event};
use crate::pool::state::{Spec, State, VersionKey};
use crate::pool::{Budget, PoolConfig};

const ROUNDS: u32 = 2_000_000;

fn per_round(begun: Instant, rounds: u32) -> f64 {
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures; worth something in an optimised build on a quiet machine only"]
async fn a_slot_taken_and_given_back() {
    let fixture = Fixture::with(Version { concurrency: 100, max: 1, ..version() });
    fixture.puppets.farm().script = Script::Ready(Duration::ZERO);
    let held = fixture.slot(1).await;
    let version = fixture.version(1);
    let take = |rounds| {
        let begun = Instant::now();
        for _ in 0..rounds {
            black_box(version.try_slot());
        }
        per_round(begun, rounds)
    };
    println!("try_slot + drop, sandbox busy:           {:.0} ns", take(ROUNDS));
    let both = std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| take(ROUNDS)));
        threads.map(|thread| thread.join().unwrap())
    });
    println!("the same, two cores on one sandbox:      {:.0} and {:.0} ns", both[0], both[1]);
    drop(held);
    println!("try_slot + drop, sandbox idle in between: {:.0} ns", take(ROUNDS));
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        black_box(fixture.pool.version(&id(1)));
    }
    println!("version by id:                           {:.0} ns", per_round(begun, ROUNDS));
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        black_box(fixture.pool.load());
    }
    println!("load:                                    {:.0} ns", per_round(begun, ROUNDS));
}

#[test]
#[ignore = "prints figures; worth something in an optimised build on a quiet machine only"]
fn a_decision_on_a_full_node() {
    let budget = Budget { memory_bytes: 1024 * 1024 * MIB, pids: 1 << 30, ..config().budget };
    let mut state = State::new(PoolConfig { budget, max_hatching: 300, ..config() });
    let now = Instant::now();
    let spec = |n| Spec::of(&Version { min: u32::from(n <= 300), ..version() });
    let known = (1..=1000).map(|n| (VersionKey(n), spec(n))).collect();
    let mut actions =
        decide(&mut state, now, 0, Event::Catalog { known, adopted: vec![], retired: vec![] });
    while let Some(action) = actions.pop() {
        if let Action::Hatch { key, id } = action {
            actions.extend(decide(&mut state, now, 0, Event::Hatched { key, id }));
        }
    }
    assert_eq!(state.sandboxes().count(), 300);
    let begun = Instant::now();
    for _ in 0..1000 {
        black_box(decide(&mut state, now, 0, Event::Looked));
        black_box(state.next_look(now));
    }
    println!("1000 versions, 300 sandboxes: {:.0} us", per_round(begun, 1000) / 1e3);
}
