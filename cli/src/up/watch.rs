//! Reload on save: the old version finishes its requests, the new one answers the next.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hatchway_gateway::catalog::Publisher;
use hatchway_gateway::catalog::apply::apply;
use hatchway_node::node::Node;
use hatchway_proto::catalog::Objects;
use hatchway_wire::process::Exit;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;
use walkdir::{DirEntry, WalkDir};

use super::announce;
use crate::project::{self, Project, digest};
use crate::report;

/// Editors write a file in several steps, and a branch switch writes many files.
const SETTLE: Duration = Duration::from_millis(50);

/// A core may hold the rules of before for the length of one decision; after this none does.
const GRACE: Duration = Duration::from_secs(1);

/// Folders that package managers fill: thousands of them, and none is edited.
const INSTALLED: [&str; 2] = ["node_modules", ".venv"];

/// Brings objects into force.
#[derive(Debug)]
pub(super) struct Applier {
    publisher: Publisher,
    node: Arc<Node>,
}

impl Applier {
    pub(super) fn new(publisher: Publisher, node: Arc<Node>) -> Self {
        Self { publisher, node }
    }

    /// Before anything is served.
    pub(super) fn first(&self, objects: Objects) {
        self.node.apply(&objects);
        self.publish(objects);
    }

    /// The node learns new versions before requests are sent to them.
    fn replace(&self, objects: &Objects) {
        self.node.apply(objects);
        self.publish(objects.clone());
    }

    /// It forgets old ones when requests that were sent to them have arrived.
    async fn forget_others(&self) {
        let now = Instant::now();
        tokio::time::sleep(GRACE).await;
        self.node.forget(now);
    }

    fn publish(&self, objects: Objects) {
        self.publisher.publish(apply(&self.publisher.current(), Arc::new(objects)));
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
        match Changes::watch(project.folders.clone()) {
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
                applier.replace(&next.objects);
                announce::reloaded(&project, &next);
                applier.forget_others().await;
                if let Err(error) = changes.extend(&next.folders) {
                    tracing::warn!(%error, "edits in new folders are not seen");
                }
                project = next;
            }
            Ok(Err(mistakes)) => report::print_reload(&mistakes),
            Err(error) => tracing::error!(%error, "a reload ended by a panic"),
        }
    }
}

/// Edits below the folders of the projects.
struct Changes {
    changed: mpsc::Receiver<()>,
    watcher: RecommendedWatcher,
    watched: HashSet<PathBuf>,
}

impl Changes {
    fn watch(folders: Vec<PathBuf>) -> notify::Result<Self> {
        let (sender, changed) = mpsc::channel(1);
        let roots = folders.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let is_edit = |event: &notify::Event| {
                !event.kind.is_access() && event.paths.iter().any(|path| is_counted(&roots, path))
            };
            if event.as_ref().map_or(true, is_edit) {
                // A change that waits to be seen stands for this one as well.
                let _ = sender.try_send(());
            }
        })?;
        let mut changes = Self { changed, watcher, watched: HashSet::new() };
        changes.extend(&folders)?;
        Ok(changes)
    }

    /// Watches folders that are new: inotify(7) wants each named.
    fn extend(&mut self, roots: &[PathBuf]) -> notify::Result<()> {
        for root in roots {
            for folder in folders_below(root) {
                if self.watched.insert(folder.clone()) {
                    self.watcher.watch(&folder, RecursiveMode::NonRecursive)?;
                }
            }
        }
        Ok(())
    }

    /// Waits for an edit and for the quiet after it.
    async fn next(&mut self) -> bool {
        if self.changed.recv().await.is_none() {
            return false;
        }
        let mut quiet = async || timeout(SETTLE, self.changed.recv()).await.is_err();
        while !quiet().await {}
        true
    }
}

fn is_counted(roots: &[PathBuf], path: &Path) -> bool {
    let counts =
        |root: &PathBuf| path.strip_prefix(root).is_ok_and(|inner| digest::counts(root, inner));
    roots.iter().any(counts)
}

/// Folders whose files can make a new version, without those that package managers fill: an installation
/// changes the lock file beside them as well.
fn folders_below(root: &Path) -> Vec<PathBuf> {
    let is_own = |entry: &DirEntry| {
        let is_installed = INSTALLED.iter().any(|name| entry.file_name() == *name);
        let inner = entry.path().strip_prefix(root).unwrap_or(entry.path());
        entry.depth() == 0 || (!is_installed && digest::counts(root, inner))
    };
    WalkDir::new(root)
        .into_iter()
        .filter_entry(is_own)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_dir())
        .map(DirEntry::into_path)
        .collect()
}
