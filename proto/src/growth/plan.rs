//! What stands in etcd of a function's growth: what gateways and nodes say, and what the one that leads has decided.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::VersionId;

/// What one gateway is asked for, of a version. A gateway says it of those whose function [grows](crate::catalog::Growth).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Requests in flight, as a mean over a second.
    pub in_flight: f64,
    /// Requests a second.
    pub per_second: f64,
}

/// What a node says, under a lease.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// The revision of etcd up to which it goes by all plans.
    pub heard: i64,
    /// Versions whose function grows.
    pub versions: BTreeMap<VersionId, Holds>,
}

/// What a node has of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// Sandboxes that start or serve, those among them that are only finishing.
    pub alive: u32,
    /// How many more it has room for.
    pub room: u32,
    /// Processor time that they take, in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory that they take.
    pub memory_bytes: u64,
}

/// How many sandboxes of a function are meant to be where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    /// By version.
    pub versions: BTreeMap<VersionId, Placed>,
    /// At most so many in all. A node that has no share of a version starts none of it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

/// How many sandboxes of a version are meant to be where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Placed {
    /// Those that should be ready on all nodes together.
    pub wish: u32,
    /// What asks for them.
    pub because: String,
    /// By the name of the node.
    pub nodes: BTreeMap<String, Share>,
}

/// The part of one node.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Share {
    /// Sandboxes that it keeps ready.
    pub keep: u32,
    /// Those that it may have; none where its own limit is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// Those that it may have by a plan that it may still go by: nobody else is given them before it has heard.
    #[serde(default)]
    pub until_heard: u32,
}

impl Plan {
    /// The part of a node; none where the plan has nothing to say of the version.
    pub fn share(&self, version: &VersionId, node: &str) -> Option<Share> {
        let placed = self.versions.get(version)?;
        let none = Share { most: self.max.map(|_| 0), ..Share::default() };
        Some(placed.nodes.get(node).copied().unwrap_or(none))
    }
}
