//! `hatchway token`: who may use the admin API of a gateway.

use std::path::PathBuf;

use hatchway_wire::admin::{Role, Tokens};
use hatchway_wire::process::chain;

use crate::failure::{Failure, Outcome};
use crate::output;

/// What `hatchway token` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a token, and write into a file by what it is known. Gateways that were given the file (--admin-tokens) know it at
    /// once; without its line it is worth nothing.
    New(New),
}

#[derive(Debug, clap::Args)]
struct New {
    /// Whose it is; the history calls them so.
    name: String,
    /// What they may do: read, or operate, which is read and change.
    #[arg(long)]
    role: Role,
    /// The file of tokens; made where it is not there yet.
    #[arg(long, value_name = "FILE", default_value = "hatchway-tokens")]
    file: PathBuf,
}

/// Prints the token: nobody can read it anywhere later.
pub(crate) fn run(args: &Args) -> Outcome {
    let What::New(New { name, role, file }) = &args.what;
    let token = Tokens::add(file, name, *role).map_err(|error| Failure::Settings(chain(&error)))?;
    output::line(&token)
}
