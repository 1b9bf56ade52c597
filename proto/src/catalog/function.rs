//! A function, whatever build of it is live.

use serde::{Deserialize, Serialize};

use super::{Degrade, Growth};
use crate::seldom::Seldom;

/// What a user deploys and calls, whatever build of it is live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Requests per second that gateways let through; none means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<u32>,
    /// Calls in flight at a time over one gateway; those beyond wait for their turn. None means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Requests that may wait, for a slot on one node or for their turn at one gateway, before the next is refused.
    #[serde(default = "default_queue_depth")]
    pub queue_depth: u32,
    /// Answers carry `Server-Timing` with the platform's share when set.
    #[serde(default)]
    pub server_timing: bool,
    /// What takes the place of failures: of the first entry that is for one. Those of the release come before.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub degrade: Seldom<Vec<Degrade>>,
    /// How many sandboxes are kept ready over all nodes, and by what that grows; none where each node goes by its own numbers.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub growth: Seldom<Option<Growth>>,
}

/// A short burst fits; a backlog of many seconds does not.
pub const DEFAULT_QUEUE_DEPTH: u32 = 1000;

fn default_queue_depth() -> u32 {
    DEFAULT_QUEUE_DEPTH
}
