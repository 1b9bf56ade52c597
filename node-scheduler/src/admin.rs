//! What operators read of a node: its sandboxes and what functions printed.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hatchway_proto::name::{FunctionName, SandboxId, VersionId};
use hatchway_wire::admin::{self, Page, Reply};
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::hatch::ProcessHatchery;
use crate::logs::{LogLine, Logs};
use crate::package::{PackageStatus, Packages};
use crate::pool::{Pool, SandboxStatus};
use crate::zygote::{ZygoteStatus, Zygotes};

/// Lines shown when nobody says how many.
const DEFAULT_LINES: usize = 100;

/// Lines on their way to one reader; a slower one misses some.
const STREAM_LINES: usize = 256;

/// The pages of a node.
pub struct NodePages {
    /// All sandboxes.
    pub pool: Pool<ProcessHatchery>,
    /// What functions printed.
    pub logs: Logs,
    /// What they are forked from.
    pub(crate) zygotes: Zygotes,
    /// Their files.
    pub(crate) packages: Packages,
}

impl fmt::Debug for NodePages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodePages").finish_non_exhaustive()
    }
}

/// One sandbox, as `ps` shows it.
#[derive(Debug, Serialize)]
struct SandboxView {
    id: SandboxId,
    function: FunctionName,
    version: VersionId,
    runtime: Option<&'static str>,
    phase: &'static str,
    in_flight: u16,
    concurrency: Option<u16>,
    pid: Option<u32>,
    age_ms: u128,
    idle_ms: Option<u128>,
    requests: u64,
    memory_bytes: Option<u64>,
    memory_peak_bytes: Option<u64>,
    memory_limit_bytes: Option<u64>,
    cpu_ms: Option<f64>,
    start: Option<StartView>,
}

/// One version's zygote, or why it has none.
#[derive(Debug, Serialize)]
struct ZygoteView {
    function: FunctionName,
    version: VersionId,
    state: &'static str,
    reason: Option<&'static str>,
    detail: Option<String>,
    forks: u64,
    memory_bytes: u64,
    idle_ms: Option<u128>,
}

/// One package, and the functions that the rules name a version of with it.
#[derive(Debug, Serialize)]
struct PackageView {
    functions: BTreeSet<FunctionName>,
    #[serde(flatten)]
    status: PackageStatus,
}

#[derive(Debug, Serialize)]
struct StartView {
    kind: &'static str,
    total_ms: f64,
    phases: HashMap<&'static str, f64>,
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl Page for NodePages {
    fn handle(&self, request: &Parts) -> Option<Reply> {
        let page = match request.uri.path() {
            "/v1/sandboxes" => Self::sandboxes,
            "/v1/zygotes" => Self::zygotes,
            "/v1/packages" => Self::packages,
            "/v1/logs" => Self::logs,
            _ => return None,
        };
        if request.method != Method::GET {
            return Some(admin::problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "this page is read by GET",
            ));
        }
        Some(page(self, request))
    }
}

impl NodePages {
    fn sandboxes(&self, _request: &Parts) -> Reply {
        let mut views: Vec<_> =
            self.pool.sandboxes().into_iter().map(|status| self.view(status)).collect();
        views.sort_by_key(|view| view.id);
        admin::json(&views)
    }

    fn zygotes(&self, _request: &Parts) -> Reply {
        let view = |status: ZygoteStatus| {
            let (reason, detail) = status.reason.unzip();
            ZygoteView {
                function: status.function,
                version: status.version,
                state: status.state,
                reason,
                detail,
                forks: status.forks,
                memory_bytes: status.memory_bytes,
                idle_ms: status.idle_for.map(|idle| idle.as_millis()),
            }
        };
        let views: Vec<_> = self.zygotes.status().into_iter().map(view).collect();
        admin::json(&views)
    }

    fn packages(&self, _request: &Parts) -> Reply {
        let versions = self.pool.versions();
        let view = |status: PackageStatus| {
            let of = versions.iter().map(|version| version.version());
            let of = of.filter(|version| version.package.digest == status.digest);
            PackageView { functions: of.map(|version| version.function.clone()).collect(), status }
        };
        let views: Vec<_> = self.packages.status().into_iter().map(view).collect();
        admin::json(&views)
    }

    fn view(&self, status: SandboxStatus) -> SandboxView {
        let version = self.pool.version(&status.version);
        let version = version.as_ref().map(|pool| pool.version());
        SandboxView {
            id: status.id,
            runtime: version.map(|version| version.runtime.word()),
            concurrency: version.map(|version| version.concurrency),
            memory_limit_bytes: version.map(|version| version.resources.memory_bytes),
            function: status.function,
            version: status.version,
            phase: status.phase,
            in_flight: status.in_flight,
            pid: status.pid,
            age_ms: status.age.as_millis(),
            idle_ms: status.idle_for.map(|idle| idle.as_millis()),
            requests: status.served,
            memory_bytes: status.usage.map(|usage| usage.memory_bytes),
            memory_peak_bytes: status.usage.map(|usage| usage.memory_peak_bytes),
            cpu_ms: status.usage.map(|usage| millis(usage.cpu)),
            start: status.start.map(|phases| StartView {
                kind: status.tier.unwrap_or("cold"),
                total_ms: millis(phases.total()),
                phases: phases.0.iter().map(|(name, spent)| (*name, millis(*spent))).collect(),
            }),
        }
    }

    fn logs(&self, request: &Parts) -> Reply {
        let function = match admin::query(request, "function").map(|name| name.parse()) {
            None => None,
            Some(Ok(function)) => Some(function),
            Some(Err(error)) => {
                let error: hatchway_proto::name::NameError = error;
                return admin::problem(StatusCode::BAD_REQUEST, &error.to_string());
            }
        };
        let lines = admin::query(request, "lines").and_then(|lines| lines.parse().ok());
        let is_followed = admin::query(request, "follow").is_some_and(|follow| follow == "true");
        let following = is_followed.then(|| self.logs.follow());
        let last = self.logs.last(function.as_ref(), lines.unwrap_or(DEFAULT_LINES));
        let (sender, receiver) = mpsc::channel(STREAM_LINES);
        tokio::task::spawn_local(async move {
            for line in last {
                if sender.send(encode(&line)).await.is_err() {
                    return;
                }
            }
            if let Some(mut following) = following {
                let concerns = |line: &Arc<LogLine>| {
                    function.as_ref().is_none_or(|function| line.function == *function)
                };
                loop {
                    let received = tokio::select! {
                        received = following.recv() => received,
                        () = sender.closed() => return,
                    };
                    match received {
                        Ok(line) if concerns(&line) => {
                            if sender.send(encode(&line)).await.is_err() {
                                return;
                            }
                        }
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return,
                    }
                }
            }
        });
        admin::stream("application/x-ndjson", receiver)
    }
}

fn encode(line: &LogLine) -> Bytes {
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// Health and metrics of a node that runs by itself.
#[derive(Debug)]
pub struct HealthPages {
    /// All metrics.
    pub registry: prometheus::Registry,
}

impl Page for HealthPages {
    fn handle(&self, request: &Parts) -> Option<Reply> {
        match request.uri.path() {
            "/healthz" | "/readyz" => Some(admin::whole("text/plain", "ok\n")),
            "/metrics" => Some(admin::metrics(&self.registry)),
            _ => None,
        }
    }
}
