//! `hatchway up`: a gateway and a node in one process, with files in place of a shared catalog.

use std::path::PathBuf;
use std::process::ExitCode;

/// What `hatchway up` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders with a hatchway.toml, or folders of such folders.
    #[arg(default_value = ".")]
    dirs: Vec<PathBuf>,
}

/// Checks the projects; this build cannot serve them.
pub(crate) fn run(args: Args) -> ExitCode {
    if let Err(mistakes) = crate::project::load(&args.dirs) {
        crate::report::print_reload(&mistakes);
    }
    eprintln!("hatchway: this build has no `up`");
    ExitCode::FAILURE
}
