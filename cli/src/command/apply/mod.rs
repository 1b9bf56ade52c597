//! `hatchway apply`: from projects to a catalog that gateways and nodes read: a file, whole or not at all, or etcd.

mod etcd;
mod file;

use std::path::PathBuf;

use hatchway_wire::catalog::etcd::EtcdArgs;

use crate::failure::{Failure, Outcome};
use crate::project;

/// What `hatchway apply` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders with a hatchway.toml, or folders of such folders.
    #[arg(default_value = ".")]
    dirs: Vec<PathBuf>,
    /// The file that gateways and nodes read.
    #[arg(long, value_name = "FILE", required_unless_present = "etcd", conflicts_with = "etcd")]
    catalog: Option<PathBuf>,
    /// Or etcd.
    #[command(flatten)]
    etcd: EtcdArgs,
    /// Why, for those who look at the history of etcd later.
    #[arg(
        long,
        short = 'm',
        value_name = "TEXT",
        default_value = "hatchway apply",
        requires = "etcd"
    )]
    message: String,
    /// Give everybody the new version even where a release is under way in etcd.
    #[arg(long, requires = "etcd")]
    end_releases: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks, then writes.
pub(crate) fn run(args: &Args) -> Outcome {
    let project = project::load(&args.dirs).map_err(Failure::Project)?;
    match &args.catalog {
        Some(path) => file::apply(path, &project, args.json),
        None => etcd::apply(args, &project),
    }
}
