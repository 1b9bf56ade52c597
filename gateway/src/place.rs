//! Stage 5: which node. Filter, then score: a pure function over what is known.

use std::cmp::Reverse;
use std::time::Duration;

use hatchway_proto::name::VersionId;
use tokio::time::Instant;

use crate::spread::spread;

/// The first rest of a node that could not be reached, and the longest: each failure doubles it.
const REST: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

/// What one core knows of a node.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// Told apart by this.
    pub name: String,
    /// Not asked before this: it could not be reached.
    resting_until: Option<Instant>,
    /// How often in a row.
    failures: u32,
}

impl NodeState {
    /// A node that nobody has asked yet.
    pub fn new(name: String) -> Self {
        Self { name, resting_until: None, failures: 0 }
    }

    /// It could not be reached: it rests, longer each time.
    pub fn failed(&mut self, now: Instant) {
        let rest = REST.0.saturating_mul(1 << self.failures.min(16));
        self.resting_until = Some(now + rest.min(REST.1));
        self.failures += 1;
    }

    /// It was reached.
    pub fn answered(&mut self) {
        (self.resting_until, self.failures) = (None, 0);
    }

    /// True until its rest is over.
    pub fn is_resting(&self, now: Instant) -> bool {
        self.resting_until.is_some_and(|until| until > now)
    }
}

/// How many calls may be offered to a second node: a fifth of all, so that a fleet which refuses everything is not asked
/// three times as much, and a burst after a quiet time.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget(u32);

impl RetryBudget {
    const PER_RETRY: u32 = 5;
    const MOST: u32 = 100 * Self::PER_RETRY;

    /// A call was offered.
    #[must_use]
    pub fn offered(self) -> Self {
        Self((self.0 + 1).min(Self::MOST))
    }

    /// The budget after another try; none when it is spent.
    pub fn again(self) -> Option<Self> {
        self.0.checked_sub(Self::PER_RETRY).map(Self)
    }
}

impl Default for RetryBudget {
    /// A burst.
    fn default() -> Self {
        Self(Self::MOST)
    }
}

/// All nodes, best first: the rendezvous order of the version (Thaler and Ravishankar 1998), so that
/// gateways that share nothing agree and a node that leaves moves only its own versions. The same for as
/// long as the nodes are the same.
pub fn rank(version: &VersionId, nodes: &[NodeState]) -> Box<[usize]> {
    let mut rank: Box<[usize]> = (0..nodes.len()).collect();
    rank.sort_by_cached_key(|&index| Reverse(spread([version.as_str(), &nodes[index].name])));
    rank
}

/// Nodes to ask now, at most `N`. Those that are better left alone (they rest, or take nothing new) come last: when all are,
/// one of them is tried all the same.
pub fn choose<const N: usize>(
    rank: &[usize],
    is_avoided: impl Fn(usize) -> bool,
) -> [Option<usize>; N] {
    let mut chosen = [None; N];
    let avoided = |index: &&usize| is_avoided(**index);
    let willing = rank.iter().filter(|index| !avoided(index));
    for (place, index) in chosen.iter_mut().zip(willing.chain(rank.iter().filter(avoided))) {
        *place = Some(*index);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: usize) -> Vec<NodeState> {
        (0..count).map(|n| NodeState::new(format!("node-{n}"))).collect()
    }

    fn version(n: u16) -> VersionId {
        let mut digest = [7; 32];
        digest[..2].copy_from_slice(&n.to_be_bytes());
        VersionId::from_digest(&digest)
    }

    #[test]
    fn a_node_that_leaves_moves_only_its_own_versions() {
        let all = nodes(8);
        let without_last = &all[..7];
        for n in 0..500 {
            let (with, without) = (rank(&version(n), &all)[0], rank(&version(n), without_last)[0]);
            assert!(with == 7 || with == without, "version {n} moved from {with} to {without}");
        }
    }

    #[test]
    fn versions_are_spread_evenly() {
        let all = nodes(8);
        let mut counts = [0; 8];
        (0..4000).for_each(|n| counts[rank(&version(n), &all)[0]] += 1);
        assert!(counts.iter().all(|count| (400..600).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_resting_node_is_asked_last_until_its_rest_is_over() {
        let (mut all, now) = (nodes(3), Instant::now());
        let rank = rank(&version(1), &all);
        let order = |all: &[NodeState], now| {
            choose::<3>(&rank, |node| all[node].is_resting(now))
                .map(|node| node.expect("there are three"))
        };
        assert_eq!(order(&all, now), rank[..]);
        all[rank[0]].failed(now);
        assert_eq!(order(&all, now), [rank[1], rank[2], rank[0]]);
        assert_eq!(order(&all, now + REST.0), rank[..]);
        all.iter_mut().for_each(|node| node.failed(now));
        assert_eq!(order(&all, now), rank[..], "when all rest, they are asked all the same");
        assert_eq!(choose::<2>(&rank, |_| true), [Some(rank[0]), Some(rank[1])]);
        assert_eq!(choose::<3>(&rank[..1], |_| false), [Some(rank[0]), None, None]);
    }

    #[test]
    fn a_fifth_of_all_calls_may_be_offered_again_after_a_burst_of_a_hundred() {
        let (mut budget, mut retries) = (RetryBudget::default(), 0);
        for _ in 0..1000 {
            budget = budget.offered();
            if let Some(left) = budget.again() {
                (budget, retries) = (left, retries + 1);
            }
        }
        assert!((290..=310).contains(&retries), "{retries}");
        let spent = std::iter::successors(Some(budget), |budget| budget.again()).last();
        assert!(spent.is_some_and(|spent| spent.again().is_none()));
    }

    #[test]
    fn a_node_rests_longer_each_time_until_it_answers() {
        let (mut node, now) = (NodeState::new("n".to_owned()), Instant::now());
        let rests = |node: &mut NodeState| {
            node.failed(now);
            let ends = (0..).map(Duration::from_millis).find(|ms| !node.is_resting(now + *ms));
            ends.expect("a rest ends")
        };
        let rest = [rests(&mut node), rests(&mut node), rests(&mut node)];
        assert_eq!(rest, [REST.0, 2 * REST.0, 4 * REST.0]);
        (0..40).for_each(|_| node.failed(now));
        assert_eq!(rests(&mut node), REST.1);
        node.answered();
        assert!(!node.is_resting(now));
        assert_eq!(rests(&mut node), REST.0);
    }
}
