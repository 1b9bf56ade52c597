//! What operators are told of nodes: how they stand, and which of them a version would ask.

use std::collections::BTreeMap;

use hatchway_proto::catalog::Registration;
use hatchway_proto::name::VersionId;
use schemars::JsonSchema;
use serde::Serialize;

use super::fleet::Fleet;
use super::nodes::key;
use crate::place::order::rank;
use crate::place::{Board, Group, Seen, Standing};

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
    /// Requests that it could run at once without a start.
    pub room: Option<u32>,
    /// What more it says, where it is registered.
    #[serde(flatten)]
    pub registered: Option<Registered>,
}

/// What a node says of itself when it registers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Registered {
    /// Memory that its sandboxes may use together, in MiB.
    capacity_mib: u32,
    /// Which it can start.
    runtimes: Vec<String>,
    /// Steps of the isolation that its machine does not give.
    missing_isolation: Vec<String>,
    /// Packages that it could not get, by digest, each with the reason.
    failed_packages: BTreeMap<String, String>,
    /// Of its program.
    version: String,
}

impl From<&Registration> for Registered {
    fn from(node: &Registration) -> Self {
        Self {
            capacity_mib: node.capacity_mib,
            runtimes: node.runtimes.clone(),
            missing_isolation: node.missing_isolation.clone(),
            failed_packages: node.failed_packages.clone(),
            version: node.version.clone(),
        }
    }
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
            room: load.map(|load| load.room),
            registered: node.registered.as_deref().map(Registered::from),
            name: node.facts.name,
            labels: node.facts.labels,
        });
        told.collect()
    }

    /// Where a request for `version`, in `lane`, would go that is the first one here, and why; none without nodes.
    pub fn explain(&self, version: &VersionId, lane: Option<&str>) -> Option<(String, String)> {
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
        let group = lane.map_or(Group::BASE, Group::lane);
        let mut order = rank(key(version), facts, group).into_vec();
        let tier = |node: &usize| group.tier(&nodes[*node].0.facts);
        let is_up = |node: &&usize| board.standing(**node) != Standing::Out;
        let nearest = order.iter().filter(is_up).map(tier).min();
        if let Some(nearest) = nearest {
            order.retain(|node| tier(node) == nearest);
        }
        let whose = match (lane, nearest) {
            (Some(lane), Some(0)) => format!("of the nodes of lane {lane}, "),
            (Some(lane), _) => format!("no node of lane {lane} is up, so of the others, "),
            (None, Some(0)) | (None, None) => String::new(),
            (None, Some(_)) => "all that are up are there for lanes; of these, ".to_owned(),
        };
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
            "{whose}the version's order is {}; whoever served it last comes before",
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
        let (decision, because) = fleet.explain(&version, None).expect("there are nodes");
        assert!(decision.starts_with("node unix:/"), "{decision}");
        assert!(
            because.contains("unix:/a (out)") && because.contains("unix:/b (out)"),
            "{because}"
        );
        assert_eq!(
            fleet.status().iter().map(|node| node.state).collect::<Vec<_>>(),
            ["down", "down"]
        );
        assert_eq!(Fleet::default().explain(&version, None), None);
        let (_, because) = fleet.explain(&version, Some("blue")).expect("there are nodes");
        assert!(because.starts_with("no node of lane blue is up"), "{because}");
    }
}
