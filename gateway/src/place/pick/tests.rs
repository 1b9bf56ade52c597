use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::place::order::rank;
use crate::place::{Group, NodeFacts, Seen};
use crate::spread::mix;

/// Nodes, and how they stand.
struct Fleet {
    facts: Vec<NodeFacts>,
    seen: Vec<Seen>,
}

impl Fleet {
    fn of(count: usize) -> Self {
        let node = |n| NodeFacts::new(&format!("node-{n}"), 1, BTreeMap::new());
        Self { facts: (0..count).map(node).collect(), seen: vec![Seen::default(); count] }
    }

    fn using(used: &[u16]) -> Self {
        let mut fleet = Self::of(used.len());
        for (seen, used) in fleet.seen.iter_mut().zip(used) {
            seen.used_permille = Some(*used);
        }
        fleet
    }

    fn board(&self) -> Board {
        let mut board = Board::default();
        let nodes = self.facts.iter().zip(&self.seen);
        board.look(nodes.map(|(facts, seen)| Some((facts, *seen))));
        board
    }

    fn place(&self, version: u64, now: Instant) -> Place {
        let key = mix(version + 1);
        Place::new(key, rank(key, self.facts.iter().enumerate(), Group::BASE), now)
    }
}

/// A gateway's draws.
fn draws(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(state)
    }
}

fn asked(place: &mut Place, board: &Board, now: Instant) -> (usize, Because) {
    let pick = place.pick(board, now, &[], draws(7)).expect("there are nodes");
    (pick.node, pick.because)
}

#[test]
fn a_version_stays_with_its_node_for_as_long_as_that_has_room() {
    let (mut fleet, now) = (Fleet::of(10), Instant::now());
    let mut place = fleet.place(1, now);
    let (home, because) = asked(&mut place, &fleet.board(), now);
    assert_eq!(because, Because::Order);
    fleet.seen[home].used_permille = Some(490);
    for seconds in [1, 100, 10_000] {
        let later = now + Duration::from_secs(seconds);
        assert_eq!(asked(&mut place, &fleet.board(), later), (home, Because::Last));
    }
}

#[test]
fn a_crowded_node_keeps_what_it_has_served_of_late_and_gets_nothing_new() {
    let (mut fleet, now) = (Fleet::of(10), Instant::now());
    let (mut warm, mut cold) = (fleet.place(1, now), fleet.place(1, now));
    let (home, _) = asked(&mut warm, &fleet.board(), now);
    fleet.seen[home].used_permille = Some(900);
    let board = fleet.board();
    assert_eq!(asked(&mut warm, &board, now + WARM / 2), (home, Because::Last));
    assert_eq!(asked(&mut cold, &board, now), (cold.order()[1], Because::Order));
    let (next, _) = asked(&mut warm, &board, now + WARM * 2);
    assert_eq!(next, warm.order()[1]);
}

#[test]
fn who_leaves_or_has_failed_is_not_asked_while_others_are_there() {
    let (mut fleet, now) = (Fleet::of(4), Instant::now());
    let mut place = fleet.place(1, now);
    let order = place.order().to_vec();
    asked(&mut place, &fleet.board(), now);
    fleet.seen[order[0]].is_leaving = true;
    fleet.seen[order[1]].failures = 1;
    assert_eq!(asked(&mut place, &fleet.board(), now).0, order[2]);
    for seen in &mut fleet.seen {
        seen.is_leaving = true;
    }
    assert_eq!(asked(&mut place, &fleet.board(), now), (order[0], Because::Trial));
}

#[test]
fn a_refused_version_goes_to_its_next_node_and_home_again_later() {
    let (fleet, now) = (Fleet::of(5), Instant::now());
    let (mut place, board) = (fleet.place(1, now), fleet.board());
    let order = place.order().to_vec();
    assert_eq!(asked(&mut place, &board, now).0, order[0]);
    place.refused(order[0], now);
    let again = place.pick(&board, now, &[order[0]], draws(1)).expect("there are others");
    assert_eq!(again.node, order[1]);
    assert_eq!(asked(&mut place, &board, now + REFUSED / 2), (order[1], Because::Last));
    assert_eq!(asked(&mut place, &board, now + REFUSED), (order[0], Because::Order));
}

#[test]
fn a_version_that_had_to_leave_a_full_node_stays_away_for_a_while() {
    let (mut fleet, now) = (Fleet::of(5), Instant::now());
    let mut place = fleet.place(1, now);
    let order = place.order().to_vec();
    fleet.seen[order[0]].used_permille = Some(900);
    assert_eq!(asked(&mut place, &fleet.board(), now).0, order[1]);
    fleet.seen[order[0]].used_permille = Some(100);
    assert_eq!(asked(&mut place, &fleet.board(), now + AWAY / 2), (order[1], Because::Last));
    assert_eq!(asked(&mut place, &fleet.board(), now + AWAY), (order[0], Because::Order));
}

#[test]
fn a_version_that_all_have_refused_waits_and_others_do_not() {
    let (fleet, now) = (Fleet::of(3), Instant::now());
    let (mut place, board) = (fleet.place(1, now), fleet.board());
    for node in 0..3 {
        assert!(place.pick(&board, now, &[], draws(1)).is_some_and(|pick| pick.is_choosy));
        place.refused(node, now);
    }
    let pick = place.pick(&board, now, &[], draws(1)).expect("there are nodes");
    assert_eq!((pick.because, pick.is_choosy), (Because::Waits, false));
    assert_eq!(asked(&mut fleet.place(2, now), &board, now).1, Because::Order);
}

#[test]
fn an_only_node_is_never_asked_to_refuse() {
    let (fleet, now) = (Fleet::of(1), Instant::now());
    let mut place = fleet.place(1, now);
    for _ in 0..2 {
        let pick = place.pick(&fleet.board(), now, &[], draws(1)).expect("there is one");
        assert!(!pick.is_choosy);
    }
    assert_eq!(place.pick(&fleet.board(), now, &[0], draws(1)), None);
}

#[test]
fn the_last_one_that_is_left_may_let_the_request_wait() {
    let (fleet, now) = (Fleet::of(3), Instant::now());
    let (mut place, board, mut tried) = (fleet.place(1, now), fleet.board(), Vec::new());
    let mut choosy = Vec::new();
    while let Some(pick) = place.pick(&board, now, &tried, draws(1)) {
        tried.push(pick.node);
        choosy.push(pick.is_choosy);
    }
    assert_eq!((choosy, tried.len()), (vec![true, true, false], 3));
}

#[test]
fn a_node_that_comes_back_gets_a_part_of_its_versions_first() {
    let (mut fleet, now) = (Fleet::of(4), Instant::now());
    let home = |fleet: &Fleet| -> usize {
        let board = fleet.board();
        (0..2000).filter(|v| asked(&mut fleet.place(*v, now), &board, now).0 == 2).count()
    };
    let all = home(&fleet);
    fleet.seen[2].ramp_permille = 250;
    let part = home(&fleet);
    assert!((all / 5..all / 3).contains(&part), "{part} of {all}");
}

#[test]
fn among_so_many_that_an_order_does_not_list_all_the_emptier_of_two_is_taken() {
    let (mut fleet, now) = (Fleet::of(100), Instant::now());
    let mut place = fleet.place(1, now);
    for node in place.order() {
        fleet.seen[*node].used_permille = Some(1000);
    }
    let board = fleet.board();
    let (node, because) = asked(&mut place, &board, now);
    assert_eq!(because, Because::Drawn);
    assert!(!place.order()[1..].contains(&node));
    assert_eq!(board.standing(node), Standing::Free);
}

proptest! {
    #[test]
    fn gateways_that_share_nothing_send_a_cold_version_to_the_same_node(
        used in prop::collection::vec(0..1000_u16, 1..40),
        version in 0..1_000_000_u64,
        seeds in any::<[u64; 2]>(),
    ) {
        let (fleet, now) = (Fleet::using(&used), Instant::now());
        let board = fleet.board();
        let picks = seeds.map(|seed| {
            fleet.place(version, now).pick(&board, now, &[], draws(seed)).expect("there are nodes")
        });
        // Only where none of the listed ones has room do they draw.
        prop_assert!(picks[0].node == picks[1].node || picks[0].because == Because::Drawn);
    }

    #[test]
    fn nobody_above_the_bound_gets_a_new_version_while_another_has_room(
        used in prop::collection::vec(0..1000_u16, 1..40),
        version in 0..1_000_000_u64,
    ) {
        let (fleet, now) = (Fleet::using(&used), Instant::now());
        let board = fleet.board();
        let (node, _) = asked(&mut fleet.place(version, now), &board, now);
        prop_assert!(board.standing(node) == Standing::Free || board.free().is_empty());
    }

    #[test]
    fn nobody_is_asked_twice_and_everybody_once(
        used in prop::collection::vec(0..1000_u16, 1..20),
        out in prop::collection::vec(any::<bool>(), 20),
        version in 0..1_000_000_u64,
        seed in any::<u64>(),
    ) {
        let (mut fleet, now) = (Fleet::using(&used), Instant::now());
        for (seen, out) in fleet.seen.iter_mut().zip(out) {
            seen.is_leaving = out;
        }
        let (mut place, board) = (fleet.place(version, now), fleet.board());
        let (mut tried, mut draw) = (Vec::new(), draws(seed));
        while let Some(pick) = place.pick(&board, now, &tried, &mut draw) {
            tried.push(pick.node);
        }
        let distinct: BTreeSet<_> = tried.iter().collect();
        prop_assert_eq!(distinct.len(), tried.len());
        let expected = used.len().min(crate::place::order::LISTED);
        prop_assert!(tried.len() >= board.present().max(expected));
    }
}

/// Six nodes: 0 and 1 are there for the lane blue, 2 for green, the others for nobody in particular.
fn with_lanes() -> Fleet {
    let mut fleet = Fleet::of(6);
    for (n, lane) in [(0, "blue"), (1, "blue"), (2, "green")] {
        let labels = BTreeMap::from([("lane".to_owned(), lane.to_owned())]);
        fleet.facts[n] = NodeFacts::new(&format!("node-{n}"), 1, labels);
    }
    fleet
}

fn place_of(fleet: &Fleet, version: u64, group: Group, now: Instant) -> Place {
    let key = mix(version + 1);
    let order = rank(key, fleet.facts.iter().enumerate(), group);
    Place::new(key, order, now).within(Some(Tiers::new(group, fleet.facts.iter())))
}

#[test]
fn requests_of_a_lane_stay_on_its_nodes_however_full_and_others_stay_off_them() {
    let (mut fleet, now) = (with_lanes(), Instant::now());
    fleet.seen[0].used_permille = Some(990);
    fleet.seen[1].used_permille = Some(990);
    let board = fleet.board();
    for version in 0..50 {
        let (blue, _) =
            asked(&mut place_of(&fleet, version, Group::lane("blue"), now), &board, now);
        assert!(blue <= 1, "{blue}");
        let (base, _) = asked(&mut place_of(&fleet, version, Group::BASE, now), &board, now);
        assert!(base >= 3, "{base}");
        let (red, _) = asked(&mut place_of(&fleet, version, Group::lane("red"), now), &board, now);
        assert!(red >= 3, "nobody is there for it: {red}");
    }
    let mut place = place_of(&fleet, 1, Group::lane("blue"), now);
    let tried: Vec<_> = std::iter::successors(Some(vec![]), |tried: &Vec<usize>| {
        let pick = place.pick(&board, now, tried, draws(7))?;
        Some([&tried[..], &[pick.node]].concat())
    })
    .last()
    .expect("the first is there");
    assert_eq!(tried.len(), 2, "and then it is refused: {tried:?}");
}

#[test]
fn where_nobody_of_the_lane_is_up_those_of_none_serve_it_until_one_comes_back() {
    let (mut fleet, now) = (with_lanes(), Instant::now());
    let mut place = place_of(&fleet, 1, Group::lane("blue"), now);
    let mut board = Board::default();
    let mut ask = |fleet: &Fleet| {
        let nodes = fleet.facts.iter().zip(&fleet.seen);
        board.look(nodes.map(|(facts, seen)| Some((facts, *seen))));
        asked(&mut place, &board, now)
    };
    for n in [0, 1] {
        fleet.seen[n].is_leaving = true;
    }
    let (node, because) = ask(&fleet);
    assert!(node >= 3 && because == Because::Order, "{node} {because:?}");
    for n in [3, 4, 5] {
        fleet.seen[n].is_leaving = true;
    }
    assert_eq!(ask(&fleet).0, 2, "anybody rather than nobody");
    fleet.seen = vec![Seen::default(); 6];
    let (node, _) = ask(&fleet);
    assert!(node <= 1, "at the next look: {node}");
}

#[test]
fn the_last_of_a_lane_lets_requests_wait() {
    let (mut fleet, now) = (with_lanes(), Instant::now());
    fleet.seen[1].is_leaving = true;
    let mut place = place_of(&fleet, 1, Group::lane("blue"), now);
    let pick = place.pick(&fleet.board(), now, &[], draws(1)).expect("one is there");
    assert_eq!((pick.node, pick.is_choosy), (0, false));
}
