//! How an operator asks for an access log.

use std::path::PathBuf;
use std::str::FromStr;

/// Where lines go, and what they leave out.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AccessConfig {
    /// Write a line of JSON for every request, to a file or, as `-`, to standard output. After a rename of the file, SIGHUP makes a
    /// new one (with a terminal as its input, a program takes SIGHUP for the end of the terminal).
    #[arg(id = "access_log", long = "access-log", value_name = "FILE")]
    pub target: Option<Target>,
    /// Leave what follows the `?` of a target out of the access log.
    #[arg(long = "access-log-without-query", requires = "access_log")]
    pub without_query: bool,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The standard output.
    Stdout,
    /// A file, which is appended to.
    File(PathBuf),
}

impl FromStr for Target {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "-" => Self::Stdout,
            path => Self::File(path.into()),
        })
    }
}
