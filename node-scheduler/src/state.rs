//! The state folder of a node: sockets, adapters, and the lock that keeps a second node out.

use std::fs::TryLockError;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use hatchway_sandbox::Identity;
use hatchway_sandbox::folder::careful;

/// Longest path: the socket of a sandbox below it has to fit the 108 bytes of sockaddr_un (unix(7)).
const PATH_BYTES: usize = 70;

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be made, given away or written.
    #[error("cannot use the state folder {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another node has it.
    #[error("the state folder {} is in use by another node: give each its own with --state", path.display())]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// The path of a socket below it would not fit.
    #[error("the state folder {} has too long a path for the sockets in it: at most {PATH_BYTES} bytes", path.display())]
    LongPath {
        /// Which.
        path: PathBuf,
    },
}

/// The state folder, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct State {
    /// Absolute, without links.
    pub(crate) path: PathBuf,
    /// None while the daemon that is to be replaced has it.
    lock: Option<OwnedFd>,
}

impl State {
    /// Makes and locks the folder, and gives it to `owner`, who the node will be. Where `replaces`, another daemon may have it.
    pub(crate) fn open(
        path: Option<&Path>,
        owner: Option<&Identity>,
        replaces: bool,
    ) -> Result<Self, StateError> {
        let path = path.map_or_else(default_path, ToOwned::to_owned);
        let failed = |source| StateError::Io { path: path.clone(), source };
        std::fs::create_dir_all(&path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        if path.as_os_str().len() > PATH_BYTES {
            return Err(StateError::LongPath { path });
        }
        let failed = |source| StateError::Io { path: path.clone(), source };
        if let Some(owner) = owner {
            chown(&path, Some(owner.uid), Some(owner.gid)).map_err(failed)?;
        }
        // By root in a folder that it has just given away: a link in the lock's place is not followed.
        let lock = careful().write(true).create(true).open(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, lock: Some(lock.into()) }),
            Err(TryLockError::WouldBlock) if replaces => Ok(Self { path, lock: None }),
            Err(TryLockError::WouldBlock) => Err(StateError::Locked { path }),
            Err(TryLockError::Error(source)) => Err(StateError::Io { path, source }),
        }
    }

    /// Where the sockets of the node are, and of its sandboxes.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.path.join("run")
    }

    /// The lock, unless another daemon has it.
    pub(crate) fn lock(&self) -> Option<&OwnedFd> {
        self.lock.as_ref()
    }

    /// The other daemon has given the lock up: it belongs to whoever has the open file (flock(2)).
    pub(crate) fn inherit(&mut self, lock: OwnedFd) {
        self.lock = Some(lock);
    }

    /// The control group of this node: the same for the same folder, so that the next start finds what the
    /// last one left.
    pub(crate) fn group_name(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.path.hash(&mut hasher);
        format!("hatchway-{:012x}", hasher.finish() >> 16)
    }
}

fn default_path() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return "/var/lib/hatchway".into();
    }
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("hatchway")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_serves_one_node_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = State::open(Some(folder.path()), None, false).unwrap();
        let second = State::open(Some(folder.path()), None, false);
        assert!(matches!(second, Err(StateError::Locked { .. })));
        let heir = State::open(Some(folder.path()), None, true).unwrap();
        assert!(heir.lock().is_none(), "not before it is given");
        drop(first);
        assert!(State::open(Some(folder.path()), None, false).is_ok());
    }

    #[test]
    fn a_path_that_leaves_no_room_for_sockets_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(PATH_BYTES));
        assert!(matches!(State::open(Some(&long), None, false), Err(StateError::LongPath { .. })));
    }
}
