//! `hatchway-sandbox-init`: see `hatchway_sandbox::program::init`.

use std::process::ExitCode;

fn main() -> ExitCode {
    hatchway_sandbox::program::init::main()
}
