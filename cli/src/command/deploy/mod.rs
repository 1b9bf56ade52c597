//! `hatchway deploy`: from projects to versions that any node can run, and to who gets them, in one step.
//!
//! Checked, packed ([`upload`]), put into the store where nodes fetch them from, then written to the rules like
//! [`apply`](super::apply) and [`release`](super::release) do it: [`plan`] decides.

mod plan;
mod upload;

use std::path::PathBuf;

use hatchway_package::store::Store;
use serde_json::json;

use self::plan::{Plan, Releasing};
use super::apply::merge::UnderWay;
use super::release::Percent;
use crate::count::count;
use crate::failure::{Failure, Outcome};
use crate::project::{self, Project};
use crate::rules::{ChangeArgs, Rules, RulesArgs};
use crate::{output, report};

/// What `hatchway deploy` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders with a hatchway.toml, or folders of such folders.
    #[arg(default_value = ".")]
    dirs: Vec<PathBuf>,
    /// Where nodes fetch packages from: file:///FOLDER, or s3://BUCKET/PREFIX with AWS_ENDPOINT_URL and the other variables of
    /// its tools.
    #[arg(long, value_name = "URL", env = "HATCHWAY_STORE")]
    store: Store,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    change: ChangeArgs,
    /// Give the new versions this share, and change nothing else of functions that are released already.
    #[arg(long, value_name = "PERCENT", conflicts_with_all = ["stable", "no_release", "keep_releases"])]
    share: Option<Percent>,
    /// Give the new versions to everybody who has no share or rule of its own.
    #[arg(long, conflicts_with_all = ["no_release", "end_releases", "keep_releases"])]
    stable: bool,
    /// Add the new versions, which serve nobody by themselves.
    #[arg(long, conflicts_with_all = ["end_releases", "keep_releases"])]
    no_release: bool,
    /// Give everybody the new version even where a release is under way, with shares or rules of its own; with --share, end
    /// the shares of other versions.
    #[arg(long)]
    end_releases: bool,
    /// Leave a release that is under way as it is: the new version is added, and serves nobody by itself.
    #[arg(long, conflicts_with = "end_releases")]
    keep_releases: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn releasing(&self) -> Releasing {
        match self.share {
            Some(percent) => Releasing::Share { percent, ends_others: self.end_releases },
            None if self.stable => Releasing::Stable,
            None if self.no_release => Releasing::Nobody,
            None if self.end_releases => Releasing::All(UnderWay::End),
            None if self.keep_releases => Releasing::All(UnderWay::Keep),
            None => Releasing::All(UnderWay::Refuse),
        }
    }
}

/// Checks, packs, uploads, writes.
pub(crate) fn run(args: &Args) -> Outcome {
    let project = project::load(&args.dirs).map_err(Failure::Project)?;
    let folders = project.functions.iter().map(|function| function.folder.clone());
    let parcels = upload::pack_all(folders)?;
    let uploaded = upload::upload(&args.store, &parcels)?;
    let digests = parcels.iter().map(|(folder, parcel)| (folder.clone(), parcel.packed.digest));
    let project = project.stored(&digests.collect());

    let rules = Rules::open(&args.rules)?;
    let name = rules.name.clone();
    let plan = Plan {
        current: rules.objects(),
        project: &project.objects,
        is_whole: args.rules.is_file(),
    };
    let merged = plan.changes(args.releasing()).map_err(Failure::Refused)?;
    let done = rules.push(merged.changes, &args.change, "hatchway deploy")?;

    let packed_bytes = parcels.values().map(|parcel| parcel.packed.packed_bytes).sum();
    if args.json {
        return output::json(&json!({
            "rules": name, "written": done.changes, "revision": done.revision, "gateways": done.gateways,
            "kept": merged.kept, "versions": versions(&project), "packed_bytes": packed_bytes,
            "packages": parcels.len(), "uploaded": uploaded,
        }));
    }
    report::print_notes(&project.notes);
    for (folder, parcel) in &parcels {
        let left_out = parcel.packed.left_out.iter();
        report::print_notes(
            &left_out.map(|link| left_behind(folder.join(link))).collect::<Vec<_>>(),
        );
    }
    for function in &merged.kept {
        let function = output::short_name(function);
        report::print_notes(&[format!(
            "the release of {function} is under way and stays as it is"
        )]);
    }
    for function in &project.functions {
        output::line(&format!("{} {}", output::short_name(&function.name), function.version))?;
    }
    let (packages, size) = (count(parcels.len(), "package"), output::size(packed_bytes));
    output::line(&format!("{packages} of {size} in {}, {uploaded} of them new", args.store))?;
    let functions = count(project.functions.len(), "function");
    output::line(&format!("{functions} in {name}, {done}"))
}

fn left_behind(link: PathBuf) -> String {
    format!("{} leads out of its folder, and is not in the package", link.display())
}

fn versions(project: &Project) -> serde_json::Map<String, serde_json::Value> {
    let functions = project.functions.iter();
    functions.map(|function| (function.name.to_string(), json!(function.version))).collect()
}
