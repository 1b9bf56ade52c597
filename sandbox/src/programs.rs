//! Where our own programs are: in the folder of the one that runs.

use std::io;
use std::path::PathBuf;

/// The two programs that a node needs beside itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    pub spawner: PathBuf,
    pub init: PathBuf,
}

/// Why a program was not found.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    #[error("the folder of the running program cannot be found out")]
    CurrentExe(#[source] io::Error),
    #[error("{path} is missing: it is installed and built together with the program that runs", path = .path.display())]
    Missing { path: PathBuf },
}

/// Finds `hatchway-spawner` and `hatchway-sandbox-init` beside the running program.
///
/// # Errors
/// Names the program that is missing.
pub fn beside_current_exe() -> Result<Programs, ProgramsError> {
    let mut dir = std::env::current_exe().map_err(ProgramsError::CurrentExe)?;
    dir.pop();
    // Test programs of cargo lie one folder below the others.
    if dir.ends_with("deps") {
        dir.pop();
    }
    let find = |name: &str| {
        let path = dir.join(name);
        match path.is_file() {
            true => Ok(path),
            false => Err(ProgramsError::Missing { path }),
        }
    };
    Ok(Programs { spawner: find("hatchway-spawner")?, init: find("hatchway-sandbox-init")? })
}
