//! Compiled code of versions that run on Node: recorded by an ordinary start, kept in the state folder, and mounted into later
//! ordinary starts of the same version. What is forked has no use for it.
//!
//! A record is whatever the tenant's own process has sent: it is not looked into here, its size is bounded, and no other version
//! is ever given it. It is written whole or not at all; one that V8 does not take is thrown away, and the next start makes
//! another. `sandbox/src/runtime/adapters/node/code.cjs` is the other half.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hatchway_proto::catalog::Version;
use hatchway_proto::name::VersionId;
use hatchway_sandbox::Sandbox;
use hatchway_sandbox::runtime::{Code, Interpreters};
use prometheus::IntCounterVec;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::timeout;

/// The longest record: an application of 10 MB of scripts has one of 20.
const RECORD_BYTES: u64 = 64 << 20;

/// All records together; those that were used longest ago go first.
const STORE_BYTES: u64 = 512 << 20;

/// From the word of a start to the end of its record: a second until it begins, then slices between requests.
const CLOCK: Duration = Duration::from_secs(60);

/// A record begins with 8 bytes of a mark, and 8 that say how long it is.
const HEAD_BYTES: usize = 16;

/// All records of a node. Cloning it shares it.
#[derive(Clone, Debug)]
pub(crate) struct Codes(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    node: String,
    /// Versions of which a record is being made.
    recording: Mutex<HashSet<VersionId>>,
    results: IntCounterVec,
}

/// What one start has to do with it.
#[derive(Debug)]
pub(crate) struct Part {
    inner: Arc<Inner>,
    version: VersionId,
    /// None where a record is to be made. Taken out once it has been of use.
    recalled: Option<PathBuf>,
    /// True where one is to be made: by another start, when this is dropped.
    is_recording: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.is_recording {
            self.inner.recording().remove(&self.version);
        }
        // V8 trusts compiled code: a record that a bad disk has changed may end a process before it says a word.
        if let Some(folder) = self.recalled.take() {
            self.inner.count("rejected");
            if let Err(error) = fs::remove_dir_all(folder) {
                tracing::warn!(%error, "a record of compiled code stays");
            }
        }
    }
}

impl Codes {
    /// Below the state folder of this node. Without Node there is nothing to keep.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn open(
        state: &Path,
        interpreters: &Interpreters,
        results: IntCounterVec,
    ) -> io::Result<Self> {
        let Ok(node) = &interpreters.node else { return Ok(Self(None)) };
        let folder = state.join("code");
        fs::create_dir_all(&folder)?;
        let (major, minor, patch) = node.version;
        Ok(Self(Some(Arc::new(Inner {
            folder,
            node: format!("{major}.{minor}.{patch}"),
            recording: Mutex::default(),
            results,
        }))))
    }

    /// For an ordinary start of a version: it uses a record, or makes one that nobody makes yet.
    pub(crate) fn part(&self, id: &VersionId, version: &Version) -> Option<Part> {
        let inner = self.0.as_ref().filter(|_| version.runtime.word() == "node")?;
        let folder = inner.place(id);
        let recalled = match File::options().append(true).open(folder.join("code")) {
            // When it was used last.
            Ok(file) => file.set_modified(SystemTime::now()).is_ok().then_some(folder),
            Err(_) => None,
        };
        let is_recording = recalled.is_none() && inner.recording().insert(*id);
        let has_part = recalled.is_some() || is_recording;
        has_part.then(|| Part { inner: Arc::clone(inner), version: *id, recalled, is_recording })
    }
}

impl Inner {
    fn recording(&self) -> MutexGuard<'_, HashSet<VersionId>> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, version: &VersionId) -> PathBuf {
        self.folder.join(format!("{version}-{}", self.node))
    }

    fn count(&self, result: &str) {
        self.results.with_label_values(&[result]).inc();
    }

    /// A folder that is filled, and then takes its place.
    fn begin(&self, version: &VersionId) -> io::Result<(PathBuf, File)> {
        let folder = self.folder.join(format!("{version}.new"));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        // Read by a user that is the sandbox's own.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let file = File::create_new(folder.join("code"))?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        Ok((folder, file))
    }

    /// Makes room for a new record.
    fn prune(&self) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if let Ok(about) = fs::metadata(path.join("code")) {
                kept.push((about.modified()?, about.len(), path));
            }
        }
        kept.sort_unstable_by_key(|(used, ..)| std::cmp::Reverse(*used));
        let mut bytes = 0;
        for (_, length, path) in kept {
            bytes += length;
            if bytes > STORE_BYTES {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(())
    }
}

impl Part {
    /// What the start is told.
    pub(crate) fn code(&self) -> Code {
        self.recalled.clone().map_or(Code::Record, Code::Recall)
    }

    /// The start has come to serve, and this is what it has said. What is recorded is read in the background.
    pub(crate) fn served(mut self, word: &Value, sandbox: &Sandbox) {
        match word["code"]["rejected"].as_u64() {
            Some(0) if !self.is_recording => {
                self.recalled = None;
                self.inner.count("used");
            }
            Some(_) if self.is_recording => match sandbox.rest() {
                Ok(Some((beginning, pipe))) => drop(tokio::spawn(self.keep(beginning, pipe))),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "no record of compiled code"),
            },
            // Not all of it was taken, or nothing; or this Node is too old to record.
            Some(_) | None => {}
        }
    }

    async fn keep(self, beginning: Vec<u8>, pipe: std::os::fd::OwnedFd) {
        let kept = match timeout(CLOCK, self.receive(beginning, pipe)).await {
            Ok(kept) => kept,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        match kept {
            Ok(()) => self.inner.count("recorded"),
            Err(error) => {
                // Mostly a sandbox that has ended meanwhile.
                tracing::debug!(%error, version = %self.version, "no record of compiled code");
                self.inner.count("unrecorded");
            }
        }
    }

    async fn receive(&self, beginning: Vec<u8>, pipe: std::os::fd::OwnedFd) -> io::Result<()> {
        let mut pipe = pipe::Receiver::from_owned_fd(pipe)?;
        let (folder, mut file) = self.inner.begin(&self.version)?;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let mut bytes = 0;
        let mut piece = beginning;
        loop {
            let wanted = (HEAD_BYTES - head.len()).min(piece.len());
            head.extend_from_slice(&piece[..wanted]);
            bytes += piece.len() as u64;
            if bytes > RECORD_BYTES {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the record is too long"));
            }
            file.write_all(&piece)?;
            piece.clear();
            piece.reserve(64 << 10);
            if pipe.read_buf(&mut piece).await? == 0 {
                break;
            }
        }
        if told_length(&head) != Some(bytes) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the record is cut"));
        }
        drop(file);
        fs::rename(folder, self.inner.place(&self.version))?;
        self.inner.prune()
    }
}

/// How long a record says that it is.
fn told_length(head: &[u8]) -> Option<u64> {
    let length = head.get(HEAD_BYTES - 8..HEAD_BYTES)?;
    Some(u64::from_le_bytes(length.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_how_long_it_is() {
        assert_eq!(told_length(b"HWCODE01\x10\0\0\0\0\0\0\0"), Some(16));
        assert_eq!(told_length(b"HWCODE01\x10\0\0"), None, "cut");
    }
}
