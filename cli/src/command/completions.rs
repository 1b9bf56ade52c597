//! `hatchway completions`: what a shell needs to complete our commands.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::failure::Outcome;
use crate::output;

/// What `hatchway completions` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For which shell.
    shell: Shell,
}

/// Prints the script for `C`.
pub(crate) fn run<C: CommandFactory>(args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "hatchway", &mut script);
    output::line(&String::from_utf8_lossy(&script))
}
