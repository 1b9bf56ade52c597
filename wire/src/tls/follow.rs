//! Certificates that are renewed while they are served.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::process::chain;
use crate::tls::{Certificates, Pair};

/// A certificate and its key are two files: between the writes they do not match.
const SETTLE: Duration = Duration::from_millis(500);

/// What is made of files, and made again when they have changed.
pub trait Followed {
    /// All of them.
    fn files(&self) -> Vec<&Path>;
    /// Looks at them again, and says what came of it.
    fn reload(&self);
}

/// Has the files read again after every change in their folders, for as long as it is polled. Folders are watched
/// rather than files: tools replace a file, or a link to the folder that it is in. Connections are not touched, and the
/// next handshake gets what is there then.
///
/// # Errors
/// When the system does not tell of changes.
pub async fn follow(followed: Arc<impl Followed>) -> notify::Result<()> {
    let (changed, mut changes) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.map_or(true, |event| !event.kind.is_access()) {
            // A change that is waiting to be seen stands for this one as well.
            let _ = changed.try_send(());
        }
    })?;
    for folder in folders(&followed.files()) {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    while changes.recv().await.is_some() {
        tokio::time::sleep(SETTLE).await;
        followed.reload();
    }
    Ok(())
}

fn folders<'f>(files: &[&'f Path]) -> HashSet<&'f Path> {
    let folder = |file: &&'f Path| match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    files.iter().map(folder).collect()
}

impl Followed for Certificates {
    fn files(&self) -> Vec<&Path> {
        self.pairs().iter().flat_map(|pair| [&*pair.certificate, &*pair.key]).collect()
    }

    fn reload(&self) {
        let reloaded = Certificates::reload(self);
        for pair in &reloaded.changed {
            tracing::info!(certificate = %pair.certificate.display(), "a certificate was replaced");
        }
        for error in &reloaded.kept {
            tracing::error!(
                error = %chain(error),
                "a certificate is not replaced, and the one before goes on being served",
            );
        }
        if !reloaded.changed.is_empty() {
            warn_of_exposed_keys(self);
        }
    }
}

/// Says which keys anybody on this machine can read.
pub(super) fn warn_of_exposed_keys(certificates: &Certificates) {
    certificates.exposed().for_each(warn_of_exposed_key);
}

/// Says that anybody on this machine can read a key.
pub(super) fn warn_of_exposed_key(pair: &Pair) {
    tracing::warn!(
        key = %pair.key.display(),
        "every user of this machine can read a private key: chmod o-r",
    );
}
