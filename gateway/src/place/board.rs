//! How all nodes stand at a moment: worked out many times a second, read by every request.

use super::NodeFacts;

/// Below this share of what it may use, in thousandths, a node is never too full for a function that is new there, however empty the
/// others are: functions that stay together cost less than a perfect balance gains.
const EASY: u16 = 500;

/// How far above the mean a node may be, in percent (bounded loads: Mirrokni, Thorup and Zadimoghaddam 2018). Where all are full, nobody is
/// too full: each ends the idlest of what it has, and functions that wander would only be cold everywhere.
const BOUND_PERCENT: u64 = 125;

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has room.
    Free,
    /// It serves what it has, and is asked for more when no other has room.
    Crowded,
    /// It is asked when nobody else is there: it leaves, or it has failed.
    Out,
}

/// What is known of a node at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// How full it said last that it was, in thousandths; none while it has said nothing.
    pub used_permille: Option<u16>,
    /// It takes nothing new, by its own word.
    pub is_leaving: bool,
    /// How often in a row it has failed, while nobody has reached it since.
    pub failures: u32,
    /// How far it is on its way back, in thousandths: below 1,000 it takes only a part of the versions that it is the first choice
    /// of.
    pub ramp_permille: u16,
}

impl Default for Seen {
    /// A node that nothing is known of: it may have room.
    fn default() -> Self {
        Self { used_permille: None, is_leaving: false, failures: 0, ramp_permille: 1000 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    standing: Standing,
    used: u16,
    ramp: u16,
    key: u64,
}

/// All nodes, by the numbers that a gateway gives them.
#[derive(Clone, Debug, Default)]
pub struct Board {
    rows: Vec<Row>,
    /// Those that have room.
    free: Vec<usize>,
    /// Those that are not out.
    present: usize,
    looks: u64,
}

impl Board {
    /// Looks at all nodes. A place that has none (any more) is out for good.
    pub fn look<'n>(&mut self, nodes: impl Iterator<Item = Option<(&'n NodeFacts, Seen)>>) {
        self.looks += 1;
        self.rows.clear();
        self.free.clear();
        let mut all: Vec<(Option<Seen>, f64)> = Vec::with_capacity(nodes.size_hint().0);
        for node in nodes {
            let key = node.map_or(0, |(facts, _)| facts.key());
            let seen = node.map(|(_, seen)| seen);
            all.push((seen, node.map_or(0.0, |(facts, _)| facts.capacity())));
            let used = seen.and_then(|seen| seen.used_permille).unwrap_or_default();
            let ramp = seen.map_or(0, |seen| seen.ramp_permille);
            self.rows.push(Row { standing: Standing::Out, used, ramp, key });
        }
        let ejected = eject(&all);
        let bound =
            bound(all.iter().filter_map(|(seen, capacity)| Some((seen.as_ref()?, *capacity))));
        for (index, (seen, _)) in all.iter().enumerate() {
            self.rows[index].standing = match seen {
                Some(seen) if seen.is_leaving || ejected(seen) => continue,
                Some(seen) if seen.failures > 0 => Standing::Crowded,
                Some(seen) if seen.used_permille.is_some_and(|used| used > bound) => {
                    Standing::Crowded
                }
                Some(_) => Standing::Free,
                None => continue,
            };
        }
        let with = |standing| move |row: &(usize, &Row)| row.1.standing == standing;
        self.free
            .extend(self.rows.iter().enumerate().filter(with(Standing::Free)).map(|row| row.0));
        self.present = self.rows.iter().filter(|row| row.standing != Standing::Out).count();
    }

    /// How a node stands.
    pub fn standing(&self, node: usize) -> Standing {
        self.rows.get(node).map_or(Standing::Out, |row| row.standing)
    }

    /// Something has happened to a node since the last look: it is asked last until the next one.
    pub fn put_out(&mut self, node: usize) {
        self.looks += 1;
        let Some(row) = self.rows.get_mut(node) else { return };
        if row.standing != Standing::Out {
            self.present -= 1;
        }
        row.standing = Standing::Out;
        self.free.retain(|free| *free != node);
    }

    /// Has room, for a version that is new there.
    pub(super) fn takes(&self, node: usize, version: u64) -> bool {
        self.rows.get(node).is_some_and(|row| {
            row.standing == Standing::Free
                && (row.ramp >= 1000 || NodeFacts::is_ready_for(row.key, version, row.ramp))
        })
    }

    /// How full it is, in thousandths.
    pub fn used_permille(&self, node: usize) -> u16 {
        self.rows.get(node).map_or(0, |row| row.used)
    }

    /// Nodes that have room.
    pub fn free(&self) -> &[usize] {
        &self.free
    }

    /// Nodes that are not out.
    pub fn present(&self) -> usize {
        self.present
    }

    /// Another number whenever anything may have changed.
    pub(super) fn looks(&self) -> u64 {
        self.looks
    }

    /// Places for nodes, empty ones among them.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// No place at all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Says who is left alone for having failed: never more than half of all, those first that have failed most often.
fn eject(all: &[(Option<Seen>, f64)]) -> impl Fn(&Seen) -> bool + use<> {
    let failures = || all.iter().filter_map(|(seen, _)| *seen).map(|seen| seen.failures);
    let half = failures().count() / 2;
    let mut failed: Vec<u32> = failures().filter(|failures| *failures > 0).collect();
    let from = if failed.len() <= half {
        1
    } else if half == 0 {
        u32::MAX
    } else {
        failed.sort_unstable_by(|a, b| b.cmp(a));
        // All that have failed as often as the first one beyond the half stay.
        failed[half].saturating_add(1)
    };
    move |seen| seen.failures >= from
}

/// What a node may use before it is too full for more, in thousandths: somewhat more than the mean.
fn bound<'s>(present: impl Iterator<Item = (&'s Seen, f64)>) -> u16 {
    let (mut used, mut capacity) = (0.0, 0.0);
    for (seen, of) in present.filter(|(seen, _)| !seen.is_leaving && seen.failures == 0) {
        used += f64::from(seen.used_permille.unwrap_or_default()) * of;
        capacity += of;
    }
    if capacity == 0.0 {
        return EASY;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mean of numbers of 16 bits"
    )]
    let mean = (used / capacity) as u64;
    u16::try_from(mean * BOUND_PERCENT / 100).unwrap_or(u16::MAX).max(EASY)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn board(seen: &[Seen]) -> Board {
        let facts: Vec<_> =
            (0..seen.len()).map(|n| NodeFacts::new(&format!("n{n}"), 1, BTreeMap::new())).collect();
        let mut board = Board::default();
        board.look(facts.iter().zip(seen).map(|(facts, seen)| Some((facts, *seen))));
        board
    }

    fn used(permille: u16) -> Seen {
        Seen { used_permille: Some(permille), ..Seen::default() }
    }

    fn failed(failures: u32) -> Seen {
        Seen { failures, ..Seen::default() }
    }

    #[test]
    fn who_is_far_above_the_mean_is_crowded_once_it_is_half_full() {
        use Standing::{Crowded, Free};
        let standings = |all: &[u16]| -> Vec<_> {
            let board = board(&all.iter().map(|of| used(*of)).collect::<Vec<_>>());
            (0..all.len()).map(|node| board.standing(node)).collect()
        };
        assert_eq!(standings(&[450, 0, 0]), [Free, Free, Free]);
        assert_eq!(standings(&[800, 600, 400]), [Crowded, Free, Free]);
        assert_eq!(standings(&[1000, 990, 960]), [Free, Free, Free]);
    }

    #[test]
    fn a_node_that_leaves_is_out() {
        let leaving = Seen { is_leaving: true, ..Seen::default() };
        let board = board(&[leaving, Seen::default()]);
        assert_eq!((board.standing(0), board.standing(1)), (Standing::Out, Standing::Free));
        assert_eq!((board.free(), board.present()), (&[1][..], 1));
        assert_eq!(board.standing(7), Standing::Out, "there is no such node");
    }

    #[test]
    fn those_that_failed_most_often_are_left_alone_and_never_more_than_half() {
        let out = |failures: &[u32]| -> Vec<usize> {
            let board = board(&failures.iter().map(|of| failed(*of)).collect::<Vec<_>>());
            (0..failures.len()).filter(|node| board.standing(*node) == Standing::Out).collect()
        };
        assert_eq!(out(&[1, 0, 0]), [0]);
        assert_eq!(out(&[1]), [0; 0]);
        assert_eq!(out(&[3, 1, 2, 1]), [0, 2]);
        assert_eq!(out(&[1, 1, 1, 1]), [0; 0]);
    }

    #[test]
    fn what_has_just_happened_counts_before_the_next_look() {
        let mut board = board(&[Seen::default(); 3]);
        board.put_out(1);
        board.put_out(1);
        assert_eq!((board.free(), board.present()), (&[0, 2][..], 2));
    }

    proptest! {
        #[test]
        fn at_most_half_are_ejected_and_nobody_who_has_not_failed(
            failures in prop::collection::vec(0..4_u32, 1..20),
        ) {
            let board = board(&failures.iter().map(|of| failed(*of)).collect::<Vec<_>>());
            let out: Vec<_> =
                (0..failures.len()).filter(|n| board.standing(*n) == Standing::Out).collect();
            prop_assert!(out.len() <= failures.len() / 2);
            prop_assert!(out.iter().all(|node| failures[*node] > 0));
        }

        #[test]
        fn while_one_is_below_the_bound_nobody_above_it_has_room(
            all in prop::collection::vec(0..3000_u16, 1..20),
        ) {
            let board = board(&all.iter().map(|of| used(*of)).collect::<Vec<_>>());
            let mean = all.iter().map(|of| u64::from(*of)).sum::<u64>() / all.len() as u64;
            for (node, used) in all.iter().enumerate() {
                let is_above = u64::from(*used) > (mean * 5 / 4).max(500);
                prop_assert_eq!(board.standing(node) == Standing::Free, !is_above);
            }
        }
    }
}
