//! Rules as a program uses them: one source, what its disk has kept, and what is said of both in logs, metrics and the
//! status page.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hatchway_proto::catalog::Objects;
use prometheus::Registry;
use serde::Serialize;

use super::disk::{DiskStatus, Folder, FolderError, Writer};
use super::etcd::{EtcdArgs, EtcdConfigError, EtcdSource, Known};
use super::file::{FileError, FileSource};
use super::status::{Link, SourceMetrics, Status};
use super::{Found, Source};

/// Lines that one change may bring into the log about refused objects; the status page names all.
const LINES: usize = 20;

/// Where a gateway or a node takes its rules from.
#[derive(Clone, Debug, clap::Args)]
pub struct SourceArgs {
    /// The rules, in a file as `hatchway apply` writes it; followed while it changes.
    #[arg(long, value_name = "FILE", required_unless_present = "etcd", conflicts_with = "etcd")]
    pub catalog: Option<PathBuf>,
    /// Or in etcd.
    #[command(flatten)]
    pub etcd: EtcdArgs,
}

/// Why there is nothing to take rules from. etcd not being there is no reason.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What was said about etcd.
    #[error(transparent)]
    Etcd(#[from] EtcdConfigError),
    /// The folder that keeps what was applied.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// No thread.
    #[error("cannot start the thread that keeps the catalog")]
    Thread(#[source] std::io::Error),
}

/// A source being followed.
#[derive(Debug)]
pub struct Intake {
    source: AnySource,
    reporter: Reporter,
}

#[derive(Debug)]
enum AnySource {
    File(Box<FileSource>),
    Etcd(Box<EtcdSource>),
}

impl Intake {
    /// Reads the file, or what `state` has kept of etcd. Waits for nothing: rules that are not known yet come later.
    ///
    /// # Errors
    /// [`IntakeError`].
    pub fn open(
        args: &SourceArgs,
        state: Option<&Path>,
        registry: &Registry,
    ) -> Result<Self, IntakeError> {
        let (source, disk) = match &args.catalog {
            Some(path) => (AnySource::File(Box::new(FileSource::open(path)?)), None),
            None => {
                let config = args.etcd.check()?;
                let (known, disk) = match state {
                    Some(state) => open_disk(&state.join("catalog"), config.keys.prefix())?,
                    None => {
                        tracing::warn!("no --state: a start without etcd will know no rules");
                        (None, None)
                    }
                };
                (AnySource::Etcd(Box::new(EtcdSource::new(config, known))), disk)
            }
        };
        let first = match &source {
            AnySource::File(source) => source.first(),
            AnySource::Etcd(source) => source.first(),
        };
        let reporter = Reporter::new(first, disk, registry);
        Ok(Self { source, reporter })
    }

    /// What is known before anything has been waited for.
    pub fn first(&self) -> Arc<Objects> {
        Arc::clone(&self.reporter.objects)
    }

    /// Whether anything has ever been known: an empty catalog that a source has is something.
    pub fn is_known(&self) -> bool {
        let status = self.reporter.reader.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.from_disk || status.counts.relists > 0
    }

    /// How the source is doing, from any thread.
    pub fn status(&self) -> StatusReader {
        self.reporter.reader.clone()
    }

    /// Hands on every change, for as long as it is polled. Dropped, it keeps on disk what was applied last.
    pub async fn follow(self, mut apply: impl FnMut(Arc<Objects>)) {
        let Self { source, mut reporter } = self;
        let tell = |found| {
            if let Some(objects) = reporter.take(found) {
                apply(objects);
            }
        };
        match source {
            AnySource::File(source) => source.follow(tell).await,
            AnySource::Etcd(source) => source.follow(tell).await,
        }
    }
}

fn open_disk(path: &Path, prefix: &str) -> Result<(Option<Known>, Option<Writer>), IntakeError> {
    let mut folder = Folder::open(path, prefix)?;
    let kept = folder.read();
    for damaged in kept.damaged {
        tracing::error!(damaged, "a catalog on disk is not believed");
    }
    let known = kept.content.map(|content| {
        for (key, reason) in content.refused.iter().take(LINES) {
            tracing::warn!(key, reason, "an object on disk is left out");
        }
        let (objects, about) = (Arc::new(content.objects), content.about);
        let written_unix_ms = about.written_unix_ms;
        let count = objects.len();
        tracing::warn!(count, written_unix_ms, "rules from disk are served until etcd is heard");
        Known { objects, revision: about.revision, cluster: about.cluster }
    });
    Ok((known, Some(Writer::start(folder).map_err(IntakeError::Thread)?)))
}

/// The status of a source, from any thread.
#[derive(Clone)]
pub struct StatusReader {
    status: Arc<Mutex<Status>>,
    disk: Option<Arc<dyn Fn() -> DiskStatus + Send + Sync>>,
}

impl std::fmt::Debug for StatusReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusReader").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A source and its disk, as the status page shows them.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The source.
    #[serde(flatten)]
    pub source: Status,
    /// The disk, where one keeps what was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskStatus>,
}

impl StatusReader {
    /// At this moment.
    pub fn read(&self) -> Shown {
        let source = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Shown { source, disk: self.disk.as_ref().map(|disk| disk()) }
    }

    /// Of rules that come from nowhere but this process, as under `hatchway up`.
    pub fn of_projects(name: &str) -> Self {
        let mut status = Status::new(name.to_owned());
        status.heard();
        Self { status: Arc::new(Mutex::new(status)), disk: None }
    }
}

/// Says what has changed: to the log, the metrics, the status page, the disk.
#[derive(Debug)]
struct Reporter {
    objects: Arc<Objects>,
    status: Status,
    reader: StatusReader,
    metrics: SourceMetrics,
    disk: Option<Writer>,
}

impl Reporter {
    fn new(first: Found, disk: Option<Writer>, registry: &Registry) -> Self {
        let Found { objects, status } = first;
        let metrics = SourceMetrics::register(registry);
        metrics.show(&status);
        tell_refused(&Status::new(String::new()), &status);
        let reader = StatusReader {
            status: Arc::new(Mutex::new(status.clone())),
            disk: disk.as_ref().map(|disk| Arc::new(disk.status()) as _),
        };
        Self { objects, status, reader, metrics, disk }
    }

    /// The objects, when they are others than before.
    fn take(&mut self, found: Found) -> Option<Arc<Objects>> {
        let Found { objects, status } = found;
        tell_link(&self.status, &status);
        tell_held(&self.status, &status);
        tell_refused(&self.status, &status);
        self.metrics.show(&status);
        *self.reader.status.lock().unwrap_or_else(PoisonError::into_inner) = status.clone();
        let is_first = self.status.counts.relists == 0 && status.counts.relists > 0;
        self.status = status;
        // The first list may be as empty as what was known before it, and is news all the same.
        if Arc::ptr_eq(&self.objects, &objects) && !(is_first && objects.is_empty()) {
            return None;
        }
        self.objects = Arc::clone(&objects);
        if let Some(disk) = &self.disk {
            let cluster = u64::from_str_radix(&self.status.cluster, 16).unwrap_or_default();
            disk.keep(Arc::clone(&objects), self.status.source_revision, cluster);
        }
        Some(objects)
    }
}

fn tell_link(before: &Status, now: &Status) {
    let (source, revision) = (&now.source, now.source_revision);
    match (&before.link, &now.link) {
        (Link::Connecting | Link::Lost { .. }, Link::Connected { .. }) => {
            tracing::info!(source, revision, "the source of rules is heard");
        }
        (Link::Connecting | Link::Connected { .. }, Link::Lost { why, .. }) => {
            tracing::warn!(source, why, "the source of rules is lost: what is known is served");
        }
        (_, Link::Lost { why, .. }) => tracing::debug!(why, "the source of rules is still lost"),
        (_, Link::Connecting | Link::Connected { .. }) => {}
    }
}

fn tell_held(before: &Status, now: &Status) {
    match (&before.held, &now.held) {
        (None, Some(why)) => tracing::error!(why, "an emptied source is not believed"),
        (Some(_), None) => tracing::info!("the source is believed again"),
        (None, None) | (Some(_), Some(_)) => {}
    }
}

fn tell_refused(before: &Status, now: &Status) {
    if Arc::ptr_eq(&before.quarantined, &now.quarantined) {
        return;
    }
    let is_news =
        |(key, reason): &(&String, &String)| before.quarantined.get(*key) != Some(*reason);
    let mut news = now.quarantined.iter().filter(is_news);
    for (key, reason) in news.by_ref().take(LINES) {
        tracing::warn!(key, reason, "an object is quarantined: its last good form is served");
    }
    let more = news.count();
    if more > 0 {
        tracing::warn!(more, "more objects are quarantined");
    }
}
