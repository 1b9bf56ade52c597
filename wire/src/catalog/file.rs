//! A source of rules: one file of objects, as `hatchway apply` writes it, followed while it changes.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hatchway_proto::catalog::{Keys, Objects};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::mirror::Mirror;
use super::status::Status;
use super::{Found, Source};
use crate::process;

/// Several writes in a row are one change.
const SETTLE: Duration = Duration::from_millis(20);

/// Longer than a tick of the clock that files get their times from, 1 to 10 ms.
const YOUNG: Duration = Duration::from_millis(100);

/// Why the file could not be read; what was served goes on being served.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened or watched.
    #[error("cannot read the catalog {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no catalog.
    #[error("{}:{line}:{column}: the catalog is malformed: {message}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// 1-based.
        column: usize,
        /// What is wrong there.
        message: String,
    },
}

/// The file as it is written, down to the objects: each of them is read by itself, so that a bad one is refused by
/// itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile<'a> {
    #[serde(borrow)]
    functions: RawObjects<'a>,
    #[serde(borrow)]
    versions: RawObjects<'a>,
    #[serde(borrow)]
    routes: RawObjects<'a>,
    #[serde(borrow)]
    releases: RawObjects<'a>,
}

type RawObjects<'a> = BTreeMap<String, &'a RawValue>;

/// What was read from `path`, for whoever is about to change it: here a bad object spoils the whole, for what is
/// written back should not lose it.
pub fn parse(path: &Path, text: &str) -> Result<Arc<Objects>, FileError> {
    serde_json::from_str(text).map(Arc::new).map_err(|error| malformed(path, &error))
}

fn text(path: &Path) -> Result<String, FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), source };
    std::fs::read_to_string(path).map_err(io)
}

fn malformed(path: &Path, error: &serde_json::Error) -> FileError {
    FileError::Malformed {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        message: error.to_string(),
    }
}

/// By what a file that is still the same is known (stat(2)).
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    bytes: u64,
    modified: SystemTime,
}

impl Stamp {
    /// None where it cannot tell: the file is not there, or so young that another write may share its time.
    fn of(path: &Path) -> Option<Self> {
        let about = std::fs::metadata(path).ok()?;
        let modified = about.modified().ok()?;
        let is_old = modified.elapsed().is_ok_and(|age| age > YOUNG);
        is_old.then(|| Self { place: (about.dev(), about.ino()), bytes: about.len(), modified })
    }
}

/// A file of objects.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    /// Of the file when it was last read.
    stamp: Option<Stamp>,
    keys: Keys,
    mirror: Mirror,
    status: Status,
}

impl FileSource {
    /// Reads the file.
    ///
    /// # Errors
    /// [`FileError`]: a program that has nothing to serve from should not start.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let keys = Keys::default();
        let mut source = Self {
            path: path.to_owned(),
            stamp: None,
            mirror: Mirror::new(keys.clone(), Arc::default()),
            status: Status::new(path.display().to_string()),
            keys,
        };
        source.read()?;
        Ok(source)
    }

    fn read(&mut self) -> Result<(), FileError> {
        // Looked at first: a write while it is read makes it another file.
        self.stamp = Stamp::of(&self.path);
        let text = text(&self.path)?;
        let raw: RawFile<'_> =
            serde_json::from_str(&text).map_err(|error| malformed(&self.path, &error))?;
        // Each reading is the next revision; a file without objects is meant.
        let revision = self.status.source_revision + 1;
        let mut listing = self.mirror.list();
        self.mirror.take(&mut listing, self.keys.allow_empty().as_bytes(), b"", revision);
        for (kind, objects) in [
            ("functions", &raw.functions),
            ("versions", &raw.versions),
            ("routes", &raw.routes),
            ("releases", &raw.releases),
        ] {
            for (name, value) in objects {
                let key = format!("{}{kind}/{name}", self.keys);
                self.mirror.take(&mut listing, key.as_bytes(), value.get().as_bytes(), revision);
            }
        }
        self.mirror.replace(listing, revision);
        self.status.source_revision = revision;
        self.status.applied_revision = revision;
        self.status.counts.relists += 1;
        self.status.quarantined = self.mirror.quarantined();
        self.status.heard();
        Ok(())
    }

    /// Watches the folder, for a file that is replaced is another file.
    fn watch(&self) -> notify::Result<(RecommendedWatcher, mpsc::Receiver<()>)> {
        // A change that is waiting to be seen stands for the next one as well.
        let (changed, changes) = mpsc::channel(1);
        let name = self.path.file_name().map(ToOwned::to_owned);
        let concerns = move |event: &notify::Event| {
            !event.kind.is_access()
                && event.paths.iter().any(|path| path.file_name() == name.as_deref())
        };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<_>| {
            if event.as_ref().map_or(true, &concerns) {
                let _ = changed.try_send(());
            }
        })?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        watcher.watch(folder.unwrap_or(Path::new(".")), RecursiveMode::NonRecursive)?;
        Ok((watcher, changes))
    }

    fn read_again(&mut self) {
        if let Err(error) = self.read() {
            let why = process::chain(&error);
            tracing::error!(error = why, "the catalog is not applied");
            self.status.lost(why);
        }
    }
}

impl Source for FileSource {
    fn first(&self) -> Found {
        let objects = self.mirror.objects();
        let kept = Arc::clone(&objects);
        Found { objects, kept, nodes: Arc::default(), status: self.status.clone() }
    }

    async fn follow(mut self, mut tell: impl FnMut(Found)) {
        let (_watcher, mut changes) = match self.watch() {
            Ok(watching) => watching,
            Err(error) => {
                tracing::error!(%error, "changes of the catalog are not seen");
                self.status.lost(format!("the file cannot be watched: {error}"));
                tell(self.first());
                return std::future::pending().await;
            }
        };
        // It may have changed before it was watched.
        if self.stamp.is_none() || self.stamp != Stamp::of(&self.path) {
            self.read_again();
        }
        tell(self.first());
        while changes.recv().await.is_some() {
            tokio::time::sleep(SETTLE).await;
            self.read_again();
            tell(self.first());
        }
    }
}
