//! A source of rules: one file of objects, as `hatchway apply` writes it, followed while it changes.
//! Gateways and nodes read the same one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::catalog::Objects;
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Several writes in a row are one change.
const SETTLE: Duration = Duration::from_millis(20);

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
    /// The system does not tell of changes.
    #[error("cannot watch the catalog")]
    Watch(#[from] notify::Error),
}

/// Reads the file once.
///
/// # Errors
/// [`FileError::Io`] and [`FileError::Malformed`].
pub fn read(path: &Path) -> Result<Arc<Objects>, FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(io)?;
    serde_json::from_str(&text).map(Arc::new).map_err(|error| FileError::Malformed {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        message: error.to_string(),
    })
}

/// Reads the file after every change and hands the result on, until nobody listens. The folder is
/// watched, for a file that is replaced is another file.
///
/// # Errors
/// [`FileError::Watch`] when it cannot begin.
pub async fn follow(
    path: PathBuf,
    mut found: impl FnMut(Result<Arc<Objects>, FileError>),
) -> Result<(), FileError> {
    let (changed, mut changes) = mpsc::channel(1);
    let name = path.file_name().map(ToOwned::to_owned);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let concerns = |event: &notify::Event| {
            !event.kind.is_access()
                && event.paths.iter().any(|path| path.file_name() == name.as_deref())
        };
        if event.as_ref().map_or(true, concerns) {
            // A change that is waiting to be seen stands for this one as well.
            let _ = changed.try_send(());
        }
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    watcher.watch(folder.unwrap_or(Path::new(".")), RecursiveMode::NonRecursive)?;
    while changes.recv().await.is_some() {
        tokio::time::sleep(SETTLE).await;
        found(read(&path));
    }
    Ok(())
}
