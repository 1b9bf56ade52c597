//! `hatchway status`: what is served, how well, and what is missing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use hatchway_proto::manifest::nearest;
use hatchway_proto::name::FunctionName;
use hatchway_wire::catalog::etcd::EtcdArgs;
use serde::Deserialize;

use crate::admin::{Admin, AdminArgs, typed};
use crate::failure::{Failure, Outcome};
use crate::{gateways, output};

/// What `hatchway status` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    admin: AdminArgs,
    /// Show all gateways that follow the rules there, in place of one.
    #[command(flatten)]
    etcd: EtcdArgs,
    /// The same, asked of this gateway.
    #[arg(long, conflicts_with = "etcd")]
    all: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// `GET /v1/status`.
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    program: String,
    version: String,
    uptime_ms: u64,
    /// Where functions are served.
    pub(crate) listen: String,
    /// Absent from a gateway whose nodes are elsewhere.
    isolation: Option<Isolation>,
    catalog: Catalog,
    pub(crate) functions: Vec<FunctionStatus>,
    /// Of a gateway whose nodes are elsewhere.
    #[serde(default)]
    nodes: Vec<NodeStatus>,
}

/// A node, as a gateway sees it.
#[derive(Debug, Deserialize)]
struct NodeStatus {
    name: String,
    address: String,
    labels: BTreeMap<String, String>,
    state: String,
    used_permille: Option<u16>,
    in_flight: Option<u32>,
    waiting: Option<u32>,
    #[serde(default)]
    failed_packages: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Isolation {
    mode: String,
    granted: Vec<String>,
    missing: Vec<Missing>,
}

#[derive(Debug, Deserialize)]
struct Missing {
    what: String,
    why: String,
}

#[derive(Debug, Deserialize)]
struct Catalog {
    source: String,
    revision: u64,
    problems: Vec<serde_json::Value>,
    #[serde(default)]
    link: Link,
    #[serde(default)]
    from_disk: bool,
    held: Option<String>,
    #[serde(default)]
    quarantined: BTreeMap<String, String>,
}

/// Whether the source of rules is there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Link {
    state: String,
    why: String,
}

/// A function that is served.
#[derive(Debug, Deserialize)]
pub(crate) struct FunctionStatus {
    /// Tenant and name.
    pub(crate) name: FunctionName,
    /// Absent while none is released.
    version: Option<String>,
    runtime: Option<String>,
    pub(crate) urls: Vec<String>,
    requests: u64,
    errors: u64,
    in_flight: i64,
    /// Known where a node runs in the same process, as the next.
    sandboxes: Option<u64>,
    queued: Option<u64>,
}

impl Status {
    /// Asks for it.
    pub(crate) fn ask(admin: &Admin) -> Result<Self, Failure> {
        typed(&admin.get("/v1/status", &[])?)
    }

    /// The function that a user calls `name`, with or without its tenant.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the name that was meant.
    pub(crate) fn function(&self, name: &str) -> Result<&FunctionStatus, Failure> {
        let is_meant = |function: &&FunctionStatus| {
            function.name.as_str() == name || function.name.name() == name
        };
        self.functions.iter().find(is_meant).ok_or_else(|| {
            let names = || self.functions.iter().map(|function| function.name.name());
            let help = match nearest(name, names()) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => {
                    let known: Vec<&str> = names().collect();
                    format!("there are: {}", known.join(", "))
                }
            };
            Failure::Refused(format!("no function {name:?}; {help}"))
        })
    }
}

/// Asks and shows.
pub(crate) fn run(args: &Args) -> Outcome {
    if !args.etcd.etcd.is_empty() {
        let (followers, nodes) = gateways::in_etcd(&args.etcd)?;
        gateways::show(&followers, args.json)?;
        if args.json {
            return Ok(());
        }
        output::line("")?;
        return gateways::show_nodes(&nodes);
    }
    let admin = Admin::new(&args.admin)?;
    if args.all {
        return gateways::show(&typed(&admin.get("/v1/gateways", &[])?)?, args.json);
    }
    let answer = admin.get("/v1/status", &[])?;
    if args.json {
        return output::json(&answer);
    }
    let status: Status = typed(&answer)?;
    output::line(&heading(&status))?;
    let mut table = output::table(&[
        "FUNCTION",
        "RUNTIME",
        "VERSION",
        "SANDBOXES",
        "IN FLIGHT",
        "QUEUED",
        "REQUESTS",
        "ERRORS",
        "URL",
    ]);
    for function in &status.functions {
        table.add_row([
            output::short_name(&function.name),
            &output::or_dash(function.runtime.as_ref()),
            &output::or_dash(function.version.as_ref()),
            &output::or_dash(function.sandboxes),
            &function.in_flight.to_string(),
            &output::or_dash(function.queued),
            &function.requests.to_string(),
            &function.errors.to_string(),
            &function.urls.join("\n"),
        ]);
    }
    output::show(&table)?;
    nodes(&status.nodes)
}

/// Where the functions of a gateway run.
fn nodes(nodes: &[NodeStatus]) -> Outcome {
    if nodes.is_empty() {
        return Ok(());
    }
    let mut table =
        output::table(&["NODE", "STATE", "USED", "IN FLIGHT", "WAITING", "LABELS", "ADDRESS"]);
    for node in nodes {
        let used = node.used_permille.map(|used| format!("{} %", used / 10));
        table.add_row([
            &node.name,
            &node.state,
            &output::or_dash(used),
            &output::or_dash(node.in_flight),
            &output::or_dash(node.waiting),
            &gateways::labels(&node.labels),
            &node.address,
        ]);
    }
    output::line("")?;
    output::show(&table)?;
    for node in nodes {
        gateways::failures(&node.name, &node.failed_packages)?;
    }
    Ok(())
}

fn heading(status: &Status) -> String {
    let Status { program, version, uptime_ms, listen, isolation, catalog, .. } = status;
    let up = output::span(Duration::from_millis(*uptime_ms));
    let mut text = format!("{program} {version}, up {up}, listening on {listen}\n");
    let (source, revision) = (&catalog.source, catalog.revision);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "catalog    {source}, revision {revision}");
    if catalog.link.state == "lost" {
        let _ = writeln!(text, "  lost     {}", catalog.link.why);
    }
    if catalog.from_disk {
        let _ = writeln!(
            text,
            "  disk     the rules are those of the last run; the source was not heard yet"
        );
    }
    if let Some(held) = &catalog.held {
        let _ = writeln!(text, "  held     {held}");
    }
    for (key, reason) in &catalog.quarantined {
        let _ = writeln!(text, "  refused  {key}: {reason}");
    }
    for problem in &catalog.problems {
        let problem = problem.as_str().map_or_else(|| problem.to_string(), str::to_owned);
        let _ = writeln!(text, "  problem  {problem}");
    }
    let Some(Isolation { mode, granted, missing }) = isolation else { return text };
    let _ = writeln!(text, "isolation  {mode}: {}", granted.join(", "));
    for Missing { what, why } in missing {
        let _ = writeln!(text, "  missing  {what}: {why}");
    }
    text
}
