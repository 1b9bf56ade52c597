//! `hatchway rollback`: what was, again. It is a change like any other: with a record, and undone in the same way.

use hatchway_proto::catalog::history::Timeline;
use hatchway_proto::catalog::{Key, Object, Objects};
use hatchway_wire::catalog::store::Change;
use serde_json::json;

use super::history;
use crate::failure::{Failure, Outcome};
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
    let changes = changes(&rules.timeline()?, args.revision, only.as_ref())?;
    check(rules.objects(), &changes)?;
    let keys: Vec<String> = changes.iter().map(|change| change.key().to_string()).collect();
    let why = format!("rollback to {}", args.revision);
    let done = rules.push(changes, &args.change, &why)?;
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

/// What has to be written, in an order in which nothing is named before it is there.
fn changes(known: &Timeline, revision: i64, only: Option<&Key>) -> Result<Vec<Change>, Failure> {
    let refused = |error: String| Failure::Refused(error);
    let (mut puts, mut deletes) = (Objects::default(), Vec::new());
    for name in known.touched_since(revision) {
        let key = Key::parse(name).map_err(|error| refused(format!("{name}: {error}")))?;
        if only.is_some_and(|only| *only != key) {
            continue;
        }
        let was = known.value_at(name, revision).map_err(|error| refused(error.to_string()))?;
        let now = known.now().get(name).map(|value| &*value.text);
        match was {
            same if same == now => {}
            None => deletes.push(Change::Delete(key)),
            Some(text) => {
                let object = Object::parse(key, text.as_bytes());
                let object = object.map_err(|error| {
                    refused(format!("{name} was no good object at {revision}: {error}"))
                })?;
                puts.put(object);
            }
        }
    }
    // Functions come before what names them, also in the order of their keys: what goes, goes the other way.
    deletes.sort_by_key(|change| std::cmp::Reverse(change.key()));
    Ok(puts.iter().map(Change::Put).chain(deletes).collect())
}

/// One object alone may lead to what is not there any more.
fn check(now: &Objects, changes: &[Change]) -> Outcome {
    let mut after = now.clone();
    for change in changes {
        match change {
            Change::Put(object) => _ = after.put(object.clone()),
            Change::Delete(key) => _ = after.remove(key),
        }
    }
    for change in changes {
        let Change::Put(object) = change else { continue };
        if let Some(missing) = object.names().into_iter().find(|key| after.get(key).is_none()) {
            return Err(Failure::Refused(format!(
                "{} would lead to {missing}, which is not there any more: roll that back first, or everything",
                object.key()
            )));
        }
    }
    Ok(())
}
