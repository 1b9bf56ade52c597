//! Any sequence of moves by clients, sandboxes, operators and time, and what must hold after each of them.
//!
//! Moves follow each other without giving the keeper a turn, until one says so: that is how it comes to decide on what is no
//! longer true. What two threads can do to each other within a move is `tests/pool_loom.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use hatchway_proto::catalog::{Clocks, Version};
use hatchway_proto::name::{SandboxId, VersionId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::kit::{Ask, Fixture, MIB, MS, Puppets, SECOND, Script, Start, config, id, version};
use crate::pool::{Budget, Exit, Slot, VersionPool};

const MAX: u32 = 3;
const MAX_HATCHING: usize = 3;
/// Room on the node, in sandboxes: fewer than the versions together may have.
const ROOM: usize = 6;

#[derive(Clone, Debug)]
enum Move {
    Ask { version: u8 },
    HangUp(Index),
    Finish(Index),
    StartEnds { which: Index, is_ready: bool },
    Die(Index),
    Pass { ms: u16 },
    Serve([bool; 3]),
    Settle,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        8 => (1..=3_u8).prop_map(|version| Move::Ask { version }),
        3 => any::<Index>().prop_map(Move::HangUp),
        5 => any::<Index>().prop_map(Move::Finish),
        4 => (any::<Index>(), prop::bool::weighted(0.8))
            .prop_map(|(which, is_ready)| Move::StartEnds { which, is_ready }),
        1 => any::<Index>().prop_map(Move::Die),
        2 => (1..=400_u16).prop_map(|ms| Move::Pass { ms }),
        1 => any::<[bool; 3]>().prop_map(Move::Serve),
        6 => Just(Move::Settle),
    ];
    vec(one, 1..100)
}

/// Number 1 takes one request at a time, number 2 two, and number 3 three and keeps one sandbox.
fn spec(n: u8) -> Version {
    Version {
        concurrency: n.into(),
        min: u32::from(n == 3),
        max: MAX,
        idle_timeout: 200 * MS,
        clocks: Clocks { queue: 500 * MS, start: SECOND, ..version().clocks },
        ..version()
    }
}

struct World {
    fixture: Fixture,
    is_served: [bool; 3],
    /// Every stay of every version.
    known: Vec<Arc<VersionPool<Puppets>>>,
    asks: Vec<Ask>,
    slots: Vec<Slot<Puppets>>,
    /// Stays that had a start fail or a sandbox die, and may be backing off.
    troubled: Vec<Arc<Version>>,
}

impl World {
    fn new(is_stubborn: bool) -> Self {
        let mut config = config();
        config.max_hatching = MAX_HATCHING.try_into().unwrap();
        // A puppet uses a quarter of its limit, so that with this headroom all of the limit is charged.
        config.memory_headroom_percent = 300;
        config.terminate_grace = 50 * MS;
        config.budget = Budget { memory_bytes: ROOM as u64 * 128 * MIB, ..config.budget };
        let fixture = Fixture::with_config(config);
        fixture.puppets.farm().script = Script::Told;
        fixture.puppets.farm().is_stubborn = is_stubborn;
        let (asks, slots) = (Vec::new(), Vec::new());
        let (known, troubled) = (Vec::new(), Vec::new());
        let mut world = Self { fixture, is_served: [false; 3], known, asks, slots, troubled };
        world.serve([true; 3]);
        world
    }

    fn serve(&mut self, is_served: [bool; 3]) {
        let served = (1..=3).filter(|n| is_served[usize::from(n - 1)]);
        let versions = served.map(|n| (id(n), Arc::new(spec(n)), 6));
        self.fixture.serve_only(versions.collect());
        for now in self.fixture.pool.versions() {
            if !self.known.iter().any(|old| Arc::ptr_eq(old, &now)) {
                self.known.push(now);
            }
        }
        self.is_served = is_served;
    }

    async fn make(&mut self, a_move: Move) {
        match a_move {
            Move::Ask { version } => {
                if self.is_served[usize::from(version - 1)] {
                    self.asks.push(self.fixture.ask(version));
                }
            }
            Move::HangUp(which) => {
                if !self.asks.is_empty() {
                    self.asks.swap_remove(which.index(self.asks.len())).abort();
                }
            }
            Move::Finish(which) => {
                if !self.slots.is_empty() {
                    drop(self.slots.swap_remove(which.index(self.slots.len())));
                }
            }
            Move::StartEnds { which, is_ready } => {
                self.end_start(|starts| which.index(starts), is_ready)
            }
            Move::Die(which) => {
                let alive = self.fixture.puppets.alive();
                if !alive.is_empty() {
                    let puppet = &alive[which.index(alive.len())];
                    puppet.die(Exit::Code(1));
                    self.troubled.push(Arc::clone(&puppet.version));
                }
            }
            Move::Pass { ms } => {
                self.fixture.pass(u32::from(ms) * MS).await;
                self.collect().await;
                self.check();
                if ms >= 20 {
                    self.nobody_waits_for_room_that_somebody_idle_takes();
                }
            }
            Move::Serve(is_served) => self.serve(is_served),
            Move::Settle => {
                self.fixture.settle().await;
                self.collect().await;
                self.check();
            }
        }
    }

    fn end_start(&mut self, choose: impl FnOnce(usize) -> usize, is_ready: bool) {
        let mut farm = self.fixture.puppets.farm();
        // Closed are those that the pool gave up: some of them for the start clock.
        let (open, given_up) =
            std::mem::take(&mut farm.told).into_iter().partition(|start| !start.end.is_closed());
        farm.told = open;
        let given_up: Vec<Start> = given_up;
        self.troubled.extend(given_up.into_iter().map(|start| start.version));
        if !farm.told.is_empty() {
            let which = choose(farm.told.len());
            let start = farm.told.swap_remove(which);
            start.end.send(is_ready).expect("it was open a moment ago");
            if !is_ready {
                self.troubled.push(start.version);
            }
        }
    }

    /// Takes the answers that have come.
    async fn collect(&mut self) {
        let (done, asks) = std::mem::take(&mut self.asks).into_iter().partition(Ask::is_finished);
        self.asks = asks;
        let done: Vec<Ask> = done;
        for ask in done {
            // A refusal is an answer, too.
            self.slots.extend(ask.await.expect("a request does not panic"));
        }
    }

    fn check(&self) {
        self.slots_are_where_they_should_be();
        for version in &self.known {
            Self::nobody_waits_beside_a_free_slot(version);
            self.nobody_waits_without_a_reason(version);
        }
        self.nothing_exceeds_its_limit();
        let waiting: u32 = self.known.iter().map(|version| version.waiting()).sum();
        assert_eq!(waiting as usize, self.asks.len(), "who has left does not stand in line");
    }

    /// A slot is never lost and never doubled, and no sandbox is told to end while a request holds it.
    fn slots_are_where_they_should_be(&self) {
        let mut held = BTreeMap::<SandboxId, u16>::new();
        for slot in &self.slots {
            assert_eq!(
                slot.sandbox().told(),
                [""; 0],
                "{slot:?} is in a sandbox that was told to end"
            );
            *held.entry(slot.sandbox_id()).or_default() += 1;
        }
        for status in self.fixture.pool.sandboxes() {
            let held = held.get(&status.id).copied().unwrap_or(0);
            assert_eq!(status.in_flight, held, "{status:?}");
            assert!(held <= spec_of(&status.version).concurrency);
        }
    }

    fn nobody_waits_beside_a_free_slot(version: &VersionPool<Puppets>) {
        if version.waiting() > 0 {
            for resident in version.residents().iter() {
                let seen = resident.word.seen();
                assert!(
                    !seen.has_room(version.limit()),
                    "{} wait beside {seen:?}",
                    version.waiting()
                );
            }
        }
    }

    /// As many start as who waits asks for, or something that has a limit is at its limit.
    fn nobody_waits_without_a_reason(&self, version: &VersionPool<Puppets>) {
        let starts = self.starts();
        let starting = self.starting(version);
        let is_covered = version.waiting() as usize <= starting * usize::from(version.limit());
        let is_at_max = starting + version.residents().len() == MAX as usize;
        let is_full = starts + self.fixture.alive() == ROOM || starts == MAX_HATCHING;
        let is_troubled =
            self.troubled.iter().any(|troubled| Arc::ptr_eq(troubled, version.version()))
                || self.given_up(version);
        let waiting = version.waiting();
        let is_reason = is_covered || is_at_max || is_full || is_troubled;
        assert!(is_reason, "{waiting} wait for {starting} starts");
    }

    /// Room is looked for every 10 ms; within 20 it has been found.
    fn nobody_waits_for_room_that_somebody_idle_takes(&self) {
        let is_room_missing = self.starts() + self.fixture.alive() == ROOM;
        let is_in_want = |version: &Arc<VersionPool<Puppets>>| {
            version.waiting() > 0 && version.residents().is_empty() && self.starting(version) == 0
        };
        let statuses = self.fixture.pool.sandboxes();
        let is_coming = statuses.iter().any(|status| matches!(status.phase, "draining" | "ending"));
        if is_room_missing
            && !is_coming
            && self.troubled.is_empty()
            && self.known.iter().any(is_in_want)
        {
            for version in &self.known {
                let residents = version.residents();
                let idle =
                    residents.iter().filter(|resident| resident.word.seen().is_idle()).count();
                let min = version.version().min as usize;
                assert!(idle <= min, "{idle} idle, {min} to be kept");
            }
        }
    }

    fn nothing_exceeds_its_limit(&self) {
        let (starts, alive) = (self.starts(), self.fixture.alive());
        assert!(starts + alive <= ROOM, "{starts} starting, {alive} alive");
        assert!(self.fixture.puppets.farm().most_hatching <= MAX_HATCHING);
        for version in &self.known {
            let (starting, open) = (self.starting(version), version.residents().len());
            assert!(starting + open <= MAX as usize, "{starting} starting, {open} open");
        }
    }

    /// Starts under way.
    fn starts(&self) -> usize {
        self.fixture.puppets.farm().told.iter().filter(|start| !start.end.is_closed()).count()
    }

    fn starting(&self, version: &VersionPool<Puppets>) -> usize {
        let is_ours = |start: &&Start| Arc::ptr_eq(&start.version, version.version());
        let farm = self.fixture.puppets.farm();
        farm.told.iter().filter(is_ours).filter(|start| !start.end.is_closed()).count()
    }

    fn given_up(&self, version: &VersionPool<Puppets>) -> bool {
        let is_ours = |start: &&Start| Arc::ptr_eq(&start.version, version.version());
        let farm = self.fixture.puppets.farm();
        farm.told.iter().filter(is_ours).any(|start| start.end.is_closed())
    }

    /// Everybody goes home: starts succeed, requests finish, time passes.
    async fn wind_down(mut self) {
        for _ in 0..200 {
            while !self.fixture.puppets.farm().told.is_empty() {
                self.end_start(|_| 0, true);
            }
            self.fixture.pass(500 * MS).await;
            self.collect().await;
            self.check();
            self.slots.clear();
        }
        assert_eq!(self.asks.len(), 0, "somebody waits for ever");
        let left = self.fixture.pool.sandboxes();
        let kept = if self.is_served[2] { vec![("idle", 0)] } else { vec![] };
        let as_kept: Vec<_> = left.iter().map(|status| (status.phase, status.in_flight)).collect();
        assert_eq!(as_kept, kept, "{left:?}");

        self.fixture.pool.drain();
        (&mut self.fixture.keeper).await.expect("the keeper does not panic");
        assert_eq!(self.fixture.alive(), 0);
        assert_eq!(self.fixture.puppets.farm().hatching, 0);
    }
}

fn spec_of(which: &VersionId) -> Version {
    let n = (1..=3).find(|n| id(*n) == *which).expect("one of three");
    spec(n)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_slot_is_lost_and_nobody_waits_in_vain(moves in moves(), is_stubborn in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new(is_stubborn);
            for a_move in moves {
                world.make(a_move).await;
            }
            world.wind_down().await;
        });
    }
}
