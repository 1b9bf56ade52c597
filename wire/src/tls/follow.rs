//! Certificates that are renewed while they are served.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::process::chain;
use crate::tls::Certificates;

/// A certificate and its key are two files: between the writes they do not match.
const SETTLE: Duration = Duration::from_millis(500);

/// Reads the pairs again after every change in their folders, for as long as it is polled. Folders are watched
/// rather than files: tools replace a file, or a link to the folder that it is in. Connections are not touched, and the
/// next handshake gets what is served then.
///
/// # Errors
/// When the system does not tell of changes.
pub async fn follow(certificates: Arc<Certificates>) -> notify::Result<()> {
    let (changed, mut changes) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.map_or(true, |event| !event.kind.is_access()) {
            // A change that is waiting to be seen stands for this one as well.
            let _ = changed.try_send(());
        }
    })?;
    for folder in folders(&certificates) {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    while changes.recv().await.is_some() {
        tokio::time::sleep(SETTLE).await;
        reload(&certificates);
    }
    Ok(())
}

fn folders(certificates: &Certificates) -> HashSet<&Path> {
    let files = certificates.pairs().iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    files
        .map(|file| match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        })
        .collect()
}

fn reload(certificates: &Certificates) {
    let reloaded = certificates.reload();
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
        warn_of_exposed_keys(certificates);
    }
}

/// Says which keys anybody on this machine can read.
pub(super) fn warn_of_exposed_keys(certificates: &Certificates) {
    for pair in certificates.exposed() {
        tracing::warn!(
            key = %pair.key.display(),
            "every user of this machine can read a private key: chmod o-r",
        );
    }
}
