//! Rules for those who change them: read whole, changed in one step, never over what somebody else has done meanwhile.
//!
//! [`change`] says what a change is and how it can fail; [`file`](mod@file) changes a file and [`journal`] is its memory; in
//! etcd it is [`etcd::push`](super::etcd::push). [`check`] looks at what a change would break, [`terms`] is how one is made,
//! with [`first`] at one gateway before all others.

mod change;
pub mod check;
mod file;
mod first;
mod journal;
mod terms;

use hatchway_proto::catalog::history::Timeline;
use hatchway_proto::catalog::{Key, Objects};

use super::etcd::push::Store as EtcdStore;
use super::intake::SourceArgs;

pub use change::{Author, Change, PushError, Pushed, StoreError};
pub use file::FileStore;
pub use first::First;
pub use hatchway_proto::catalog::history::DEFAULT_KEPT;
pub use terms::{Done, Terms};

/// Where rules are kept, as read at one moment.
#[derive(Debug)]
pub enum Store {
    /// In a file, locked for as long as this lives.
    File(Box<FileStore>),
    /// In etcd.
    Etcd(Box<EtcdStore>),
}

impl Store {
    /// Reads everything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(args: &SourceArgs) -> Result<Self, StoreError> {
        Ok(match &args.catalog {
            Some(path) => {
                // Its turn may come late, and others run on this thread.
                let path = path.clone();
                let locked = tokio::task::spawn_blocking(move || FileStore::lock(&path)).await;
                Self::File(Box::new(locked.expect("locking does not panic, and is awaited")?))
            }
            None => Self::Etcd(Box::new(EtcdStore::open(&args.etcd.check()?).await?)),
        })
    }

    /// Every good object.
    pub fn objects(&self) -> &Objects {
        match self {
            Self::File(store) => store.objects(),
            Self::Etcd(store) => &store.objects,
        }
    }

    /// The source's count of changes when it was read.
    pub fn revision(&self) -> i64 {
        match self {
            Self::File(store) => store.revision(),
            Self::Etcd(store) => store.revision(),
        }
    }

    /// Of the last change of an object. Where nothing has ever recorded one, 0; so is that of an object that is not there.
    pub fn revision_of(&self, key: &Key) -> i64 {
        match self {
            Self::File(store) => store.revision_of(key),
            Self::Etcd(store) => store.revision_of_object(key),
        }
    }

    /// Keeps so many records of changes in place of [`DEFAULT_KEPT`].
    #[must_use]
    pub fn keeping(self, records: usize) -> Self {
        match self {
            Self::File(store) => Self::File(Box::new(store.keeping(records))),
            Self::Etcd(store) => Self::Etcd(Box::new(store.keeping(records))),
        }
    }

    /// Writes `changes`, in an order in which nothing is named before it is there; what is so already is left alone.
    ///
    /// # Errors
    /// [`PushError`]. In etcd, what was written before stays written.
    pub async fn push(self, changes: Vec<Change>, author: &Author) -> Result<Pushed, PushError> {
        match self {
            Self::File(store) => store.push(changes, author),
            Self::Etcd(store) => store.push(changes, author).await,
        }
    }

    /// What was changed before, and how it was.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub async fn timeline(&self) -> Result<Timeline, StoreError> {
        match self {
            Self::File(store) => Ok(store.timeline()),
            Self::Etcd(store) => Ok(store.timeline().await?),
        }
    }
}
