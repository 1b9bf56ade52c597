//! What is said of a source and its disk: in the log, the metrics and the status page.

use std::sync::{Arc, Mutex, PoisonError};

use hatchway_proto::catalog::Objects;
use prometheus::Registry;
use serde::Serialize;

use super::Found;
use super::disk::{DiskStatus, Writer};
use super::status::{Link, SourceMetrics, Status};

/// Lines that one change may bring into the log about refused objects; the status page names all.
pub(super) const LINES: usize = 20;

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
#[derive(Debug, Serialize, schemars::JsonSchema)]
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
pub(super) struct Reporter {
    objects: Arc<Objects>,
    status: Status,
    reader: StatusReader,
    metrics: SourceMetrics,
    disk: Option<Writer>,
}

impl Reporter {
    pub(super) fn new(first: Found, disk: Option<Writer>, registry: &Registry) -> Self {
        let Found { objects, status, .. } = first;
        let metrics = SourceMetrics::register(registry);
        metrics.show(&status);
        tell_refused(&Status::new(String::new()), &status);
        let reader = StatusReader {
            status: Arc::new(Mutex::new(status.clone())),
            disk: disk.as_ref().map(|disk| Arc::new(disk.status()) as _),
        };
        Self { objects, status, reader, metrics, disk }
    }

    /// What is served.
    pub(super) fn objects(&self) -> Arc<Objects> {
        Arc::clone(&self.objects)
    }

    /// Whether anything was ever heard, now or in an earlier run.
    pub(super) fn is_known(&self) -> bool {
        self.status.from_disk || self.status.counts.relists > 0
    }

    pub(super) fn reader(&self) -> StatusReader {
        self.reader.clone()
    }

    /// The objects, when they are others than before.
    pub(super) fn take(&mut self, found: Found) -> Option<Arc<Objects>> {
        let Found { objects, kept, status, .. } = found;
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
            disk.keep(kept, self.status.source_revision, cluster);
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
