//! What was applied, kept on this machine's disk, so that a start does not need etcd.
//!
//! [`mod@format`] is a file as bytes; [`folder`] keeps two generations of it; [`writer`] writes behind the back of
//! whoever serves.

mod folder;
pub mod format;
mod writer;

pub use folder::{Folder, FolderError, Kept, peek};
pub use writer::{DiskStatus, Writer};
