//! How a command ends when it does not end well: the words, and the exit code for scripts.

use std::io::ErrorKind;
use std::process::ExitCode;

use hatchway_proto::manifest::Diagnostic;

use crate::count::count;
use crate::report;

/// Why a command could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command did its work and the answer is no.
    #[error("{0}")]
    Refused(String),
    /// Manifests or their files are wrong.
    #[error("{} in the project", count(.0.len(), "mistake"))]
    Project(Vec<Diagnostic>),
    /// The other side cannot be reached.
    #[error("{what}")]
    Unavailable { what: String, source: Box<dyn std::error::Error + Send + Sync> },
    /// A setting of the command itself is wrong.
    #[error("{0}")]
    Settings(String),
    /// A file or a stream failed.
    #[error("{what}")]
    Io { what: String, source: std::io::Error },
}

/// What a command answers to `main`.
pub(crate) type Outcome = Result<(), Failure>;

impl Failure {
    /// The exit code (sysexits.h where it has one): 1 refused or failed, 65 bad manifest, 69 unavailable,
    /// 78 bad settings. 2, for wrong usage, is clap's.
    fn code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Io { .. } => 1,
            Self::Project(_) => report::BAD_PROJECT,
            Self::Unavailable { .. } => 69,
            Self::Settings(_) => 78,
        }
    }

    /// Says on stderr what went wrong, once, with its causes, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if let Self::Io { source, .. } = self
            && source.kind() == ErrorKind::BrokenPipe
        {
            // Whoever read our output has read enough.
            return ExitCode::SUCCESS;
        }
        if let Self::Project(mistakes) = self {
            report::print(mistakes);
        } else {
            let mut line = format!("hatchway: {self}");
            let mut cause = std::error::Error::source(self);
            while let Some(error) = cause {
                line.push_str(&format!(": {error}"));
                cause = error.source();
            }
            eprintln!("{line}");
        }
        ExitCode::from(self.code())
    }
}
