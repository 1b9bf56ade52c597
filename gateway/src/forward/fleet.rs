//! All nodes that this gateway may ask, and how full each said it was: the same for all cores.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use hatchway_proto::catalog::Registration;
use hatchway_proto::link::LoadSummary;
use hatchway_wire::link::NodeLoad;
use hatchway_wire::listen::Address;

use crate::place::NodeFacts;

/// The nodes of a gateway. Cheap to clone; all clones see the same ones.
#[derive(Clone, Debug, Default)]
pub struct Fleet(Arc<ArcSwap<Members>>);

/// All of them at a moment.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Another one after every change.
    pub(super) generation: u64,
    pub(super) list: Vec<Arc<Member>>,
}

/// One node.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) node: Node,
    pub(super) load: Arc<NodeLoad>,
}

/// A node, as a flag or its registration names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, labels and capacity.
    pub facts: NodeFacts,
    /// Where it listens.
    pub address: Address,
    /// What it drew when it started: whoever else answers there is not this node. None when nobody knows.
    pub instance: Option<u128>,
    /// It takes nothing new, by its registration.
    pub is_leaving: bool,
    /// All that it says of itself, where it is registered.
    pub registered: Option<Arc<Registration>>,
}

impl Node {
    /// One of which nothing is known but where it listens.
    pub fn at(address: Address) -> Self {
        let facts = NodeFacts::new(&address.to_string(), 1, BTreeMap::new());
        Self { facts, address, instance: None, is_leaving: false, registered: None }
    }
}

impl From<Vec<Address>> for Fleet {
    fn from(addresses: Vec<Address>) -> Self {
        let fleet = Self::default();
        fleet.set(addresses.into_iter().map(Node::at).collect());
        fleet
    }
}

impl Fleet {
    /// These are the nodes from now on. What is known of those that stay is kept; calls under way go on in any case.
    pub fn set(&self, nodes: Vec<Node>) {
        let before = self.0.load();
        if before.list.iter().map(|member| &member.node).eq(&nodes) {
            return;
        }
        let known: HashMap<_, _> =
            before.list.iter().map(|member| (&*member.node.facts.name, member)).collect();
        let member = |node: Node| {
            let known = known.get(&*node.facts.name);
            let same = known.filter(|known| known.node.is_same_process(&node));
            let load = same.map_or_else(Arc::default, |same| Arc::clone(&same.load));
            Arc::new(Member { node, load })
        };
        let list = nodes.into_iter().map(member).collect();
        self.0.store(Arc::new(Members { generation: before.generation + 1, list }));
    }

    pub(super) fn members(&self) -> Arc<Members> {
        self.0.load_full()
    }

    /// Every node, and how full it said last that it was; none while no link to it is open.
    pub fn nodes(&self) -> Vec<(Node, Option<LoadSummary>)> {
        let members = self.members();
        members.list.iter().map(|member| (member.node.clone(), member.load.read())).collect()
    }

    /// Whether some core has a link to the node of this name.
    pub fn is_linked(&self, name: &str) -> bool {
        let members = self.0.load();
        let member = members.list.iter().find(|member| &*member.node.facts.name == name);
        member.is_some_and(|member| member.load.read().is_some())
    }
}

impl Node {
    /// True where links to the one are links to the other, as far as is known.
    pub(super) fn is_same_process(&self, other: &Self) -> bool {
        let differ = self.instance.zip(other.instance).is_some_and(|(one, other)| one != other);
        self.address == other.address && !differ
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, instance: u128) -> Node {
        let facts = NodeFacts::new(name, 1, BTreeMap::new());
        let address = format!("unix:/{name}").parse().expect("it is an address");
        Node { instance: Some(instance), facts, ..Node::at(address) }
    }

    fn loads(fleet: &Fleet) -> Vec<*const NodeLoad> {
        fleet.members().list.iter().map(|member| Arc::as_ptr(&member.load)).collect()
    }

    #[test]
    fn what_is_known_of_a_node_lasts_for_as_long_as_its_process() {
        let fleet = Fleet::default();
        fleet.set(vec![node("a", 1), node("b", 1)]);
        let (before, generation) = (loads(&fleet), fleet.members().generation);
        fleet.set(vec![node("a", 1), node("b", 1)]);
        assert_eq!(fleet.members().generation, generation, "nothing has changed");
        fleet.set(vec![node("b", 2), Node { is_leaving: true, ..node("a", 1) }]);
        let after = loads(&fleet);
        assert_eq!(after[1], before[0]);
        assert!(!before.contains(&after[0]), "b has started anew");
        assert!(fleet.members().generation > generation);
    }

    #[test]
    fn a_node_that_nobody_has_heard_of_has_no_load() {
        let fleet = Fleet::from(vec!["unix:/a".parse().expect("it is an address")]);
        let known: Vec<_> =
            fleet.nodes().into_iter().map(|(node, load)| (node.facts.name, load)).collect();
        assert_eq!(known, [("unix:/a".into(), None)]);
        assert!(!fleet.is_linked("unix:/a") && !fleet.is_linked("unix:/b"));
    }
}
