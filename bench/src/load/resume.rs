//! Our own load maker, beside this program: resumed TLS sessions.

use std::net::SocketAddr;
use std::process::Command;

use crate::cases::Case;
use crate::error::{During as _, Result};

/// One thread per connection, but for how long.
pub(super) fn command(case: &Case, address: SocketAddr) -> Result<Command> {
    let program = std::env::current_exe().during("find this program")?;
    let mut command = Command::new(program.with_file_name("hatchway-bench-tls"));
    command.arg(address.to_string()).arg(case.path);
    command.arg(format!("--connections={}", case.connections));
    Ok(command)
}
