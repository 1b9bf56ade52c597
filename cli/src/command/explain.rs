//! `hatchway explain`: where a request would go, and why; by the rules that a gateway serves by, or, without any gateway, by
//! those that one has kept on disk or that stand in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hatchway_gateway::catalog::Snapshot;
use hatchway_gateway::catalog::apply::apply;
use hatchway_gateway::explain::Typed;
use hatchway_proto::catalog::Objects;
use hatchway_proto::name::FunctionName;
use hatchway_wire::catalog::{disk, file};
use hatchway_wire::process::chain;
use serde::Deserialize;
use serde_json::Value;

use crate::admin::{Admin, AdminArgs, typed};
use crate::failure::{Failure, Outcome};
use crate::{output, report};

/// What `hatchway explain` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Method of the request, for example GET.
    method: String,
    /// Its URL, or its path alone.
    url: String,
    /// A header of it, for example 'Cookie: user=7'.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The client's address, for rules that look at it.
    #[arg(long)]
    client: Option<std::net::IpAddr>,
    #[command(flatten)]
    admin: AdminArgs,
    /// Ask no gateway: decide by what one has kept in this folder, its --state.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Ask no gateway: decide by the rules in this file.
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    catalog: Option<PathBuf>,
    /// Print the admin API's answer.
    #[arg(long)]
    json: bool,
}

/// `GET /v1/explain`.
#[derive(Debug, Deserialize)]
struct Explanation {
    outcome: String,
    function: Option<FunctionName>,
    version: Option<String>,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    others: Vec<Other>,
}

#[derive(Debug, Deserialize)]
struct Step {
    stage: String,
    decision: String,
    because: String,
}

#[derive(Debug, Deserialize)]
struct Other {
    what: String,
    why_not: String,
}

/// Asks and shows; fails when no function would answer.
pub(crate) fn run(args: &Args) -> Outcome {
    let (method, url) = (args.method.to_uppercase(), whole_url(&args.url));
    let answer = match (&args.state, &args.catalog) {
        (Some(state), _) => decide(args, (&method, &url), kept(state)?)?,
        (None, Some(path)) => decide(args, (&method, &url), written(path)?)?,
        (None, None) => ask(args, (&method, &url))?,
    };
    let explanation: Explanation = typed(&answer)?;
    if args.json {
        output::json(&answer)?;
    } else {
        show(&explanation)?;
    }
    match explanation.outcome.as_str() {
        "function" | "redirect" => Ok(()),
        _ => Err(Failure::Refused(format!("no function answers {method} {url}"))),
    }
}

fn ask(args: &Args, (method, url): (&str, &str)) -> Result<Value, Failure> {
    let mut query = vec![("method", method), ("url", url)];
    query.extend(args.headers.iter().map(|header| ("header", header.as_str())));
    let client = args.client.map(|client| client.to_string());
    query.extend(client.as_deref().map(|client| ("client", client)));
    Admin::new(&args.admin)?.get("/v1/explain", &query)
}

/// As a gateway would, by the same code.
fn decide(
    args: &Args,
    (method, url): (&str, &str),
    objects: Arc<Objects>,
) -> Result<Value, Failure> {
    let snapshot = apply(&Snapshot::default(), objects);
    let typed = Typed { method, url, headers: &args.headers, client: args.client };
    let explanation = typed.explain(&snapshot).map_err(Failure::Settings)?;
    Ok(serde_json::to_value(explanation).expect("an explanation is strings"))
}

fn kept(state: &Path) -> Result<Arc<Objects>, Failure> {
    let kept = disk::peek(&state.join("catalog"));
    report::print_notes(&kept.damaged);
    match kept.content {
        Some(content) => Ok(Arc::new(content.objects)),
        None => Err(Failure::Settings(format!("no gateway has kept rules in {}", state.display()))),
    }
}

fn written(path: &Path) -> Result<Arc<Objects>, Failure> {
    let io = |source| Failure::Io { what: format!("could not read {}", path.display()), source };
    let text = std::fs::read_to_string(path).map_err(io)?;
    file::parse(path, &text).map_err(|error| Failure::Settings(chain(&error)))
}

fn show(explanation: &Explanation) -> Outcome {
    if let Some(function) = &explanation.function {
        let version = explanation.version.as_deref().unwrap_or("unknown");
        let function = output::short_name(function);
        output::line(&format!("function {function}, version {version}\n"))?;
    }
    let mut steps = output::table(&["STAGE", "DECISION", "BECAUSE"]);
    for Step { stage, decision, because } in &explanation.steps {
        steps.add_row([stage, decision, because]);
    }
    output::show(&steps)?;
    if explanation.others.is_empty() {
        return Ok(());
    }
    let mut others = output::table(&["NOT", "BECAUSE"]);
    for Other { what, why_not } in &explanation.others {
        others.add_row([what, why_not]);
    }
    output::line("")?;
    output::show(&others)
}

/// Adds what a person leaves out of a URL.
fn whole_url(url: &str) -> String {
    if url.starts_with('/') {
        format!("http://localhost{url}")
    } else if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    }
}
