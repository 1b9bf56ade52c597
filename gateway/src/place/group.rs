//! Whose nodes a request is for: those of its lane, or those of none.

use super::NodeFacts;
use super::board::{Board, Standing};
use crate::spread::spread;

/// The label by which nodes say which lane they serve.
pub const LANE: &str = "lane";

/// Requests of one lane, and the nodes that are there for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Group(u64);

impl Group {
    /// Whoever is in no lane.
    pub const BASE: Self = Self(0);

    /// A lane.
    pub fn lane(name: &str) -> Self {
        Self(spread([name, LANE]).max(1))
    }

    /// The group whose key this is.
    pub fn of_key(key: u64) -> Self {
        Self(key)
    }

    /// Tells it apart from others; 0 is whoever is in no lane.
    pub fn key(self) -> u64 {
        self.0
    }

    /// How near a node is to it: 0 is its own, 1 one of no lane, 2 one that is there for others. Who is farther away is not asked
    /// while anybody nearer is there.
    pub fn tier(self, node: &NodeFacts) -> u8 {
        match node.group() {
            own if own == self => 0,
            Self::BASE => 1,
            Self(_) => 2,
        }
    }
}

/// How near each node is to a group, by its number.
#[derive(Clone, Debug)]
pub struct Tiers {
    tiers: Box<[u8]>,
    /// As of a look at the board: the nearest tier of which somebody is there, and how many of it are.
    nearest: Option<(u64, u8, usize)>,
}

impl Tiers {
    /// Of all nodes by their numbers.
    pub fn new<'n>(group: Group, nodes: impl Iterator<Item = &'n NodeFacts>) -> Self {
        Self { tiers: nodes.map(|node| group.tier(node)).collect(), nearest: None }
    }

    /// How many nodes of the nearest tier are there; all of them, where nobody is.
    pub(super) fn present(&mut self, board: &Board) -> usize {
        match self.nearest(board) {
            Some((_, present)) => present,
            None => board.present(),
        }
    }

    /// Whether a node is of the nearest tier of which somebody is there. Where nobody is, all are tried.
    pub(super) fn has(&mut self, board: &Board, node: usize) -> bool {
        let tier = self.tiers.get(node).copied();
        self.nearest(board).is_none_or(|(nearest, _)| tier == Some(nearest))
    }

    fn nearest(&mut self, board: &Board) -> Option<(u8, usize)> {
        let looks = board.looks();
        if self.nearest.is_none_or(|(seen, ..)| seen != looks) {
            let is_there = |(node, _): &(usize, &u8)| board.standing(*node) != Standing::Out;
            let there = || self.tiers.iter().enumerate().filter(is_there).map(|(_, tier)| *tier);
            let tier = there().min().unwrap_or(u8::MAX);
            let present = there().filter(|other| *other == tier).count();
            self.nearest = Some((looks, tier, present));
        }
        self.nearest.map(|(_, tier, present)| (tier, present)).filter(|(_, present)| *present > 0)
    }
}
