//! In which order a version asks nodes. The same at every gateway, for as long as the nodes are the same.

use std::collections::HashMap;

use super::{Group, NodeFacts};

/// Nodes of an order. When all of these are full, two of all the others are drawn: to keep an order of a thousand
/// for each of ten thousand versions would take more memory than the rules.
pub const LISTED: usize = 16;

/// The first nodes for a version, best first: those of its group by their scores, then those of none, then the others. Of equal
/// rank, the second choice stands in another zone than the first, the third in a third one, as far as there are zones. A node
/// that leaves moves only the versions that it was the first choice of.
pub fn rank<'n>(
    version: u64,
    nodes: impl IntoIterator<Item = (usize, &'n NodeFacts)>,
    group: Group,
) -> Box<[usize]> {
    rank_of(LISTED, version, nodes, group)
}

/// The same, of the first `listed`.
pub fn rank_of<'n>(
    listed: usize,
    version: u64,
    nodes: impl IntoIterator<Item = (usize, &'n NodeFacts)>,
    group: Group,
) -> Box<[usize]> {
    let mut scored: Vec<_> = nodes
        .into_iter()
        .map(|(index, node)| {
            let tier = group.tier(node);
            (tier, node.score(version), index, node)
        })
        .collect();
    let better = |a: &(u8, f64, usize, &NodeFacts), b: &(u8, f64, usize, &NodeFacts)| {
        a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then_with(|| a.3.name.cmp(&b.3.name))
    };
    if scored.len() > listed {
        scored.select_nth_unstable_by(listed, better);
        scored.truncate(listed);
    }
    scored.sort_unstable_by(better);
    let mut of_zone: HashMap<_, usize> = HashMap::new();
    let mut rounds: Vec<_> = scored
        .into_iter()
        .map(|(tier, _, index, node)| {
            let round = of_zone.entry((tier, node.zone())).or_default();
            *round += 1;
            ((tier, *round), index)
        })
        .collect();
    // Stable: within a round it stays as the scores have it.
    rounds.sort_by_key(|(round, _)| *round);
    rounds.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::spread::mix;

    fn labels(pairs: &[(&str, String)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    fn nodes(count: usize, zones: usize) -> Vec<NodeFacts> {
        let zone = |n| format!("zone-{}", n % zones.max(1));
        let labels = |n| if zones > 0 { labels(&[("zone", zone(n))]) } else { BTreeMap::new() };
        (0..count).map(|n| NodeFacts::new(&format!("node-{n}"), 1, labels(n))).collect()
    }

    fn order(version: u64, nodes: &[NodeFacts]) -> Box<[usize]> {
        rank(mix(version), nodes.iter().enumerate(), Group::BASE)
    }

    proptest! {
        #[test]
        fn a_node_that_leaves_moves_only_its_own_versions(
            count in 2..60_usize,
            zones in 0..4_usize,
            leaves in any::<prop::sample::Index>(),
        ) {
            let all = nodes(count, zones);
            let leaves = leaves.index(count);
            for version in 0..100 {
                let before = order(version, &all)[0];
                let others = all.iter().enumerate().filter(|(n, _)| *n != leaves);
                let after = rank(mix(version), others, Group::BASE)[0];
                prop_assert!(before == leaves || before == after);
            }
        }

        #[test]
        fn every_gateway_has_the_same_order_however_it_numbers_the_nodes(
            numbers in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle(),
            version in any::<u64>(),
        ) {
            let all = nodes(40, 3);
            let here = order(version, &all);
            let mixed: Vec<_> = numbers.iter().map(|n| all[*n].clone()).collect();
            let there: Vec<_> = order(version, &mixed).iter().map(|n| numbers[*n]).collect();
            prop_assert_eq!(&here[..], &there[..]);
        }
    }

    #[test]
    fn a_node_is_first_as_often_as_its_capacity_says() {
        let all: Vec<_> =
            (1..=4).map(|n| NodeFacts::new(&format!("n{n}"), n, BTreeMap::new())).collect();
        let mut counts = [0; 4];
        (0..10_000).for_each(|version| counts[order(version, &all)[0]] += 1);
        for (count, expected) in counts.into_iter().zip([1000, 2000, 3000, 4000]) {
            assert!((expected - 200..expected + 200).contains(&count), "{counts:?}");
        }
    }

    #[test]
    fn the_first_choices_stand_in_different_zones() {
        let all = nodes(30, 3);
        for version in 0..100 {
            let order = order(version, &all);
            let zones: std::collections::BTreeSet<_> =
                order[..3].iter().map(|n| all[*n].zone()).collect();
            assert_eq!((zones.len(), order.len()), (3, LISTED));
        }
    }

    #[test]
    fn nodes_of_the_lane_come_first_then_those_of_none() {
        let mut all = nodes(12, 3);
        for (n, lane) in [(4, "blue"), (7, "blue"), (9, "green")] {
            let labels = labels(&[("lane", lane.into())]);
            all[n] = NodeFacts::new(&format!("node-{n}"), 1, labels);
        }
        for version in 0..50 {
            let order = |group| rank(mix(version), all.iter().enumerate(), group);
            let (blue, base) = (order(Group::lane("blue")), order(Group::BASE));
            let mut first = [blue[0], blue[1]];
            first.sort_unstable();
            assert_eq!((first, blue[11], blue.len()), ([4, 7], 9, 12));
            assert!(base[..9].iter().all(|n| ![4, 7, 9].contains(n)), "{base:?}");
            let red = order(Group::lane("red"));
            assert_eq!(red[..9], base[..9], "nobody is there for it");
        }
    }
}
