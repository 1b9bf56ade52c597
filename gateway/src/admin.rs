//! What operators read of a gateway: health, metrics, status, and why a request goes where it goes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hatchway_proto::http1::{Limits, parse_request};
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_wire::admin::{self, Page, Reply};
use hatchway_wire::catalog::{Shown, StatusReader};
use http::request::Parts;
use http::{Method, StatusCode};
use prometheus::Registry;
use serde::Serialize;

use crate::catalog::{Catalog, Snapshot, Target};
use crate::explain::{Step, explain};
use crate::route::Asked;

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

/// The pages of a gateway.
pub struct GatewayPages {
    /// The program's name.
    pub program: &'static str,
    /// Where clients connect.
    pub listen: String,
    /// Where the rules come from.
    pub source: StatusReader,
    /// The rules.
    pub catalog: Catalog,
    /// All metrics.
    pub registry: Registry,
    /// When the program started.
    pub started: (SystemTime, Instant),
    /// The node in this process.
    pub node: Option<Arc<dyn NodeView>>,
}

impl fmt::Debug for GatewayPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayPages").field("listen", &self.listen).finish_non_exhaustive()
    }
}

impl Page for GatewayPages {
    fn handle(&self, request: &Parts) -> Option<Reply> {
        if request.method != Method::GET {
            return Some(admin::problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "this page is read by GET",
            ));
        }
        Some(match request.uri.path() {
            "/healthz" => admin::whole("text/plain", "ok\n"),
            "/readyz" => self.ready(),
            "/metrics" => admin::metrics(&self.registry),
            "/v1/status" => admin::json(&self.status()),
            "/v1/explain" => self.explain(request),
            _ => return None,
        })
    }
}

#[derive(Serialize)]
struct Status {
    program: &'static str,
    version: &'static str,
    started_unix_ms: u128,
    uptime_ms: u128,
    listen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    isolation: Option<serde_json::Value>,
    catalog: CatalogStatus,
    functions: Vec<FunctionStatus>,
}

#[derive(Serialize)]
struct CatalogStatus {
    #[serde(flatten)]
    source: Shown,
    revision: u64,
    applied_unix_ms: u128,
    problems: Vec<String>,
}

#[derive(Serialize)]
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

fn unix_ms(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}

impl GatewayPages {
    fn ready(&self) -> Reply {
        if self.catalog.snapshot().revision == 0 {
            return admin::problem(StatusCode::SERVICE_UNAVAILABLE, "no catalog was applied yet");
        }
        admin::whole("text/plain", "ready\n")
    }

    fn status(&self) -> Status {
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
            uptime_ms: self.started.1.elapsed().as_millis(),
            listen: self.listen.clone(),
            isolation: self.node.as_ref().map(|node| node.isolation()),
            catalog: CatalogStatus {
                source: self.source.read(),
                revision: snapshot.revision,
                applied_unix_ms: unix_ms(snapshot.applied),
                problems: problems(&snapshot),
            },
            functions,
        }
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

    fn explain(&self, request: &Parts) -> Reply {
        let bad = |detail: &str| admin::problem(StatusCode::BAD_REQUEST, detail);
        let Some(url) = admin::query(request, "url") else { return bad("the url is missing") };
        let Ok(url) = url.parse::<http::Uri>() else { return bad("the url is no URL") };
        let method = admin::query(request, "method").unwrap_or_else(|| "GET".into());
        let client = match admin::query(request, "client").map(|client| client.parse()) {
            None => None,
            Some(Ok(client)) => Some(client),
            Some(Err(_)) => return bad("the client is no address"),
        };
        let head = head_of(&method, &url, &admin::queries(request, "header"));
        match parse_request(head.as_bytes(), &Limits::default()) {
            Ok(Some(head)) => {
                let asked = Asked { head: &head, client };
                let mut explanation = explain(&self.catalog.snapshot(), asked);
                if let (Some(node), Some(version)) = (&self.node, &explanation.version) {
                    explanation.steps.extend(node.explain(version));
                }
                admin::json(&explanation)
            }
            Ok(None) => bad("the request is not complete"),
            Err(error) => bad(&format!("the gateway would refuse this head: {error}")),
        }
    }
}

/// The head that a client would send: what is explained is what would be served.
fn head_of(method: &str, url: &http::Uri, headers: &[String]) -> String {
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    let names_host = |header: &String| header.to_ascii_lowercase().starts_with("host:");
    if !headers.iter().any(names_host) {
        let host = url.authority().map_or("localhost", |authority| authority.as_str());
        head.push_str(&format!("Host: {host}\r\n"));
    }
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head
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
