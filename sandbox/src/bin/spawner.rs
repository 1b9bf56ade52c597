//! `hatchway-spawner`: see `hatchway_sandbox::program::spawner`.

use std::process::ExitCode;

fn main() -> ExitCode {
    hatchway_sandbox::program::spawner::main()
}
