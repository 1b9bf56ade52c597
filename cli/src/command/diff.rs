//! `hatchway diff`: how the rules differ between two revisions, or between one and now.

use crate::failure::{Failure, Outcome};
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
    let known = Rules::open(&args.rules)?.timeline()?;
    let found = known.between(args.from, args.to.unwrap_or_else(|| known.newest()));
    let found = found.map_err(|error| Failure::Refused(error.to_string()))?;
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
