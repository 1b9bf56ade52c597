//! `hatchway release`: which version of a function answers whom; a canary is a share that grows.

mod edit;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hatchway_proto::catalog::{BASIS_POINTS, Key, Objects, Release};
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_wire::catalog::store::Change;
use serde_json::json;

use self::edit::{Edit, StickyBy, Tagged, Weighted};
use crate::failure::{Failure, Outcome};
use crate::rules::{ChangeArgs, Rules, RulesArgs};
use crate::{output, project, rehearsal, report};

pub(crate) use self::edit::{Percent, VersionArg};

/// What `hatchway release` is told. Without a change it shows the release.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whose versions.
    function: FunctionName,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    change: ChangeArgs,
    /// Add the version in this project, which serves nobody by itself. It is called `new` here.
    #[arg(long, value_name = "DIR")]
    add: Option<PathBuf>,
    /// The version that serves everybody else; a share of its own ends.
    #[arg(long, value_name = "VERSION")]
    stable: Option<VersionArg>,
    /// Who serves a part, in the place of all shares so far: VERSION=5% (the first digits of a version are enough).
    #[arg(long = "share", value_name = "VERSION=PERCENT")]
    shares: Vec<Weighted>,
    /// Give everything to stable.
    #[arg(long, conflicts_with = "shares")]
    no_shares: bool,
    /// What makes a client the same client: header:NAME, cookie:NAME, query:NAME, address or none.
    #[arg(long, value_name = "BY")]
    sticky: Option<StickyBy>,
    /// A version that answers who asks for it by name (TAG--HOST or x-hatchway-tag): TAG=VERSION, or TAG= to end it.
    #[arg(long = "tag", value_name = "TAG=VERSION")]
    tags: Vec<Tagged>,
    /// Say what this would do to the requests of now, by the heads that a gateway has kept, and write nothing.
    #[arg(long)]
    rehearse: bool,
    /// Print the release as JSON.
    #[arg(long)]
    json: bool,
}

/// Reads, changes and writes; or shows.
pub(crate) fn run(args: &Args) -> Outcome {
    let rules = Rules::open(&args.rules)?;
    let mut objects = rules.objects().clone();
    let added =
        args.add.as_deref().map(|dir| add(&mut objects, dir, &args.function)).transpose()?;
    let edit = Edit {
        function: &args.function,
        added,
        stable: args.stable.as_ref(),
        shares: &args.shares,
        no_shares: args.no_shares,
        sticky: args.sticky.as_ref(),
        tags: &args.tags,
    };
    edit.apply(&mut objects).map_err(Failure::Refused)?;
    // The version before the release that may name it. What is so already is not written.
    let keys = added.map(Key::Version).into_iter().chain([Key::Release(args.function.clone())]);
    let changes: Vec<_> = keys.filter_map(|key| objects.get(&key)).map(Change::Put).collect();
    let why = format!("hatchway release {}", output::short_name(&args.function));
    if args.rehearse {
        return rehearsal::show(&rules.rehearse(&args.rules, &changes)?, args.json);
    }
    rules.push(changes, &args.change, &why)?;
    show(args, &objects)
}

/// Adds the version that a project has of a function.
pub(crate) fn add(
    objects: &mut Objects,
    dir: &Path,
    function: &FunctionName,
) -> Result<VersionId, Failure> {
    let project = project::load(&[dir.to_owned()]).map_err(Failure::Project)?;
    report::print_notes(&project.notes);
    let found = project.functions.iter().find(|deployed| deployed.name == *function);
    let found = found.ok_or_else(|| {
        Failure::Refused(format!(
            "{} has no function {}",
            dir.display(),
            output::short_name(function)
        ))
    })?;
    let version = Arc::clone(&project.objects.versions[&found.version]);
    objects.versions.insert(found.version, version);
    Ok(found.version)
}

fn show(args: &Args, objects: &Objects) -> Outcome {
    let Some(release) = objects.releases.get(&args.function) else {
        let name = output::short_name(&args.function);
        return Err(Failure::Refused(format!("the catalog has no release of {name}")));
    };
    if args.json {
        return output::json(&json!({ "function": args.function, "release": release }));
    }
    let mut table = output::table(&["VERSION", "SHARE", "ROLE", "PACKAGE"]);
    for row in rows(release) {
        let package = objects.versions.get(&row.0).map(|version| output::package(&version.package));
        table.add_row([row.0.to_string(), row.1, row.2, output::or_dash(package)]);
    }
    output::show(&table)
}

/// Version, share and role, a row each.
fn rows(release: &Release) -> Vec<(VersionId, String, String)> {
    let given: u16 = release.shares.iter().map(|share| share.basis_points).sum();
    let left = Percent(BASIS_POINTS.saturating_sub(given));
    let mut rows = vec![(release.stable, left.to_string(), "stable".to_owned())];
    for share in &release.shares {
        rows.push((share.version, Percent(share.basis_points).to_string(), "share".to_owned()));
    }
    for (index, rule) in release.rules.iter().enumerate() {
        for share in &rule.shares {
            rows.push((
                share.version,
                Percent(share.basis_points).to_string(),
                format!("rule {index}"),
            ));
        }
    }
    for (tag, version) in &release.tags {
        rows.push((*version, "-".to_owned(), format!("tag {tag}")));
    }
    rows
}
