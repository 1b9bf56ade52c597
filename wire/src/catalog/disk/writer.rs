//! A thread that writes what was applied, the newest of it, seldom enough to be no burden.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hatchway_proto::catalog::Objects;
use serde::Serialize;

use super::Folder;
use crate::catalog::status::unix_ms;

/// At most one write in this time.
const PAUSE: Duration = Duration::from_secs(1);

/// Writing takes one part in so many of a core, however large the catalog is.
const SHARE: u32 = 50;

/// The longest that a change waits for the disk.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How writing goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct DiskStatus {
    /// The folder.
    pub path: String,
    /// Revision that is on disk.
    pub source_revision: i64,
    /// When it was written, in milliseconds since 1970; 0 before the first.
    pub written_unix_ms: u64,
    /// Why the last write has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Writes that went well.
    pub writes: u64,
    /// Writes that failed.
    pub failures: u64,
}

#[derive(Clone, Debug)]
struct Wanted {
    objects: Arc<Objects>,
    revision: i64,
    cluster: u64,
}

#[derive(Debug, Default)]
struct Shared {
    wanted: Option<Wanted>,
    is_ending: bool,
    status: DiskStatus,
}

type Desk = Arc<(Mutex<Shared>, Condvar)>;

/// Writes to a folder. Dropped, it writes what it still has, and ends.
#[derive(Debug)]
pub struct Writer {
    desk: Desk,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(folder: Folder) -> std::io::Result<Self> {
        let desk = Desk::default();
        lock(&desk).status.path = folder.path().display().to_string();
        let at = Arc::clone(&desk);
        let run = move || run(folder, &at);
        let thread = thread::Builder::new().name("catalog-disk".to_owned()).spawn(run)?;
        Ok(Self { desk, thread: Some(thread) })
    }

    /// Wants `objects` on disk; what was wanted before and is not there yet is not wanted any more. Does not wait.
    pub fn keep(&self, objects: Arc<Objects>, revision: i64, cluster: u64) {
        lock(&self.desk).wanted = Some(Wanted { objects, revision, cluster });
        self.desk.1.notify_one();
    }

    /// How writing goes.
    pub fn status(&self) -> impl Fn() -> DiskStatus + Send + Sync + 'static {
        let desk = Arc::clone(&self.desk);
        move || lock(&desk).status.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        lock(&self.desk).is_ending = true;
        self.desk.1.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the catalog ended by a panic");
        }
    }
}

fn lock(desk: &Desk) -> MutexGuard<'_, Shared> {
    // Whoever panicked has left a status behind, and that is good enough.
    desk.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(mut folder: Folder, desk: &Desk) {
    while let Some(wanted) = next(desk) {
        let begun = Instant::now();
        let written = folder.write(wanted.revision, wanted.cluster, &wanted.objects);
        let mut shared = lock(desk);
        if written.is_err() && !shared.is_ending {
            // Something newer may have come meanwhile.
            shared.wanted.get_or_insert(wanted.clone());
        }
        note(&mut shared.status, wanted.revision, written);
        drop((shared, wanted));
        pause(desk, (begun.elapsed() * SHARE).clamp(PAUSE, LONGEST_PAUSE));
    }
}

/// Waits for something to write; none at the end.
fn next(desk: &Desk) -> Option<Wanted> {
    let idle = |shared: &mut Shared| shared.wanted.is_none() && !shared.is_ending;
    let shared = desk.1.wait_while(lock(desk), idle);
    shared.unwrap_or_else(PoisonError::into_inner).wanted.take()
}

/// Waits, unless it is time to end.
fn pause(desk: &Desk, pause: Duration) {
    let going_on = |shared: &mut Shared| !shared.is_ending;
    // Whether it was the time or the end, there is nothing else to do.
    drop(desk.1.wait_timeout_while(lock(desk), pause, going_on));
}

fn note(status: &mut DiskStatus, revision: i64, written: std::io::Result<()>) {
    match written {
        Ok(()) => {
            status.source_revision = revision;
            status.written_unix_ms = unix_ms();
            status.error = None;
            status.writes += 1;
        }
        Err(error) => {
            let error = error.to_string();
            if status.error.as_ref() != Some(&error) {
                tracing::error!(path = status.path, error, "the catalog is not kept on disk");
            }
            status.error = Some(error);
            status.failures += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_on_disk_at_the_end_and_the_rest_may_be_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::start(Folder::open(dir.path(), "/").unwrap()).unwrap();
        let status = writer.status();
        for revision in 1..=1000 {
            writer.keep(Arc::default(), revision, 7);
        }
        drop(writer);
        let content = Folder::open(dir.path(), "/").unwrap().read().content.unwrap();
        assert_eq!((content.about.revision, content.about.cluster), (1000, 7));
        assert_eq!(status().source_revision, 1000);
        assert!(status().writes <= 2, "{:?}", status());
    }

    #[test]
    fn a_disk_that_fails_is_told_and_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), "/").unwrap();
        std::fs::create_dir(dir.path().join("catalog.new")).unwrap();
        let writer = Writer::start(folder).unwrap();
        let status = writer.status();
        writer.keep(Arc::default(), 1, 7);
        while status().failures == 0 {
            thread::yield_now();
        }
        assert!(status().error.is_some());
        std::fs::remove_dir(dir.path().join("catalog.new")).unwrap();
        writer.keep(Arc::default(), 2, 7);
        drop(writer);
        assert_eq!((status().source_revision, status().error), (2, None));
    }
}
