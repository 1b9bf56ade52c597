//! Why the files of a version are not here.

use std::io;
use std::time::Duration;

use hatchway_package::store::StoreError;
use hatchway_package::{Digest, NotADigest, UnpackError};
use hatchway_proto::failure::{Component, Failure, ProxyError};
use hatchway_wire::process::chain;

use crate::pool::HatchFailure;

/// Why a package is not here: a word for labels and answers, a sentence for who called, and one for who runs the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FetchFailure {
    pub(super) reason: &'static str,
    message: String,
    /// Holds paths and addresses.
    pub(super) detail: String,
}

impl FetchFailure {
    fn new(reason: &'static str, message: String, detail: String) -> Self {
        Self { reason, message, detail }
    }

    pub(super) fn no_store() -> Self {
        let message = "its package is in a store, and the node has none: --store".to_owned();
        Self::new("no-store", message.clone(), message)
    }

    pub(super) fn not_a_digest(error: &NotADigest) -> Self {
        Self::new("package-refused", "its package has no digest".to_owned(), error.to_string())
    }

    pub(super) fn of_store(error: &StoreError) -> Self {
        match error {
            StoreError::Missing(_) => {
                Self::new("package-missing", error.to_string(), error.to_string())
            }
            StoreError::Unavailable(_) | StoreError::ReadOnly(_) | StoreError::File(_) => {
                Self::unavailable(chain(error))
            }
        }
    }

    pub(super) fn unavailable(detail: String) -> Self {
        let message = "the store of packages cannot be read at the moment".to_owned();
        Self::new("package-unavailable", message, detail)
    }

    pub(super) fn of_unpacking(digest: &Digest, error: &UnpackError) -> Self {
        let detail = chain(error);
        match error {
            UnpackError::Damaged { .. } => {
                Self::new("package-damaged", format!("the package {digest} is damaged"), detail)
            }
            UnpackError::Malformed { .. }
            | UnpackError::Refused { .. }
            | UnpackError::TooLarge { .. } => Self::new(
                "package-refused",
                format!("the package {digest} is refused: {error}"),
                detail,
            ),
            UnpackError::Source(_) => Self::unavailable(detail),
            UnpackError::Disk(_) => Self::disk(detail),
        }
    }

    pub(super) fn of_disk(error: &io::Error) -> Self {
        Self::disk(error.to_string())
    }

    fn disk(detail: String) -> Self {
        Self::new("package-disk", "the node cannot write the package".to_owned(), detail)
    }

    /// Another try at once may fare better.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.reason, "package-unavailable" | "package-damaged")
    }

    /// Less on the disk might help.
    pub(super) fn is_of_disk(&self) -> bool {
        self.reason == "package-disk"
    }

    /// As the client of an asset is told.
    pub(crate) fn answer(&self) -> Failure {
        let error = ProxyError::DestinationUnavailable;
        Failure::new(503, error, Component::Node, self.reason, self.message.clone())
            .retry_after(Duration::from_secs(1))
    }
}

impl From<FetchFailure> for HatchFailure {
    fn from(failure: FetchFailure) -> Self {
        Self { reason: failure.reason, message: failure.message }
    }
}
