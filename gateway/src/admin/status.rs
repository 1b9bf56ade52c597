//! How this gateway is: whether it serves, what it serves, and how well.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_wire::admin::{self, Reply};
use hatchway_wire::catalog::Shown;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::GatewayApi;
use crate::catalog::{Snapshot, Target};
use crate::explain::Step;
use crate::forward::{Fleet, NodeStatus};

/// What the node behind says of itself, where it is in this process.
pub trait NodeView: Send + Sync {
    /// Isolation as granted, for the status.
    fn isolation(&self) -> serde_json::Value;
    /// Live sandboxes and waiting requests, by function.
    fn functions(&self) -> HashMap<FunctionName, NodeCounts>;
    /// What would become of a request for `version` now.
    fn explain(&self, version: &VersionId) -> Vec<Step>;
}

/// A function's counts on a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeCounts {
    /// Live sandboxes.
    pub sandboxes: usize,
    /// Requests that wait.
    pub queued: usize,
}

/// `GET /v1/status`.
#[derive(Serialize, JsonSchema)]
pub(super) struct Status {
    program: &'static str,
    version: &'static str,
    started_unix_ms: u64,
    uptime_ms: u64,
    listen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    isolation: Option<serde_json::Value>,
    catalog: CatalogStatus,
    functions: Vec<FunctionStatus>,
    /// Of a gateway whose nodes are elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Vec<NodeStatus>>,
}

#[derive(Serialize, JsonSchema)]
struct CatalogStatus {
    #[serde(flatten)]
    source: Shown,
    revision: u64,
    applied_unix_ms: u64,
    problems: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct FunctionStatus {
    name: FunctionName,
    version: Option<VersionId>,
    runtime: Option<&'static str>,
    urls: Vec<String>,
    requests: u64,
    errors: u64,
    in_flight: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandboxes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<usize>,
}

fn unix_ms(time: SystemTime) -> u64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl GatewayApi {
    /// Whether there is anything to serve by.
    pub(super) fn ready(&self) -> Reply {
        if self.is_leaving.load(Ordering::Relaxed) {
            return admin::problem(StatusCode::SERVICE_UNAVAILABLE, "this gateway drains");
        }
        if self.catalog.snapshot().revision == 0 {
            return admin::problem(StatusCode::SERVICE_UNAVAILABLE, "no catalog was applied yet");
        }
        admin::whole("text/plain", "ready\n")
    }

    /// All that is served.
    pub(super) fn status(&self) -> Status {
        let snapshot = self.catalog.snapshot();
        let counts = self.node.as_ref().map(|node| node.functions());
        let mut functions: Vec<_> = snapshot
            .targets
            .iter()
            .map(|target| self.function_status(&snapshot, target, counts.as_ref()))
            .collect();
        functions.sort_by(|a, b| a.name.cmp(&b.name));
        Status {
            program: self.program,
            version: env!("CARGO_PKG_VERSION"),
            started_unix_ms: unix_ms(self.started.0),
            uptime_ms: millis(self.started.1.elapsed()),
            listen: self.listen.clone(),
            isolation: self.node.as_ref().map(|node| node.isolation()),
            catalog: CatalogStatus {
                source: self.source.read(),
                revision: snapshot.revision,
                applied_unix_ms: unix_ms(snapshot.applied),
                problems: problems(&snapshot),
            },
            functions,
            nodes: self.fleet.as_ref().map(Fleet::status),
        }
    }

    /// All nodes in other processes.
    pub(super) fn nodes(&self) -> Vec<NodeStatus> {
        self.fleet.as_ref().map(Fleet::status).unwrap_or_default()
    }

    fn function_status(
        &self,
        snapshot: &Snapshot,
        target: &Target,
        counts: Option<&HashMap<FunctionName, NodeCounts>>,
    ) -> FunctionStatus {
        let version = target.releases.as_ref().map(|releases| releases.stable().version);
        let counts = counts.map(|counts| counts.get(&target.name).copied().unwrap_or_default());
        FunctionStatus {
            name: target.name.clone(),
            version,
            runtime: version
                .and_then(|version| snapshot.objects.versions.get(&version))
                .map(|version| version.runtime.word()),
            urls: urls(snapshot, &target.name, &self.listen),
            requests: target.metrics.requests(),
            errors: target.metrics.errors(),
            in_flight: target.metrics.in_flight(),
            sandboxes: counts.map(|counts| counts.sandboxes),
            queued: counts.map(|counts| counts.queued),
        }
    }
}

/// Objects that were refused, each with its reason.
fn problems(snapshot: &Snapshot) -> Vec<String> {
    snapshot.problems.iter().map(|(object, why)| format!("{object}: {why}")).collect()
}

/// Where a person reaches a function.
pub fn urls(snapshot: &Snapshot, function: &FunctionName, listen: &str) -> Vec<String> {
    let port = listen.rsplit_once(':').map_or("80", |(_, port)| port);
    let routes = snapshot.routes_of(function);
    routes
        .map(|route| match &route.host {
            Some(host) => format!("http://{host}:{port}{}", route.path),
            None => format!("http://{listen}{}", route.path),
        })
        .collect()
}
