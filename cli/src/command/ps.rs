//! `hatchway ps`: the sandboxes, with memory and CPU as measured; and the packages that keep functions from having any.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchway_proto::name::FunctionName;
use serde::Deserialize;
use serde_json::Value;

use super::status::Status;
use crate::admin::{Admin, AdminArgs, typed};
use crate::failure::Outcome;
use crate::output::{self, or_dash, size, span};

/// What `hatchway ps` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the sandboxes of this function.
    name: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
    /// Print the admin API's answer.
    #[arg(long)]
    json: bool,
}

/// One of `GET /v1/sandboxes`. What a machine cannot measure is absent.
#[derive(Debug, Deserialize)]
struct Sandbox {
    id: Value,
    function: FunctionName,
    phase: String,
    in_flight: u64,
    concurrency: Option<u64>,
    pid: Option<u64>,
    age_ms: u64,
    idle_ms: Option<u64>,
    requests: u64,
    memory_bytes: Option<u64>,
    memory_peak_bytes: Option<u64>,
    memory_limit_bytes: Option<u64>,
    cpu_ms: Option<f64>,
    start: Option<Start>,
}

/// One of `GET /v1/packages`, as far as it concerns who looks for sandboxes.
#[derive(Debug, Deserialize)]
struct Package {
    functions: Vec<FunctionName>,
    digest: String,
    state: String,
    reason: Option<String>,
    detail: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Start {
    kind: String,
    total_ms: f64,
    #[serde(default)]
    phases: BTreeMap<String, f64>,
}

/// Asks and shows.
pub(crate) fn run(args: &Args) -> Outcome {
    let admin = Admin::new(&args.admin)?;
    let function = match &args.name {
        Some(name) => Some(Status::ask(&admin)?.function(name)?.name.clone()),
        None => None,
    };
    let mut answer = admin.get("/v1/sandboxes", &[])?;
    if let (Some(function), Some(sandboxes)) = (&function, answer.as_array_mut()) {
        sandboxes.retain(|sandbox| sandbox["function"] == function.as_str());
    }
    if args.json {
        return output::json(&answer);
    }
    let sandboxes: Vec<Sandbox> = typed(&answer)?;
    let packages: Vec<Package> = typed(&admin.get("/v1/packages", &[])?)?;
    if sandboxes.is_empty() {
        output::line("no sandboxes: the next request hatches one")?;
    } else {
        show(&sandboxes)?;
    }
    let not_ready = packages.iter().filter(|package| package.state != "ready");
    not_ready.map(missing).try_for_each(|line| output::line(&line))
}

fn show(sandboxes: &[Sandbox]) -> Outcome {
    let mut table = output::table(&[
        "SANDBOX", "FUNCTION", "PHASE", "BUSY", "MEMORY", "PEAK", "LIMIT", "CPU", "REQUESTS",
        "AGE", "IDLE", "START", "PID",
    ]);
    for sandbox in sandboxes {
        table.add_row(row(sandbox));
    }
    output::show(&table)
}

/// Why functions have no sandboxes: `shop: package-damaged: its bytes are damaged ... (package 0f3a11c2d4e5)`.
fn missing(package: &Package) -> String {
    let functions: Vec<&str> = package.functions.iter().map(output::short_name).collect();
    let state = package.reason.as_ref().unwrap_or(&package.state);
    let detail = package.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{}: {state}{detail} (package {:.12})", functions.join(", "), package.digest)
}

fn row(sandbox: &Sandbox) -> [String; 13] {
    let id = sandbox.id.as_str().map_or_else(|| format!("sb-{}", sandbox.id), str::to_owned);
    [
        id,
        output::short_name(&sandbox.function).to_owned(),
        sandbox.phase.clone(),
        format!("{}/{}", sandbox.in_flight, or_dash(sandbox.concurrency)),
        or_dash(sandbox.memory_bytes.map(size)),
        or_dash(sandbox.memory_peak_bytes.map(size)),
        or_dash(sandbox.memory_limit_bytes.map(size)),
        or_dash(sandbox.cpu_ms.and_then(cpu)),
        sandbox.requests.to_string(),
        span(Duration::from_millis(sandbox.age_ms)),
        or_dash(sandbox.idle_ms.map(Duration::from_millis).map(span)),
        or_dash(sandbox.start.as_ref().map(start)),
        or_dash(sandbox.pid),
    ]
}

fn cpu(ms: f64) -> Option<String> {
    Duration::try_from_secs_f64(ms / 1000.0).ok().map(span)
}

/// `cold 42ms`, and the phase that took most of it.
fn start(start: &Start) -> String {
    let longest = start.phases.iter().max_by(|(_, one), (_, other)| one.total_cmp(other));
    let most = longest.map(|(name, ms)| format!(" ({name} {ms:.0}ms)")).unwrap_or_default();
    format!("{} {:.0}ms{most}", start.kind, start.total_ms)
}
