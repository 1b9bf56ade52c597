//! What the admin pages show of the node in this process.

use std::collections::HashMap;

use hatchway_gateway::admin::{NodeCounts, NodeView};
use hatchway_gateway::explain::Step;
use hatchway_node::hatch::ProcessHatchery;
use hatchway_node::node::Node;
use hatchway_node::pool::Pool;
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_sandbox::Grants;
use serde_json::json;

/// The node, as the gateway's pages see it.
#[derive(Debug)]
pub(super) struct View {
    pool: Pool<ProcessHatchery>,
    grants: Grants,
}

impl View {
    pub(super) fn new(node: &Node) -> Self {
        Self { pool: node.pool.clone(), grants: node.grants.clone() }
    }
}

impl NodeView for View {
    fn isolation(&self) -> serde_json::Value {
        let missing: Vec<_> = self.grants.missing().collect();
        let granted: Vec<_> = self
            .grants
            .steps
            .iter()
            .filter(|grant| grant.missing.is_none())
            .map(|grant| grant.step.to_string())
            .collect();
        json!({
            "mode": if missing.is_empty() { "full" } else { "best-effort" },
            "limits": self.grants.backend.to_string(),
            "granted": granted,
            "missing": missing
                .iter()
                .map(|(step, why)| json!({"what": step.to_string(), "why": why}))
                .collect::<Vec<_>>(),
        })
    }

    fn functions(&self) -> HashMap<FunctionName, NodeCounts> {
        let mut counts: HashMap<FunctionName, NodeCounts> = HashMap::new();
        for sandbox in self.pool.sandboxes() {
            counts.entry(sandbox.function).or_default().sandboxes += 1;
        }
        for version in self.pool.versions() {
            let queued = version.waiting() as usize;
            if queued > 0 {
                counts.entry(version.version().function.clone()).or_default().queued += queued;
            }
        }
        counts
    }

    fn explain(&self, version: &VersionId) -> Vec<Step> {
        let step = |stage, decision: String, because: String| Step { stage, decision, because };
        let place = step("place", "this node".into(), "it is the only one".into());
        let Some(pool) = self.pool.version(version) else {
            let because = "the node does not know this version".into();
            return vec![place, step("pool", "503 unknown-version".into(), because)];
        };
        let sandboxes = self.pool.sandboxes();
        let of_version: Vec<_> =
            sandboxes.iter().filter(|sandbox| sandbox.version == *version).collect();
        let limit = pool.version().concurrency;
        let with_room = of_version
            .iter()
            .filter(|sandbox| matches!(sandbox.phase, "idle" | "busy") && sandbox.in_flight < limit)
            .max_by_key(|sandbox| sandbox.in_flight);
        let pool_step = match with_room {
            Some(sandbox) => step(
                "pool",
                format!("sandbox {}", sandbox.id),
                format!(
                    "it is {} with {} of {limit} slots in use, the fullest that has room",
                    sandbox.phase, sandbox.in_flight
                ),
            ),
            None if of_version.is_empty() => step(
                "pool",
                "a new sandbox is hatched".into(),
                "the version has none that lives".into(),
            ),
            None => step(
                "pool",
                "waits for a slot, or for another sandbox".into(),
                format!(
                    "all {} sandboxes are full or starting, at most {} may live",
                    of_version.len(),
                    pool.version().max
                ),
            ),
        };
        vec![place, pool_step]
    }
}
