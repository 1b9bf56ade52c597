//! Why a package was not unpacked.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;

/// Why a package was not unpacked. What is there of it then is of no use.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Its bytes are not those that were packed: damaged, cut short, or others. Another copy may be whole.
    #[error("its bytes are damaged: their SHA-256 is {found}")]
    Damaged {
        /// What they are.
        found: Digest,
    },
    /// Its bytes are what its name says, and no package.
    #[error("it is no tar that is compressed by zstd: {what}")]
    Malformed {
        /// What is wrong.
        what: String,
    },
    /// It has something that no package may have.
    #[error("{} {why}", path.display())]
    Refused {
        /// Whose path, as far as there is one.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It is larger than packages may be.
    #[error("it has more than {limit} {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How much may be.
        limit: u64,
    },
    /// Reading it failed half way.
    #[error("reading it failed")]
    Source(#[source] io::Error),
    /// The disk.
    #[error("it cannot be written")]
    Disk(#[source] io::Error),
}

impl UnpackError {
    /// True when what was read is to blame, so that the digest of the whole decides what to say of it.
    pub(super) fn is_about_content(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Malformed { .. } | Self::Refused { .. } => true,
            Self::TooLarge { .. } => true,
            Self::Source(_) | Self::Disk(_) => false,
        }
    }
}
