//! A change of the rules: what is written, who writes it, and why it may not come to be.

use std::fmt::Write;
use std::path::PathBuf;

use hatchway_proto::catalog::history::Record;
use hatchway_proto::catalog::{Difference, Key, Object};

use crate::catalog::etcd::{EtcdConfigError, EtcdError};
use crate::catalog::file::FileError;
use crate::catalog::status::unix_ms;

/// Differences that one message names.
const NAMED: usize = 5;

/// Who changes the rules, and why.
#[derive(Clone, Debug)]
pub struct Author {
    /// A person or a program.
    pub who: String,
    /// In their words.
    pub why: String,
}

/// One thing to write.
#[derive(Clone, Debug)]
pub enum Change {
    /// An object, new or other than it was.
    Put(Object),
    /// An object that goes.
    Delete(Key),
}

impl Change {
    /// Of which object.
    pub fn key(&self) -> Key {
        match self {
            Self::Put(object) => object.key(),
            Self::Delete(key) => key.clone(),
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Objects that were put or deleted: what was so already is not counted.
    pub changes: usize,
    /// The source's revision that has all of it.
    pub revision: i64,
}

/// Why rules cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of ours cannot be read, written or locked.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The history of a file is no history.
    #[error("{}:{line}: the history is malformed ({message}); move it away to begin a new one", path.display())]
    Journal {
        /// Which file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// What was said about etcd.
    #[error(transparent)]
    EtcdConfig(#[from] EtcdConfigError),
    /// etcd cannot be reached, or refuses.
    #[error("etcd")]
    Etcd(#[from] EtcdError),
}

/// Why the rules were not written, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Somebody else was there in the meantime.
    #[error("{}", conflict(key, record.as_deref(), differences, *written))]
    Conflict {
        /// What both wanted to write.
        key: String,
        /// Who it was, where they have said so.
        record: Option<Box<Record>>,
        /// What they have changed.
        differences: Vec<Difference>,
        /// Changes of ours that are in force.
        written: usize,
    },
    /// Somebody writes the file without locking its folder.
    #[error(
        "{} was changed meanwhile by somebody who does not lock its folder; nothing was written: try again",
        path.display()
    )]
    FileChanged {
        /// Which file.
        path: PathBuf,
    },
    /// It was taken back from the gateway that tried it, or nobody tried it.
    #[error("{0}")]
    Trial(String),
    /// It is written, and gateways do not serve by it.
    #[error("{0}")]
    NotServed(String),
    /// Only in etcd do gateways say how far they have come.
    #[error(
        "gateways that follow a file do not say so: nobody can be waited for, nor try a change first"
    )]
    NobodyTold,
    /// A file that cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// etcd cannot be reached, or refuses.
    #[error("etcd")]
    Etcd(#[from] EtcdError),
}

fn conflict(
    key: &str,
    record: Option<&Record>,
    differences: &[Difference],
    written: usize,
) -> String {
    let mut text = format!("{key} was changed meanwhile ");
    // Writing to a string cannot fail.
    let _ = match record {
        Some(Record { who, why, at_unix_ms, .. }) => {
            let seconds = unix_ms().saturating_sub(*at_unix_ms) / 1000;
            write!(text, "by {who}, {seconds} s ago ({why})")
        }
        None => write!(text, "by somebody who left no record"),
    };
    for difference in differences.iter().take(NAMED) {
        let _ = write!(text, "\n  {difference}");
    }
    if let Some(more) = differences.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let _ = write!(text, "\n  and {more} more");
    }
    let _ = match written {
        0 => write!(text, "\nnothing was written: look at it and try again"),
        _ => write!(text, "\n{written} changes were written before it: look at it and try again"),
    };
    text
}
