//! What operators are told of nodes: how they stand, and which of them a version would ask.

use std::collections::BTreeMap;

use hatchway_proto::name::VersionId;
use schemars::JsonSchema;
use serde::Serialize;

use super::fleet::Fleet;
use super::nodes::key;
use crate::place::order::rank;
use crate::place::{Board, Seen, Standing};

/// Nodes of an order that are named.
const NAMED: usize = 5;

/// A node, as this gateway sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NodeStatus {
    /// What it is called.
    pub name: Box<str>,
    /// Where it listens.
    pub address: String,
    /// What it says of itself.
    pub labels: BTreeMap<String, String>,
    /// `up`, `draining`, or `down` while no link to it is open.
    pub state: &'static str,
    /// What its sandboxes take of the scarcest that it has, in thousandths, as it said last.
    pub used_permille: Option<u16>,
    /// Requests that it runs.
    pub in_flight: Option<u32>,
    /// Requests that wait there for a slot.
    pub waiting: Option<u32>,
}

impl Fleet {
    /// All nodes.
    pub fn status(&self) -> Vec<NodeStatus> {
        let told = self.nodes().into_iter().map(|(node, load)| NodeStatus {
            address: node.address.to_string(),
            state: match load {
                None => "down",
                Some(load) if load.is_draining || node.is_leaving => "draining",
                Some(_) => "up",
            },
            used_permille: load.map(|load| load.used_permille),
            in_flight: load.map(|load| load.in_flight),
            waiting: load.map(|load| load.waiting),
            name: node.facts.name,
            labels: node.facts.labels,
        });
        told.collect()
    }

    /// Where a request for `version` would go that is the first one here, and why; none without nodes.
    pub fn explain(&self, version: &VersionId) -> Option<(String, String)> {
        let nodes = self.nodes();
        let mut board = Board::default();
        board.look(nodes.iter().map(|(node, load)| {
            let is_down = load.is_none();
            let seen = Seen {
                used_permille: load.map(|load| load.used_permille),
                is_leaving: node.is_leaving || load.is_some_and(|load| load.is_draining) || is_down,
                ..Seen::default()
            };
            Some((&node.facts, seen))
        }));
        let facts = nodes.iter().map(|(node, _)| &node.facts).enumerate();
        let order = rank(key(version), facts, None);
        let name = |node: usize| &*nodes[node].0.facts.name;
        let stands = |node: usize| match board.standing(node) {
            Standing::Free => "",
            Standing::Crowded => " (crowded)",
            Standing::Out => " (out)",
        };
        let free = order.iter().find(|node| board.standing(**node) == Standing::Free);
        let first = free.or(order.first())?;
        let asked: Vec<_> = order
            .iter()
            .take(NAMED)
            .map(|node| format!("{}{}", name(*node), stands(*node)))
            .collect();
        let because = format!(
            "the version's order is {}; whoever served it last comes before",
            asked.join(", ")
        );
        Some((format!("node {}", name(*first)), because))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_s_order_is_told_with_who_is_out() {
        let fleet = Fleet::from(vec![
            "unix:/a".parse().expect("it is an address"),
            "unix:/b".parse().expect("it is an address"),
        ]);
        let version = VersionId::parse("0123456789abcdef").expect("it is an id");
        let (decision, because) = fleet.explain(&version).expect("there are nodes");
        assert!(decision.starts_with("node unix:/"), "{decision}");
        assert!(
            because.contains("unix:/a (out)") && because.contains("unix:/b (out)"),
            "{because}"
        );
        assert_eq!(
            fleet.status().iter().map(|node| node.state).collect::<Vec<_>>(),
            ["down", "down"]
        );
        assert_eq!(Fleet::default().explain(&version), None);
    }
}
