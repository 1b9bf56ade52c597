//! Reload on save: the old version finishes its requests, the new one answers the next.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hatchway_gateway::catalog::Publisher;
use hatchway_gateway::catalog::apply::apply;
use hatchway_gateway::metrics::EdgeMetrics;
use hatchway_node::node::Node;
use hatchway_proto::catalog::Objects;
use hatchway_wire::process::Exit;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::announce;
use crate::project::{self, Project};
use crate::report;

/// Editors write a file in several steps, and a branch switch writes many files.
const SETTLE: Duration = Duration::from_millis(50);

/// A core may hold the rules of before for the length of one decision; after this none does.
const GRACE: Duration = Duration::from_secs(1);

/// Folders that tools fill: what happens in them is no edit.
const NOT_WATCHED: [&str; 5] = ["node_modules", ".venv", "target", ".git", "__pycache__"];

/// Brings objects into force.
#[derive(Debug)]
pub(super) struct Applier {
    publisher: Publisher,
    metrics: Arc<EdgeMetrics>,
    node: Arc<Node>,
}

impl Applier {
    pub(super) fn new(publisher: Publisher, metrics: Arc<EdgeMetrics>, node: Arc<Node>) -> Self {
        Self { publisher, metrics, node }
    }

    /// Before anything is served.
    pub(super) fn first(&self, objects: Objects) {
        self.node.apply(&objects, &Objects::default());
        self.publish(objects);
    }

    /// The node learns new versions before requests are sent to them, and forgets old ones after.
    async fn replace(&self, objects: Objects, before: &Objects) {
        self.node.apply(&objects, before);
        self.publish(objects.clone());
        tokio::time::sleep(GRACE).await;
        self.node.apply(&objects, &Objects::default());
    }

    fn publish(&self, objects: Objects) {
        let objects = Arc::new(objects);
        let snapshot =
            apply(&self.publisher.current(), objects, |name| self.metrics.function(name));
        self.publisher.publish(snapshot);
    }
}

/// Follows the projects, and prints what functions print, for as long as the program runs.
pub(super) async fn follow(
    dirs: Vec<PathBuf>,
    project: Project,
    applier: Applier,
    node: &Node,
) -> Exit {
    let printing = announce::lines(node.logs.follow());
    let reloading = async {
        match Changes::watch(&dirs) {
            Ok(changes) => reload(dirs, project, applier, changes).await,
            Err(error) => {
                tracing::warn!(%error, "edits are not seen: restart to serve them");
                std::future::pending().await
            }
        }
    };
    tokio::join!(printing, reloading);
    std::future::pending().await
}

async fn reload(dirs: Vec<PathBuf>, mut project: Project, applier: Applier, mut changes: Changes) {
    while changes.next().await {
        let read = dirs.clone();
        let loaded = tokio::task::spawn_blocking(move || project::load(&read)).await;
        match loaded {
            Ok(Ok(next)) if next.objects == project.objects => {}
            Ok(Ok(next)) => {
                announce::reloaded(&project, &next);
                applier.replace(next.objects.clone(), &project.objects).await;
                project = next;
            }
            Ok(Err(mistakes)) => report::print_reload(&mistakes),
            Err(error) => tracing::error!(%error, "a reload ended by a panic"),
        }
    }
}

/// Edits below the watched folders.
struct Changes {
    changed: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Changes {
    fn watch(dirs: &[PathBuf]) -> notify::Result<Self> {
        let (sender, changed) = mpsc::channel(1);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let is_edit = |event: &notify::Event| {
                    !event.kind.is_access() && event.paths.iter().any(|path| is_watched(path))
                };
                if event.as_ref().map_or(true, is_edit) {
                    // A change that waits to be seen stands for this one as well.
                    let _ = sender.try_send(());
                }
            })?;
        for dir in dirs {
            for folder in watched_folders(dir) {
                watcher.watch(&folder, RecursiveMode::NonRecursive)?;
            }
        }
        Ok(Self { changed, _watcher: watcher })
    }

    /// Waits for an edit and for the quiet after it.
    async fn next(&mut self) -> bool {
        if self.changed.recv().await.is_none() {
            return false;
        }
        while tokio::time::timeout(SETTLE, self.changed.recv())
            .await
            .is_ok_and(|more| more.is_some())
        {}
        true
    }
}

fn is_watched(path: &Path) -> bool {
    path.components().all(|part| !NOT_WATCHED.iter().any(|name| part.as_os_str() == *name))
}

/// Folders below `dir`, without those that tools fill: inotify(7) wants each named.
fn watched_folders(dir: &Path) -> Vec<PathBuf> {
    let is_own = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !NOT_WATCHED.iter().any(|name| entry.file_name() == *name)
    };
    walkdir::WalkDir::new(dir)
        .into_iter()
        .filter_entry(is_own)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_dir())
        .map(walkdir::DirEntry::into_path)
        .collect()
}
