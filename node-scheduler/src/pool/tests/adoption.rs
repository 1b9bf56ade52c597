//! From one keeper to the next: nothing ends, nothing is lent twice, and nobody's request is in the way of another's.

use std::collections::BTreeMap;

use hatchway_proto::catalog::Version;
use hatchway_proto::name::SandboxId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::kit::{Abandoned, Ask, Fixture, Puppets, SECOND, Script, config, version};
use crate::pool::{Orphan, PoolEvent, Slot, SlotRefused};

fn roomy() -> Version {
    Version { concurrency: 2, max: 2, ..version() }
}

/// Everything that `old` keeps, left to a pool that serves `versions`.
async fn hand_over(old: &Fixture, versions: Vec<(u8, Version)>) -> Fixture {
    let statuses = old.pool.sandboxes();
    let told = old.pool.leave();
    old.settle().await;
    let estate = told.await.expect("the keeper answers");
    let puppets = old.puppets.alive();
    let orphan = |(id, slots_out): (SandboxId, u16)| {
        let version = statuses.iter().find(|status| status.id == id).expect("it was there").version;
        let it = puppets.iter().find(|puppet| puppet.id == id).expect("it lives").clone();
        Orphan { id, version, slots_out, it: Abandoned(Some(it)) }
    };
    let new = Fixture::over(old.puppets.clone(), config());
    new.pool.adopt(estate.into_iter().map(orphan).collect());
    new.serve(versions);
    new.settle().await;
    new
}

/// Tells `new` what `old` has left meanwhile.
fn tell(old: &mut Fixture, new: &Fixture) {
    while let Ok(event) = old.events.try_recv() {
        if let PoolEvent::Left { of } = event {
            new.pool.freed(Some(of.sandbox));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_idle_is_taken_over_and_nothing_is_hatched_in_its_place() {
    let mut old = Fixture::with(Version { min: 1, ..version() });
    old.settle().await;
    old.pass(SECOND).await;
    let new = hand_over(&old, vec![(1, Version { min: 1, ..version() })]).await;
    (&mut old.keeper).await.expect("it ends when nothing is left to do");
    let slot = new.slot(1).await;
    assert!(!slot.is_cold());
    assert_eq!((new.hatches(), new.alive(), slot.sandbox().told()), (1, 1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn slots_that_are_out_are_out_for_the_next_keeper_as_well_until_the_last_one_is_back() {
    let mut old = Fixture::with(Version { max: 1, ..roomy() });
    let (one, two) = (old.slot(1).await, old.slot(1).await);
    let new = hand_over(&old, vec![(1, Version { max: 1, ..roomy() })]).await;
    let ask = new.ask(1);
    drop(one);
    old.settle().await;
    tell(&mut old, &new);
    new.settle().await;
    assert!(!ask.is_finished(), "the other keeper's request is under way");
    drop(two);
    old.settle().await;
    tell(&mut old, &new);
    assert!(ask.await.expect("it does not panic").is_ok());
    (&mut old.keeper).await.expect("it ends when nothing is left to do");
    assert_eq!(new.hatches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_ends_without_a_word_gives_all_of_it_back() {
    let old = Fixture::with(roomy());
    let slot = old.slot(1).await;
    let new = hand_over(&old, vec![(1, roomy())]).await;
    assert_eq!(new.pool.sandboxes()[0].in_flight, 1);
    new.pool.freed(None);
    new.settle().await;
    assert_eq!(new.pool.sandboxes()[0].in_flight, 0);
    drop(slot);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_sent_on_and_who_starts_is_given_up() {
    let mut old = Fixture::with(version());
    old.puppets.farm().script = Script::Hang;
    let asks = [old.ask(1), old.ask(1)];
    old.settle().await;
    let new = hand_over(&old, vec![(1, version())]).await;
    for ask in asks {
        assert_eq!(ask.await.expect("it does not panic").unwrap_err(), SlotRefused::Draining);
    }
    (&mut old.keeper).await.expect("it ends when nothing is left to do");
    assert_eq!((new.pool.sandboxes().len(), old.puppets.farm().hatching), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_served_any_more_ends_once_it_is_not_used() {
    let mut old = Fixture::with_config(config());
    old.serve(vec![(1, roomy()), (2, roomy())]);
    let (idle, used) = (old.slot(1).await, old.slot(2).await);
    drop(idle);
    let new = hand_over(&old, vec![(3, roomy())]).await;
    assert_eq!(new.alive(), 1, "the idle one has ended");
    drop(used);
    old.settle().await;
    tell(&mut old, &new);
    new.settle().await;
    assert_eq!(new.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn numbers_go_on_above_those_that_live() {
    let old = Fixture::with(roomy());
    let held = [old.slot(1).await, old.slot(1).await, old.slot(1).await];
    let highest = held.iter().map(Slot::sandbox_id).max();
    let new = hand_over(&old, vec![(1, Version { max: 4, ..roomy() }), (2, roomy())]).await;
    assert!(Some(new.slot(2).await.sandbox_id()) > highest);
}

#[derive(Clone, Debug)]
enum Move {
    Ask,
    Finish(Index),
    Pass { ms: u16 },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => Just(Move::Ask),
        4 => any::<Index>().prop_map(Move::Finish),
        2 => (1..=400_u16).prop_map(|ms| Move::Pass { ms }),
    ];
    vec(one, 0..40)
}

/// Requests of both keepers.
#[derive(Default)]
struct Requests {
    asks: Vec<Ask>,
    slots: Vec<Slot<Puppets>>,
}

impl Requests {
    async fn make(&mut self, at: &Fixture, a_move: Move) {
        match a_move {
            Move::Ask => self.asks.push(at.ask(1)),
            Move::Finish(which) if !self.slots.is_empty() => {
                drop(self.slots.swap_remove(which.index(self.slots.len())));
            }
            Move::Finish(_) => {}
            Move::Pass { ms } => at.pass(u32::from(ms) * std::time::Duration::from_millis(1)).await,
        }
        at.settle().await;
        let (done, asks) = std::mem::take(&mut self.asks).into_iter().partition(Ask::is_finished);
        self.asks = asks;
        let done: Vec<Ask> = done;
        for ask in done {
            self.slots.extend(ask.await.expect("a request does not panic"));
        }
        self.check(at);
    }

    /// No sandbox runs more than it may, and none is told to end under a request.
    fn check(&self, at: &Fixture) {
        let mut held = BTreeMap::<SandboxId, u16>::new();
        for slot in &self.slots {
            assert_eq!(slot.sandbox().told(), [""; 0], "{slot:?}");
            *held.entry(slot.sandbox_id()).or_default() += 1;
        }
        assert!(held.values().all(|held| *held <= roomy().concurrency), "{held:?}");
        assert!(at.alive() <= 2, "{} live", at.alive());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_of_two_keepers_never_share_a_slot_and_end_no_sandbox(
        before in moves(),
        after in moves(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let served = || Version { idle_timeout: 100 * SECOND, ..roomy() };
            let mut old = Fixture::with(served());
            let mut requests = Requests::default();
            for a_move in before {
                requests.make(&old, a_move).await;
            }
            let new = hand_over(&old, vec![(1, served())]).await;
            for a_move in after {
                requests.make(&new, a_move).await;
                tell(&mut old, &new);
            }
            requests.slots.clear();
            old.settle().await;
            tell(&mut old, &new);
            new.pass(10 * SECOND).await;
            requests.make(&new, Move::Pass { ms: 1 }).await;
            requests.slots.clear();
            new.pass(SECOND).await;
            let held = new.pool.sandboxes().iter().map(|one| one.in_flight).sum::<u16>();
            assert_eq!(held, 0, "every slot is back");
            (&mut old.keeper).await.expect("it ends when nothing is left to do");
        });
    }
}
