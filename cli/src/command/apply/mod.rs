//! `hatchway apply`: from projects to the rules that gateways and nodes follow: a file, whole or not at all, or etcd.
//!
//! In etcd, which several projects share, what this one does not name is left alone, but for routes that its functions no
//! longer have. A file is of the projects that are named, and of no others. [`merge`] decides.

pub(crate) mod merge;

use std::path::PathBuf;

use serde_json::json;

use self::merge::{Merge, UnderWay};
use crate::count::count;
use crate::failure::{Failure, Outcome};
use crate::rules::{ChangeArgs, Rules, RulesArgs};
use crate::{output, project, rehearsal, report};

/// What `hatchway apply` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders with a hatchway.toml, or folders of such folders.
    #[arg(default_value = ".")]
    dirs: Vec<PathBuf>,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    change: ChangeArgs,
    /// Give everybody the new version even where a release is under way, with shares or rules of its own.
    #[arg(long)]
    end_releases: bool,
    /// Leave a release that is under way as it is: the new version is added, and serves nobody by itself.
    #[arg(long, conflicts_with = "end_releases")]
    keep_releases: bool,
    /// Say what this would do to the requests of now, by the heads that a gateway has kept, and write nothing.
    #[arg(long)]
    rehearse: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks, then writes.
pub(crate) fn run(args: &Args) -> Outcome {
    let project = project::load(&args.dirs).map_err(Failure::Project)?;
    let rules = Rules::open(&args.rules)?;
    let name = rules.name.clone();
    let under_way = if args.end_releases {
        UnderWay::End
    } else if args.keep_releases {
        UnderWay::Keep
    } else {
        UnderWay::Refuse
    };
    let merge = Merge { current: rules.objects(), project: &project.objects, under_way };
    let merged = if args.rules.is_file() { merge.whole() } else { merge.own() };
    let merged = merged.map_err(|error| Failure::Refused(error.to_string()))?;
    if args.rehearse {
        return rehearsal::show(&rules.rehearse(&args.rules, &merged.changes)?, args.json);
    }
    let done = rules.push(merged.changes, &args.change, "hatchway apply")?;
    if args.json {
        return output::json(&json!({
            "rules": name, "written": done.changes, "revision": done.revision, "gateways": done.gateways,
            "kept": merged.kept, "releases": project.objects.releases,
        }));
    }
    report::print_notes(&project.notes);
    for function in &merged.kept {
        let function = output::short_name(function);
        report::print_notes(&[format!(
            "the release of {function} is under way and stays as it is"
        )]);
    }
    let functions = count(project.functions.len(), "function");
    output::line(&format!("{functions} in {name}, {done}"))
}
