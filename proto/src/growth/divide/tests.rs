//! Plans for a handful of nodes, and a fleet that hears of them late.

use proptest::prelude::*;

use super::*;
use crate::growth::Because;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn version(n: usize) -> VersionId {
    VersionId::parse(&format!("{n:016x}")).expect("it is an id")
}

fn wanted(n: usize, count: u32, per_node: u32, order: &[&'static str]) -> Wanted<'static> {
    let wish = Wish { count, because: Because::InFlight };
    Wanted { version: version(n), wish, per_node, order: order.to_vec() }
}

/// Nodes with room for so many, that have so many of version 0, and have heard of everything.
fn nodes(all: &[(&'static str, u32, u32)]) -> BTreeMap<&'static str, NodeReport> {
    let report = |(name, alive, room): &(&'static str, u32, u32)| {
        let holds = Holds { alive: *alive, room: *room, ..Holds::default() };
        let empty = Holds { alive: 0, ..holds };
        let versions = BTreeMap::from([(version(0), holds), (version(1), empty)]);
        (*name, NodeReport { heard: 100, versions })
    };
    all.iter().map(report).collect()
}

fn keeps(plan: &Plan, n: usize) -> Vec<(&str, u32)> {
    let nodes = plan.versions[&version(n)].nodes.iter();
    nodes.map(|(name, share)| (name.as_str(), share.keep)).filter(|(_, keep)| *keep > 0).collect()
}

fn mosts(plan: &Plan, n: usize) -> Vec<(&str, u32)> {
    let nodes = plan.versions[&version(n)].nodes.iter();
    nodes.map(|(name, share)| (name.as_str(), share.most.unwrap_or(99))).collect()
}

#[test]
fn what_is_kept_is_spread_over_the_first_nodes_that_have_room() {
    let three = nodes(&[("a", 0, 9), ("b", 0, 9), ("c", 0, 9)]);
    let plan = |count, nodes: &_| divide(&[wanted(0, count, 9, &NAMES[..3])], None, None, nodes);
    assert_eq!(keeps(&plan(4, &three), 0), [("a", 2), ("b", 1), ("c", 1)]);
    assert_eq!(keeps(&plan(1, &three), 0), [("a", 1)]);
    assert!(keeps(&plan(0, &three), 0).is_empty());
    let full = nodes(&[("a", 1, 0), ("b", 0, 9), ("c", 0, 1)]);
    assert_eq!(keeps(&plan(5, &full), 0), [("a", 1), ("b", 3), ("c", 1)]);
    let silent = BTreeMap::from([("a", NodeReport::default())]);
    assert!(keeps(&plan(5, &silent), 0).is_empty(), "it has not said what it has room for");
}

#[test]
fn a_node_may_have_no_more_than_it_says_and_all_no_more_than_the_limit() {
    let three = nodes(&[("a", 0, 9), ("b", 0, 9), ("c", 0, 9)]);
    let plan = divide(&[wanted(0, 1, 2, &NAMES[..3])], Some(5), None, &three);
    assert_eq!(mosts(&plan, 0), [("a", 2), ("b", 2), ("c", 1)]);
    assert_eq!(plan.share(&version(0), "d").and_then(|share| share.most), Some(0));
    assert_eq!(plan.share(&version(7), "a"), None, "the plan does not know of it");
    let plan = divide(&[wanted(0, 3, 9, &NAMES[..3])], Some(2), None, &three);
    assert_eq!(
        (keeps(&plan, 0), mosts(&plan, 0).iter().map(|(_, n)| n).sum::<u32>()),
        (vec![("a", 1), ("b", 1)], 2)
    );
}

#[test]
fn a_second_version_gets_one_at_least_while_there_may_be_two() {
    let one = nodes(&[("a", 2, 9)]);
    let both = [wanted(0, 9, 9, &NAMES[..1]), wanted(1, 3, 9, &NAMES[..1])];
    let plan = divide(&both, Some(3), None, &one);
    assert_eq!((keeps(&plan, 0), keeps(&plan, 1)), (vec![("a", 2)], vec![("a", 1)]));
    let quiet = [wanted(0, 0, 9, &NAMES[..1]), wanted(1, 0, 9, &NAMES[..1])];
    let plan = divide(&quiet, Some(3), None, &one);
    assert_eq!((mosts(&plan, 0), mosts(&plan, 1)), (vec![("a", 2)], vec![("a", 1)]));
}

#[test]
fn what_one_gives_up_is_given_to_another_once_it_is_heard_and_gone() {
    let only_a = divide(&[wanted(0, 2, 9, &["a"])], Some(2), None, &nodes(&[("a", 2, 9)]));
    assert_eq!(mosts(&only_a, 0), [("a", 2)]);
    // Now it is to be on b.
    let moved = [wanted(0, 2, 9, &["b"])];
    let fleet = |heard, alive| {
        let mut fleet = nodes(&[("a", alive, 9), ("b", 0, 9)]);
        fleet.get_mut("a").expect("it is there").heard = heard;
        fleet
    };
    let before = |plan, revision| Some(Before { plan, revision });
    let step = divide(&moved, Some(2), before(&only_a, 10), &fleet(10, 2));
    assert_eq!((mosts(&step, 0), keeps(&step, 0)), (vec![("a", 0)], vec![]));
    // Written at 11: a has not heard of it, and may have two.
    let step = divide(&moved, Some(2), before(&step, 11), &fleet(10, 0));
    assert_eq!(mosts(&step, 0), [("a", 0)]);
    // It has, and one is still finishing.
    let step = divide(&moved, Some(2), before(&step, 11), &fleet(11, 1));
    assert_eq!((mosts(&step, 0), keeps(&step, 0)), (vec![("a", 0), ("b", 1)], vec![("b", 1)]));
    let step = divide(&moved, Some(2), before(&step, 12), &fleet(12, 0));
    assert_eq!(mosts(&step, 0), [("b", 2)]);
}

#[test]
fn what_a_node_had_that_is_gone_is_given_to_the_others_at_once() {
    let all = [wanted(0, 4, 9, &NAMES[..2])];
    let two = nodes(&[("a", 2, 9), ("b", 2, 9)]);
    let before = divide(&all, Some(4), None, &two);
    assert_eq!(mosts(&before, 0), [("a", 2), ("b", 2)]);
    let rest = nodes(&[("b", 2, 9)]);
    let after = divide(
        &[wanted(0, 4, 9, &["b"])],
        Some(4),
        Some(Before { plan: &before, revision: 7 }),
        &rest,
    );
    assert_eq!((mosts(&after, 0), keeps(&after, 0)), (vec![("b", 4)], vec![("b", 4)]));
}

/// A node that hears late, starts what it may, and ends what it should in its own time.
#[derive(Clone, Debug, Default)]
struct Slow {
    heard: usize,
    alive: [u32; 2],
    said: NodeReport,
}

#[derive(Clone, Debug)]
enum Step {
    /// The leader looks, with these wishes and nodes that are full.
    Plan([u32; 2], u8),
    /// A node hears of so many more plans.
    Hear(usize, usize),
    /// It starts what it may.
    Start(usize),
    /// One ends that is too many.
    End(usize),
    /// It says what it has.
    Say(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (prop::array::uniform2(0..8_u32), any::<u8>())
            .prop_map(|(wish, full)| Step::Plan(wish, full)),
        (0..5_usize, 1..3_usize).prop_map(|(node, plans)| Step::Hear(node, plans)),
        (0..5_usize).prop_map(Step::Start),
        (0..5_usize).prop_map(Step::End),
        (0..5_usize).prop_map(Step::Say),
    ]
}

proptest! {
    #[test]
    fn there_are_never_more_than_the_limit_whoever_hears_when(
        max in 1..10_u32,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let room = |slow: &Slow, heard: usize, full: bool| {
            let holds = |alive: u32| Holds { alive, room: if full { 0 } else { 4 }, ..Holds::default() };
            let versions = (0..2).map(|n| (version(n), holds(slow.alive[n]))).collect();
            NodeReport { heard: i64::try_from(heard).expect("few"), versions }
        };
        // The first plan is known to all before anything starts.
        let mut fleet = vec![Slow::default(); 5];
        for slow in &mut fleet {
            slow.said = room(slow, 0, false);
        }
        let first = Plan { max: Some(max), versions: (0..2).map(|n| (version(n), Placed::default())).collect() };
        let mut plans = vec![first];
        for step in steps {
            match step {
                Step::Plan(wishes, full) => {
                    let is_full = |n: usize| full >> n & 1 == 1;
                    let mut order: Vec<_> = NAMES.to_vec();
                    order.rotate_left(usize::from(full) % 5);
                    let all = [wanted(0, wishes[0], 4, &order), wanted(1, wishes[1], 4, &order)];
                    let mut nodes = BTreeMap::new();
                    for (n, slow) in fleet.iter().enumerate() {
                        let mut said = slow.said.clone();
                        for holds in said.versions.values_mut() {
                            holds.room = if is_full(n) { 0 } else { 4 };
                        }
                        nodes.insert(NAMES[n], said);
                    }
                    let revision = i64::try_from(plans.len() - 1).expect("few");
                    let before = Before { plan: &plans[plans.len() - 1], revision };
                    let plan = divide(&all, Some(max), Some(before), &nodes);
                    plans.push(plan);
                }
                Step::Hear(n, more) => fleet[n].heard = (fleet[n].heard + more).min(plans.len() - 1),
                Step::Start(n) => {
                    let plan = &plans[fleet[n].heard];
                    for v in 0..2 {
                        let most = plan.share(&version(v), NAMES[n]).and_then(|share| share.most);
                        let most = most.expect("there is a limit");
                        fleet[n].alive[v] = fleet[n].alive[v].max(most.min(4));
                    }
                }
                Step::End(n) => {
                    let plan = &plans[fleet[n].heard];
                    for v in 0..2 {
                        let most = plan.share(&version(v), NAMES[n]).and_then(|share| share.most);
                        if fleet[n].alive[v] > most.unwrap_or_default() {
                            fleet[n].alive[v] -= 1;
                        }
                    }
                }
                Step::Say(n) => fleet[n].said = room(&fleet[n], fleet[n].heard, false),
            }
            let alive: u32 = fleet.iter().flat_map(|slow| slow.alive).sum();
            prop_assert!(alive <= max, "{} of {}", alive, max);
        }
        // Once all have heard of everything, what is wished for is what there may be.
        let all = [wanted(0, 8, 4, &NAMES), wanted(1, 8, 4, &NAMES)];
        for _ in 0..60 {
            let nodes: BTreeMap<_, _> =
                NAMES.iter().zip(&fleet).map(|(name, slow)| (*name, slow.said.clone())).collect();
            let revision = i64::try_from(plans.len() - 1).expect("few");
            let before = Before { plan: &plans[plans.len() - 1], revision };
            let plan = divide(&all, Some(max), Some(before), &nodes);
            plans.push(plan);
            for (n, slow) in fleet.iter_mut().enumerate() {
                slow.heard = plans.len() - 1;
                for v in 0..2 {
                    let share = plans[slow.heard].share(&version(v), NAMES[n]);
                    slow.alive[v] = share.and_then(|share| share.most).unwrap_or_default();
                }
                slow.said = room(slow, slow.heard, false);
            }
        }
        let kept: u32 = (0..2).flat_map(|v| keeps(&plans[plans.len() - 1], v)).map(|(_, keep)| keep).sum();
        prop_assert_eq!(kept, max);
        let alive: u32 = fleet.iter().flat_map(|slow| slow.alive).sum();
        prop_assert_eq!(alive, max);
    }
}
