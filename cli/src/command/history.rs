//! `hatchway history`: who changed the rules, when, why, and what it was.

use hatchway_proto::catalog::Key;
use hatchway_proto::catalog::history::Told;

use crate::count::count;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::rules::{Rules, RulesArgs};

/// Objects of one change that are shown with what differs; of more, the keys are shown.
const SHOWN: usize = 10;

/// What `hatchway history` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only changes of this object: releases/shop, routes/NAME, functions/TENANT/NAME or versions/ID.
    object: Option<String>,
    #[command(flatten)]
    rules: RulesArgs,
    /// So many changes, the newest first.
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: usize,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

/// The key of an object as a person types it: the tenant may be left out where it is the default one.
///
/// # Errors
/// What it should have been.
pub(crate) fn key(typed: &str) -> Result<Key, Failure> {
    let with_tenant = typed.replacen('/', "/local/", 1);
    Key::parse(typed)
        .or_else(|error| Key::parse(&with_tenant).map_err(|_| error))
        .map_err(|error| Failure::Settings(format!("{typed:?}: {error}")))
}

/// Reads and shows.
pub(crate) fn run(args: &Args) -> Outcome {
    let only = args.object.as_deref().map(key).transpose()?;
    let told = Rules::open(&args.rules)?.history(only.as_ref(), args.limit)?;
    if args.json {
        return output::json(&told);
    }
    if told.is_empty() {
        return output::line("nothing is known of earlier changes");
    }
    let only = only.map(|key| key.to_string());
    for told in &told {
        let when = output::date_and_time(told.at_unix_ms);
        output::line(&format!("revision {}  {when}  {}", told.revision, told.who))?;
        output::line(&format!("    {}", told.why))?;
        show(told, only.as_deref())?;
    }
    Ok(())
}

fn show(told: &Told, only: Option<&str>) -> Outcome {
    let wanted = told.changes.iter().filter(|one| only.is_none_or(|only| one.key == only));
    for one in wanted.take(SHOWN) {
        output::line(&format!("  {}", one.key))?;
        match &one.differences {
            None => output::line(
                "    what it became is not known: a change without a record came next",
            )?,
            Some(differences) => {
                for difference in differences {
                    output::line(&format!("    {difference}"))?;
                }
            }
        }
    }
    match told.changes.len().checked_sub(SHOWN).filter(|more| *more > 0 && only.is_none()) {
        Some(more) => output::line(&format!("  and {} more", count(more, "object"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_may_be_left_out() {
        for (typed, whole) in [
            ("releases/shop", "releases/local/shop"),
            ("functions/t/shop", "functions/t/shop"),
            ("routes/a", "routes/a"),
        ] {
            assert_eq!(key(typed).unwrap().to_string(), whole);
        }
        for wrong in ["shop", "release/shop", "versions/1"] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
    }
}
