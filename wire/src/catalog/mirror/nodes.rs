//! Nodes that are registered beside the objects. They come and go by leases: an empty list of them is nothing to doubt here, for who
//! places by it also goes by what comes of asking.

use std::collections::BTreeMap;
use std::sync::Arc;

use hatchway_proto::catalog::{Nodes, Registration};

use super::Mirror;

/// What was last heard of each name, and at which revision; none where it is gone.
#[derive(Debug, Default)]
pub(super) struct Registered {
    known: BTreeMap<String, (i64, Option<Registration>)>,
    pub(super) nodes: Arc<Nodes>,
}

impl Mirror {
    /// Every node that is registered. The same allocation as before where nothing has changed.
    pub(in crate::catalog) fn nodes(&self) -> Arc<Nodes> {
        Arc::clone(&self.registered.nodes)
    }

    /// One change of a node: its value, or none where it is gone.
    pub(super) fn node(&mut self, name: String, value: Option<&[u8]>, revision: i64) {
        if self.registered.known.get(&name).is_some_and(|(newest, _)| *newest >= revision) {
            return;
        }
        let read = value.map(serde_json::from_slice::<Registration>).transpose();
        self.refuse(format!("nodes/{name}"), read.as_ref().err().map(ToString::to_string));
        // Of one that cannot be read, the last good form stays.
        if let Ok(node) = read {
            self.registered.known.insert(name, (revision, node));
        }
    }

    /// All nodes at a revision replace those that were known.
    pub(super) fn replace_nodes(&mut self, listed: Vec<(String, i64, Vec<u8>)>) {
        self.registered.known.clear();
        for (name, revision, value) in listed {
            self.node(name, Some(&value), revision);
        }
        self.show_nodes();
    }

    /// Changes that belong together have been taken in.
    pub(super) fn show_nodes(&mut self) {
        let known = self.registered.known.iter();
        let now: Nodes =
            known.filter_map(|(name, (_, node))| Some((name.clone(), node.clone()?))).collect();
        if now != *self.registered.nodes {
            self.registered.nodes = Arc::new(now);
        }
    }
}
