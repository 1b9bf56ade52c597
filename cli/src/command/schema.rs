//! `hatchway schema`: what an editor needs to complete and to check a hatchway.toml, or a program to use the admin API.

use hatchway_gateway::admin;
use hatchway_proto::manifest;

use crate::failure::Outcome;
use crate::output;

/// What `hatchway schema` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the OpenAPI document of the admin API.
    #[arg(long)]
    api: bool,
}

/// Prints it.
pub(crate) fn run(args: &Args) -> Outcome {
    if args.api { output::json(&admin::document()) } else { output::json(&manifest::schema()) }
}
