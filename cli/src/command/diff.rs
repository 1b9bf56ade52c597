//! `hatchway diff`: how the rules differ between two revisions, or between one and now.

use crate::failure::Outcome;
use crate::output;
use crate::rules::{Rules, RulesArgs};

/// What `hatchway diff` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A revision, as `hatchway history` shows it.
    from: i64,
    /// Another one; what is there now by default.
    to: Option<i64>,
    #[command(flatten)]
    rules: RulesArgs,
    /// Print the differences as JSON, by object.
    #[arg(long)]
    json: bool,
}

/// Reads and shows.
pub(crate) fn run(args: &Args) -> Outcome {
    let found = Rules::open(&args.rules)?.between(args.from, args.to)?;
    if args.json {
        return output::json(&found);
    }
    for (key, differences) in found {
        output::line(&key)?;
        for difference in differences {
            output::line(&format!("  {difference}"))?;
        }
    }
    Ok(())
}
