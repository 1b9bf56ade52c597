//! Why there is no figure.

use std::io;
use std::path::Path;

#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("{program} is not installed")]
    NotInstalled { program: String },
    #[error("{name} did not become ready; it said:\n{output}")]
    NotReady { name: String, output: String },
    #[error("{program} failed; it said:\n{output}")]
    Failed { program: String, output: String },
    #[error("{what} is not as expected: {text}")]
    Unexpected { what: &'static str, text: String },
    #[error("{what}")]
    Io { what: String, source: io::Error },
}

pub(crate) type Result<T> = std::result::Result<T, BenchError>;

/// Adds what was being done to an I/O error.
pub(crate) trait During<T> {
    fn during(self, what: &str) -> Result<T>;
    fn at(self, what: &str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> During<T> for std::result::Result<T, E> {
    fn during(self, what: &str) -> Result<T> {
        self.map_err(|error| BenchError::Io { what: what.to_owned(), source: error.into() })
    }

    fn at(self, what: &str, path: &Path) -> Result<T> {
        self.during(&format!("{what} {}", path.display()))
    }
}
