//! What is fixed about a node for as long as it is registered.

use std::collections::BTreeMap;

use super::group::{Group, LANE};
use crate::spread::{mix, spread};

/// The label by which nodes say where they stand. Second and third choices of a version stand elsewhere.
pub const ZONE: &str = "zone";

/// A node, as placing sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFacts {
    /// Told apart by this, by all gateways alike.
    pub name: Box<str>,
    /// Who carries which label: `zone`, `set`, `lane`, or any other.
    pub labels: BTreeMap<String, String>,
    key: u64,
    capacity: f64,
    group: Group,
}

impl NodeFacts {
    /// A node with so much room in comparison with others, in any unit that all use.
    pub fn new(name: &str, capacity: u32, labels: BTreeMap<String, String>) -> Self {
        let key = spread([name, "node"]);
        let group = labels.get(LANE).map_or(Group::BASE, |lane| Group::lane(lane));
        Self { name: name.into(), labels, group, key, capacity: f64::from(capacity.max(1)) }
    }

    /// In comparison with others.
    pub fn capacity(&self) -> f64 {
        self.capacity
    }

    /// Where it stands, where it says so.
    pub fn zone(&self) -> Option<&str> {
        self.labels.get(ZONE).map(String::as_str)
    }

    /// Whom it is there for.
    pub fn group(&self) -> Group {
        self.group
    }

    /// How much this node is for the version whose key is `version`: the highest comes first. Weighted rendezvous (Schindelhauer
    /// and Schomaker 2005): of many versions, a node is the first choice of a share that is its share of all capacity.
    pub fn score(&self, version: u64) -> f64 {
        -self.capacity / unit(mix(version ^ self.key)).ln()
    }

    /// Whether a node that is `ramp_permille` of its way back takes this version already: more and more of them as it goes on, and the
    /// same ones at every gateway.
    pub fn is_ready_for(key: u64, version: u64, ramp_permille: u16) -> bool {
        mix(version.rotate_left(32) ^ key) % 1000 < ramp_permille.into()
    }

    pub(super) fn key(&self) -> u64 {
        self.key
    }
}

/// A number between 0 and 1, neither of them included, of 53 bits of `bits`.
fn unit(bits: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
    let whole = (bits >> 11) as f64;
    (whole + 0.5) / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_comes_back_takes_more_and_more_and_gives_none_of_it_back() {
        let node = NodeFacts::new("n", 1, BTreeMap::new());
        let taken =
            |ramp| (0..1000).filter(|v| NodeFacts::is_ready_for(node.key(), *v, ramp)).count();
        assert_eq!((taken(0), taken(1000)), (0, 1000));
        assert!((200..300).contains(&taken(250)), "{}", taken(250));
        for version in 0..1000 {
            let ready = |ramp| NodeFacts::is_ready_for(node.key(), version, ramp);
            assert!(!ready(250) || ready(500));
        }
    }
}
