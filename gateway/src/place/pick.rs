//! The choice of a node for one request.

use std::time::Duration;

use tokio::time::Instant;

use super::{Board, Standing, Tiers};

/// A node that served a version so recently has its sandbox still, so being crowded does not speak against it.
const WARM: Duration = Duration::from_secs(30);

/// How long a version stays where it had to go before its first choice is looked at again: moving back costs a start, and
/// staying for ever would spread it over as many nodes as there are gateways.
const AWAY: Duration = Duration::from_secs(5);

/// How long a node that has refused a version is not asked for it. It costs a round trip to ask again, but a node that serves
/// many at once has slots again soon, and should stay as full as it can be: what it cannot take is all that should go elsewhere.
const REFUSED: Duration = Duration::from_millis(50);

/// Refusals of one version that are remembered.
const REFUSALS: usize = 16;

/// How nodes are chosen. Others than [`Affinity`](Self::Affinity) are there to compare with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Last served, then the rendezvous order with bounded load, then two random choices.
    #[default]
    Affinity,
    /// Any that is not out.
    Random,
    /// The rendezvous order, whoever is how full.
    Hash,
    /// The emptiest of all.
    LeastLoaded,
}

/// A choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Which node.
    pub node: usize,
    /// Another one may have room if this one has not: it should rather refuse than let the request wait.
    pub is_choosy: bool,
    /// Why.
    pub because: Because,
}

/// Why a node was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It served the version last.
    Last,
    /// It is the first in the version's order that has room.
    Order,
    /// It is the emptier of two that were drawn.
    Drawn,
    /// Nobody has room: the first of the order that still takes something, perhaps in place of somebody's idle sandbox.
    Crowded,
    /// All have refused the version of late: this one may let the request wait.
    Waits,
    /// All are out: this one is tried all the same.
    Trial,
}

/// What one core knows of a version: where it went, and where it could not go.
#[derive(Clone, Debug)]
pub struct Place {
    version: u64,
    order: Box<[usize]>,
    /// None where no node is there for a lane: then all are alike.
    tiers: Option<Tiers>,
    last: Option<usize>,
    warm_until: Instant,
    /// Away from its first choice: when that is looked at again.
    home_at: Option<Instant>,
    refused: Vec<(usize, Instant)>,
}

impl Place {
    /// Of a version whose key is `version` and whose order, by [`rank`](super::order::rank), is `order`.
    pub fn new(version: u64, order: Box<[usize]>, now: Instant) -> Self {
        let (tiers, refused) = (None, Vec::new());
        Self { version, order, tiers, last: None, warm_until: now, home_at: None, refused }
    }

    /// For requests of a group, where some nodes are there for some.
    #[must_use]
    pub fn within(self, tiers: Option<Tiers>) -> Self {
        Self { tiers, ..self }
    }

    /// Other nodes are there now. Who served last keeps doing so.
    pub fn reorder(&mut self, order: Box<[usize]>, tiers: Option<Tiers>, now: Instant) {
        (self.order, self.tiers) = (order, tiers);
        self.went(self.last, now);
    }

    /// The version's key.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whom it would ask, best first.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// A node has refused the version for want of room.
    pub fn refused(&mut self, node: usize, now: Instant) {
        self.refused.retain(|(other, until)| *other != node && *until > now);
        if self.refused.len() >= REFUSALS {
            self.refused.remove(0);
        }
        self.refused.push((node, now + REFUSED));
        if self.last == Some(node) {
            self.last = None;
        }
    }

    /// The node to ask now, `tried` having been asked for this request already; none when there is no other. `draw` gives
    /// any numbers.
    #[inline]
    pub fn pick(
        &mut self,
        board: &Board,
        now: Instant,
        tried: &[usize],
        draw: impl FnMut() -> u64,
    ) -> Option<Pick> {
        // Nearly every request ends here.
        if let Some(last) = self.last
            && tried.is_empty()
            && self.home_at.is_none_or(|at| now < at)
            && self.is_near(board, last)
        {
            let keeps = match board.standing(last) {
                Standing::Free => true,
                Standing::Crowded => now < self.warm_until,
                Standing::Out => false,
            };
            if keeps {
                self.warm_until = now + WARM;
                let is_choosy = self.present(board) > 1;
                return Some(Pick { node: last, is_choosy, because: Because::Last });
            }
        }
        let (node, because) = self.search(board, now, tried, draw)?;
        self.went(Some(node), now);
        self.warm_until = now + WARM;
        let is_choosy = self.present(board) > tried.len() + 1 && because != Because::Waits;
        Some(Pick { node, is_choosy, because })
    }

    /// Where a request would go, without its going there.
    pub fn look(&self, board: &Board, now: Instant, draw: impl FnMut() -> u64) -> Option<Pick> {
        self.clone().pick(board, now, &[], draw)
    }

    /// True unless a node that is nearer to the group is there.
    fn is_near(&mut self, board: &Board, node: usize) -> bool {
        self.tiers.as_mut().is_none_or(|tiers| tiers.has(board, node))
    }

    /// Nodes that may be asked.
    fn present(&mut self, board: &Board) -> usize {
        self.tiers.as_mut().map_or(board.present(), |tiers| tiers.present(board))
    }

    fn went(&mut self, node: Option<usize>, now: Instant) {
        self.last = node;
        let home = self.order.first().copied();
        let is_away = node.is_some() && node != home;
        let refused = self.refused.iter().find(|(other, _)| Some(*other) == home);
        self.home_at = is_away.then(|| refused.map_or(now + AWAY, |(_, until)| *until));
    }

    #[cold]
    fn search(
        &mut self,
        board: &Board,
        now: Instant,
        tried: &[usize],
        mut draw: impl FnMut() -> u64,
    ) -> Option<(usize, Because)> {
        self.refused.retain(|(_, until)| *until > now);
        let tiers = std::cell::RefCell::new(&mut self.tiers);
        let is_near =
            |node: usize| tiers.borrow_mut().as_mut().is_none_or(|tiers| tiers.has(board, node));
        let is_new = |node: &usize| !tried.contains(node) && is_near(*node);
        let has_refused = |node: usize| self.refused.iter().any(|(other, _)| *other == node);
        let is_open = |node: &usize| is_new(node) && !has_refused(*node);
        let order = self.order.iter().copied();

        let takes = |node: &usize| is_open(node) && board.takes(*node, self.version);
        if let Some(node) = order.clone().find(takes) {
            return Some((node, Because::Order));
        }
        if let Some(node) = emptier_of_two(board, is_open, &mut draw) {
            return Some((node, Because::Drawn));
        }
        // A warm one among the crowded before a new one: this version's sandbox is there.
        let is_crowded = |node: &usize| is_open(node) && board.standing(*node) != Standing::Out;
        let crowded = self.last.filter(is_crowded).or_else(|| order.clone().find(is_crowded));
        if let Some(node) = crowded {
            return Some((node, Because::Crowded));
        }
        let is_there = |node: &usize| is_new(node) && board.standing(*node) != Standing::Out;
        let mut beyond = || from_anywhere(board.len(), draw()).find(is_there);
        if let Some(node) = order.clone().find(is_there).or_else(&mut beyond) {
            return Some((node, Because::Waits));
        }
        order.clone().find(is_new).map(|node| (node, Because::Trial))
    }
}

/// Two that have room are drawn, and the emptier one is taken: nearly as good as to know the emptiest of all, and it does not send
/// everybody to the same one (Mitzenmacher 1996).
fn emptier_of_two(
    board: &Board,
    is_open: impl Fn(&usize) -> bool,
    draw: &mut impl FnMut() -> u64,
) -> Option<usize> {
    let free = board.free();
    let mut one = || from_anywhere(free.len(), draw()).map(|at| free[at]).find(&is_open);
    let (first, second) = (one()?, one()?);
    Some(if board.used_permille(second) < board.used_permille(first) { second } else { first })
}

/// All numbers below `count`, from one that is `drawn` on.
fn from_anywhere(count: usize, drawn: u64) -> impl Iterator<Item = usize> {
    let start = (u128::from(drawn) * count as u128) >> 64;
    let start = usize::try_from(start).expect("it is below the count");
    (start..count).chain(0..start)
}

impl Policy {
    /// The node to ask by this policy: as [`Place::pick`], which is the one that is meant for use.
    pub fn pick(
        self,
        place: &mut Place,
        board: &Board,
        now: Instant,
        tried: &[usize],
        mut draw: impl FnMut() -> u64,
    ) -> Option<Pick> {
        let is_there =
            |node: &usize| !tried.contains(node) && board.standing(*node) != Standing::Out;
        let found = match self {
            Self::Affinity => return place.pick(board, now, tried, draw),
            Self::Random => from_anywhere(board.len(), draw()).find(is_there),
            Self::Hash => place.order.iter().copied().find(is_there),
            Self::LeastLoaded => {
                let from = from_anywhere(board.len(), draw());
                from.filter(is_there).min_by_key(|node| board.used_permille(*node))
            }
        };
        let because = if self == Self::Hash { Because::Order } else { Because::Drawn };
        let trial = || (0..board.len()).find(|node| !tried.contains(node));
        let (node, because) = match found {
            Some(node) => (node, because),
            None => (trial()?, Because::Trial),
        };
        Some(Pick { node, is_choosy: board.present() > tried.len() + 1, because })
    }
}

#[cfg(test)]
mod tests;
