//! Stage 5: which node. Filter, then score: a pure function over what is known.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use hatchway_proto::name::VersionId;
use tokio::time::Instant;

/// What one core knows of a node.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// Told apart by this.
    pub name: String,
    /// Not asked before this: it could not be reached.
    pub resting_until: Option<Instant>,
}

/// All nodes, best first: the rendezvous order of the version (Thaler and Ravishankar 1998), so that
/// gateways that share nothing agree and a node that leaves moves only its own versions. The same for as
/// long as the nodes are the same.
pub fn rank(version: &VersionId, nodes: &[NodeState]) -> Box<[usize]> {
    let mut rank: Box<[usize]> = (0..nodes.len()).collect();
    rank.sort_by_cached_key(|&index| std::cmp::Reverse(score(version, &nodes[index].name)));
    rank
}

/// Nodes to ask now, at most `N`. Those that rest come last: when all do, one of them is tried all the same.
pub fn choose<const N: usize>(
    rank: &[usize],
    nodes: &[NodeState],
    now: Instant,
) -> impl Iterator<Item = usize> + use<N> {
    let is_resting = |index: &&usize| nodes[**index].resting_until.is_some_and(|until| until > now);
    let awake = rank.iter().filter(|index| !is_resting(index));
    let mut chosen = [None; N];
    for (place, index) in chosen.iter_mut().zip(awake.chain(rank.iter().filter(is_resting))) {
        *place = Some(*index);
    }
    chosen.into_iter().flatten()
}

/// The same on every machine and in every build: FNV-1a, then a finaliser that spreads its bits.
fn score(version: &VersionId, node: &str) -> u64 {
    let mut hasher = BuildHasherDefault::<Fnv>::default().build_hasher();
    hasher.write(version.as_str().as_bytes());
    hasher.write(node.as_bytes());
    let hash = hasher.finish();
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[derive(Debug)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn nodes(count: usize) -> Vec<NodeState> {
        (0..count).map(|n| NodeState { name: format!("node-{n}"), resting_until: None }).collect()
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
        let order = |all: &[NodeState], now| choose::<3>(&rank, all, now).collect::<Vec<_>>();
        assert_eq!(order(&all, now), *rank);
        all[rank[0]].resting_until = Some(now + Duration::from_secs(1));
        assert_eq!(order(&all, now), [rank[1], rank[2], rank[0]]);
        assert_eq!(order(&all, now + Duration::from_secs(1)), *rank);
        all.iter_mut().for_each(|node| node.resting_until = Some(now + Duration::from_secs(1)));
        assert_eq!(order(&all, now), *rank, "when all rest, they are asked all the same");
        assert_eq!(choose::<2>(&rank, &all, now).count(), 2);
    }
}
