//! `hatchway history`: who changed the rules, when, why, and what it was.

use hatchway_proto::catalog::Key;
use hatchway_proto::catalog::history::{Entry, Timeline};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome, count};
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
    let key = args.object.as_deref().map(key).transpose()?.map(|key| key.to_string());
    let known = Rules::open(&args.rules)?.timeline()?;
    let concerns = |entry: &&Entry| match &key {
        None => true,
        Some(key) => entry.record.touched.iter().any(|touched| touched.key == *key),
    };
    let entries: Vec<&Entry> =
        known.entries().iter().rev().filter(concerns).take(args.limit).collect();
    if args.json {
        let shown: Vec<Value> = entries.iter().map(|entry| told(&known, entry)).collect();
        return output::json(&shown);
    }
    if entries.is_empty() {
        return output::line("nothing is known of earlier changes");
    }
    for entry in entries {
        let record = &entry.record;
        let when = output::date_and_time(record.at_unix_ms);
        output::line(&format!("revision {}  {when}  {}", entry.revision, record.who))?;
        output::line(&format!("    {}", record.why))?;
        show(&known, entry, key.as_deref())?;
    }
    Ok(())
}

fn show(known: &Timeline, entry: &Entry, only: Option<&str>) -> Outcome {
    let touched = &entry.record.touched;
    let wanted = touched.iter().filter(|touched| only.is_none_or(|only| touched.key == only));
    for touched in wanted.take(SHOWN) {
        output::line(&format!("  {}", touched.key))?;
        match known.changed_by(entry, touched) {
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
    match touched.len().checked_sub(SHOWN).filter(|more| *more > 0 && only.is_none()) {
        Some(more) => output::line(&format!("  and {} more", count(more, "object"))),
        None => Ok(()),
    }
}

fn told(known: &Timeline, entry: &Entry) -> Value {
    let changes = entry.record.touched.iter().map(
        |touched| json!({ "key": touched.key, "differences": known.changed_by(entry, touched) }),
    );
    let record = &entry.record;
    json!({
        "revision": entry.revision, "who": record.who, "why": record.why,
        "at_unix_ms": record.at_unix_ms, "changes": changes.collect::<Vec<_>>(),
    })
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
