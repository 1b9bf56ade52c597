//! `hatchway explain`: where a request would go, and why.

use hatchway_proto::name::FunctionName;
use serde::Deserialize;

use crate::admin::{Admin, AdminArgs, typed};
use crate::failure::{Failure, Outcome};
use crate::output;

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
    let mut query = vec![("method", method.as_str()), ("url", url.as_str())];
    query.extend(args.headers.iter().map(|header| ("header", header.as_str())));
    let client = args.client.map(|client| client.to_string());
    query.extend(client.as_deref().map(|client| ("client", client)));
    let answer = Admin::new(&args.admin)?.get("/v1/explain", &query)?;
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
