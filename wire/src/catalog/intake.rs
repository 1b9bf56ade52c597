//! Rules as a program uses them: one source, and what its disk has kept.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::catalog::{Applied, Nodes, Objects, Requests, Trial};
use prometheus::Registry;
use tokio::sync::watch;
use tokio::time::sleep;

use super::disk::{Folder, FolderError, Writer};
use super::etcd::{EtcdArgs, EtcdConfig, EtcdConfigError, EtcdSource, Known, announce};
use super::file::{FileError, FileSource};
use super::mirror::Role;
use super::reporter::{LINES, Reporter, StatusReader};
use super::status::{Link, unix_ms};
use super::{Found, Source};

/// While a change is on trial, so often is said how it goes.
const COUNT_EVERY: Duration = Duration::from_millis(500);

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
    /// Where etcd is, for one who wants to say something there.
    etcd: Option<EtcdConfig>,
}

/// Objects that were refused, by key, each with the reason.
pub type Refused = BTreeMap<String, String>;

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
        let (source, disk, etcd) = match &args.catalog {
            Some(path) => (AnySource::File(Box::new(FileSource::open(path)?)), None, None),
            None => {
                let config = args.etcd.check()?;
                let (known, disk) = match state {
                    Some(state) => open_disk(&state.join("catalog"), config.keys.prefix())?,
                    None => {
                        tracing::warn!("no --state: a start without etcd will know no rules");
                        (None, None)
                    }
                };
                (
                    AnySource::Etcd(Box::new(EtcdSource::new(config.clone(), known))),
                    disk,
                    Some(config),
                )
            }
        };
        let first = match &source {
            AnySource::File(source) => source.first(),
            AnySource::Etcd(source) => source.first(),
        };
        let reporter = Reporter::new(first, disk, registry);
        Ok(Self { source, reporter, etcd })
    }

    /// What is known before anything has been waited for.
    pub fn first(&self) -> Arc<Objects> {
        self.reporter.objects()
    }

    /// Whether anything has ever been known: an empty catalog that a source has is something.
    pub fn is_known(&self) -> bool {
        self.reporter.is_known()
    }

    /// How the source is doing, from any thread.
    pub fn status(&self) -> StatusReader {
        self.reporter.reader()
    }

    /// Hands on every change, for as long as it is polled, with whatever a gateway may ask for that tries a change. Dropped,
    /// it keeps on disk what was applied last.
    pub async fn follow(self, mut apply: impl FnMut(Arc<Objects>)) {
        let Self { mut source, mut reporter, .. } = self;
        source.trying_as(Role::Node);
        source
            .follow(|found| {
                if let Some(objects) = reporter.take(found) {
                    apply(objects);
                }
            })
            .await;
    }

    /// The same for a gateway, which says in etcd under `name` how far it has come. `apply` gives back what it has refused;
    /// `nodes` hears which nodes are registered, whenever anything was heard or missed, and whether the source is there.
    pub async fn follow_as_gateway(
        self,
        (name, version): (&str, &str),
        requests: impl Fn() -> Requests,
        mut apply: impl FnMut(Arc<Objects>) -> Refused,
        mut nodes: impl FnMut(&Arc<Nodes>, bool),
    ) {
        let Self { mut source, mut reporter, etcd } = self;
        source.trying_as(Role::Gateway(name.to_owned()));
        let (said, says) = watch::channel(Applied::default());
        let trial = Cell::new(None::<Trial>);
        let mut refused = Refused::new();
        let following = source.follow(|found| {
            let (revision, quarantined) =
                (found.status.applied_revision, Arc::clone(&found.status.quarantined));
            let on_trial = found.status.on_trial;
            nodes(&found.nodes, matches!(found.status.link, Link::Connected { .. }));
            if on_trial != trial.get().map(|trial| trial.revision) {
                let (before, since) = (requests(), Requests::default());
                trial.set(on_trial.map(|revision| Trial { revision, before, since }));
            }
            if let Some(objects) = reporter.take(found) {
                refused = apply(objects);
            }
            said.send_if_modified(|said| {
                let all = quarantined.iter().chain(&refused);
                let all = all.map(|(key, why)| (key.clone(), why.clone())).collect();
                let trial = trial.get();
                let now =
                    Applied { trial, ..Applied::new(version, revision, said.at_unix_ms, all) };
                let is_news = now != *said;
                *said = Applied {
                    at_unix_ms: if is_news { unix_ms() } else { said.at_unix_ms },
                    ..now
                };
                is_news
            });
        });
        // How a trial goes is said anew, for as long as there is one.
        let counting = async {
            loop {
                sleep(COUNT_EVERY).await;
                if let Some(Trial { revision, before, .. }) = trial.get() {
                    let since = requests().since(&before);
                    trial.set(Some(Trial { revision, before, since }));
                    said.send_modify(|said| said.trial = trial.get());
                }
            }
        };
        match etcd {
            None => following.await,
            Some(etcd) => {
                let key = format!("{}{name}", etcd.keys.applied("gateways"));
                tokio::select! {
                    () = following => {}
                    () = counting => {}
                    () = announce(etcd, key, says, drop) => {}
                }
            }
        }
    }
}

impl AnySource {
    fn trying_as(&mut self, role: Role) {
        match self {
            // Whoever tries something in a file has a file of its own for it.
            Self::File(_) => {}
            Self::Etcd(source) => source.trying_as(role),
        }
    }

    async fn follow(self, tell: impl FnMut(Found)) {
        match self {
            Self::File(source) => source.follow(tell).await,
            Self::Etcd(source) => source.follow(tell).await,
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
