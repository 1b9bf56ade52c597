//! `hatchway rollback`: what was, again. It is a change like any other: with a record, and undone in the same way.

use serde_json::json;

use super::history;
use crate::failure::Outcome;
use crate::output;
use crate::rules::{ChangeArgs, Rules, RulesArgs};

/// What `hatchway rollback` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A revision, as `hatchway history` shows it: what it left is made so again.
    revision: i64,
    /// Only this object: releases/shop, routes/NAME, functions/TENANT/NAME or versions/ID.
    object: Option<String>,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    change: ChangeArgs,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Reads, and writes what was.
pub(crate) fn run(args: &Args) -> Outcome {
    let only = args.object.as_deref().map(history::key).transpose()?;
    let rules = Rules::open(&args.rules)?;
    let (keys, done) = rules.roll_back(args.revision, only.as_ref(), &args.change)?;
    if args.json {
        let (written, revision) = (done.changes, done.revision);
        return output::json(&json!({
            "written": written, "revision": revision, "gateways": done.gateways, "objects": keys,
        }));
    }
    for key in keys {
        output::line(&key)?;
    }
    output::line(&done.to_string())
}
