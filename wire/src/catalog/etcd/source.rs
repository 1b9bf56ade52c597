//! One member after the other: connect, read everything, watch until it is lost.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{EventType, WatchResponse, WatchStream};
use futures_util::FutureExt;
use hatchway_proto::catalog::Objects;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::EtcdConfig;
use super::connection::{Connection, EtcdError};
use crate::catalog::backoff::{Backoff, draw, part};
use crate::catalog::mirror::{KeyList, Mirror, Role};
use crate::catalog::status::Status;
use crate::catalog::{Found, Source};

/// Between two questions how far the watch has come: what the status says of the source is not older.
const PROGRESS: Duration = Duration::from_secs(10);

/// Between two compares of all keys: what no event has told of is found within this and a half.
pub const COMPARE_EVERY: Duration = Duration::from_secs(300);

/// A connection that has held for so long is a good one: the next loss begins with the shortest wait.
const HOLDS: Duration = Duration::from_secs(10);

/// Messages that wait already are taken in together: one change for whoever applies them.
const TOGETHER: usize = 1000;

/// Rules in etcd.
#[derive(Debug)]
pub struct EtcdSource {
    config: EtcdConfig,
    mirror: Mirror,
    status: Status,
    cluster: u64,
    compare_every: Duration,
}

/// What a disk has kept of an earlier time.
#[derive(Clone, Debug)]
pub struct Known {
    /// What was served.
    pub objects: Arc<Objects>,
    /// As it was in etcd then.
    pub revision: i64,
    /// Of which cluster.
    pub cluster: u64,
}

/// What a message of the watch asks for.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Go,
    /// What is known may have a gap.
    ReadAnew,
}

type Comparing = Pin<Box<dyn Future<Output = Result<(KeyList, i64), EtcdError>>>>;

impl EtcdSource {
    /// Connects to nothing yet. `known` is served until etcd is heard.
    pub fn new(config: EtcdConfig, known: Option<Known>) -> Self {
        let mut status = Status::new(config.endpoints.join(","));
        status.from_disk = known.is_some();
        let known =
            known.unwrap_or_else(|| Known { objects: Arc::default(), revision: 0, cluster: 0 });
        status.source_revision = known.revision;
        status.applied_revision = known.revision;
        let mut source = Self {
            mirror: Mirror::new(config.keys.clone(), known.objects),
            config,
            status,
            cluster: 0,
            compare_every: COMPARE_EVERY,
        };
        source.is_cluster(known.cluster);
        source
    }

    /// Takes part in trials.
    pub(in crate::catalog) fn trying_as(&mut self, role: Role) {
        self.mirror.trying_as(role);
    }

    /// Compares all keys so often, in place of every five minutes.
    #[must_use]
    pub fn comparing_every(mut self, interval: Duration) -> Self {
        self.compare_every = interval;
        self
    }

    fn found(&self) -> Found {
        let (objects, kept) = (self.mirror.served(), self.mirror.objects());
        Found { objects, kept, nodes: self.mirror.nodes(), status: self.status.clone() }
    }

    fn is_cluster(&mut self, cluster: u64) {
        self.cluster = cluster;
        self.status.cluster = if cluster == 0 { String::new() } else { format!("{cluster:016x}") };
    }

    /// Follows one member until it is lost.
    async fn session(
        &mut self,
        endpoint: &str,
        tell: &mut impl FnMut(Found),
    ) -> Result<Infallible, EtcdError> {
        let connection = Connection::open(&self.config, endpoint).await?;
        loop {
            self.list(&connection).await?;
            tell(self.found());
            self.watch(&connection, tell).await?;
        }
    }

    /// Reads everything, as it is at one revision.
    async fn list(&mut self, connection: &Connection) -> Result<(), EtcdError> {
        let mut listing = self.mirror.list();
        let mut pages = connection.pages(None, false);
        while let Some(page) = pages.next().await? {
            for entry in &page {
                self.mirror.take(&mut listing, entry.key(), entry.value(), entry.mod_revision());
            }
        }
        let (revision, cluster) = pages.read_at();
        self.tell_of_another_history(revision, cluster);
        self.mirror.replace(listing, revision);
        self.is_cluster(cluster);
        self.status.source_revision = revision;
        self.status.applied_revision = revision;
        self.status.counts.relists += 1;
        self.status.from_disk = false;
        self.status.heard();
        self.mirrored();
        Ok(())
    }

    /// The list wins in any case; that it is of another history is for people to know.
    fn tell_of_another_history(&self, revision: i64, cluster: u64) {
        let known = self.status.source_revision;
        if self.cluster != 0 && self.cluster != cluster {
            let (was, is) = (&self.status.cluster, format!("{cluster:016x}"));
            tracing::error!(
                was,
                is,
                "another etcd cluster answers: its rules replace the ones known"
            );
        } else if revision < known {
            tracing::error!(revision, known, "etcd has gone back: its rules replace newer ones");
        }
    }

    /// What the status says of the mirror.
    fn mirrored(&mut self) {
        self.status.quarantined = self.mirror.quarantined();
        self.status.on_trial = self.mirror.on_trial();
        self.status.held = self.mirror.is_held().then(|| {
            format!(
                "etcd had no object left: {} are kept as they were; put {} to let them go",
                self.mirror.objects().len(),
                self.config.keys.allow_empty()
            )
        });
    }

    /// Takes changes in. Ends when everything has to be read anew.
    async fn watch(
        &mut self,
        connection: &Connection,
        tell: &mut impl FnMut(Found),
    ) -> Result<(), EtcdError> {
        let mut stream = connection.watch(self.status.source_revision + 1).await?;
        let mut progress = interval(PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut compare_at = std::pin::pin!(sleep(self.until_compare()));
        let mut comparing: Option<Comparing> = None;
        loop {
            tokio::select! {
                message = stream.message() => {
                    if self.messages(message?, &mut stream)? == Next::ReadAnew {
                        return Ok(());
                    }
                    tell(self.found());
                }
                _ = progress.tick() => stream.request_progress().await?,
                () = &mut compare_at, if comparing.is_none() => {
                    if self.mirror.is_held() {
                        return Ok(());
                    }
                    let (list, at) = (self.mirror.key_list(), self.status.source_revision);
                    comparing = Some(Box::pin(connection.clone().keys(list, at)));
                }
                listed = async { comparing.as_mut().expect("it is there").await },
                    if comparing.is_some() =>
                {
                    if self.compared(listed)? == Next::ReadAnew {
                        return Ok(());
                    }
                    tell(self.found());
                    comparing = None;
                    compare_at.as_mut().reset(Instant::now() + self.until_compare());
                }
            }
        }
    }

    /// Takes in a message and those that wait behind it.
    fn messages(
        &mut self,
        first: Option<WatchResponse>,
        stream: &mut WatchStream,
    ) -> Result<Next, EtcdError> {
        let ended = || EtcdError::Ended("the connection was closed".to_owned());
        let mut next = self.message(&first.ok_or_else(ended)?)?;
        for _ in 1..TOGETHER {
            // Cancel safe: a message is taken whole or not at all.
            let Some(message) = stream.message().now_or_never() else { break };
            if next == Next::ReadAnew {
                break;
            }
            next = self.message(&message?.ok_or_else(ended)?)?;
        }
        self.mirrored();
        Ok(next)
    }

    fn message(&mut self, message: &WatchResponse) -> Result<Next, EtcdError> {
        self.status.heard();
        if message.canceled() {
            if message.compact_revision() > 0 {
                tracing::warn!("etcd was compacted under the watch: everything is read anew");
                return Ok(Next::ReadAnew);
            }
            return Err(EtcdError::Ended(message.cancel_reason().to_owned()));
        }
        let entries = message.events().iter().filter_map(|event| {
            let kv = event.kv()?;
            let value = (event.event_type() == EventType::Put).then(|| kv.value());
            Some((kv.key(), value, kv.mod_revision()))
        });
        let newest = entries.clone().map(|(_, _, revision)| revision).max();
        let must_list = self.mirror.events(entries);
        // Without events it says how far the watch has come. With events the header may be ahead of them.
        let reached =
            newest.or_else(|| message.header().map(etcd_client::ResponseHeader::revision));
        if let Some(newest) = newest {
            let applied = self.status.applied_revision;
            self.status.applied_revision = applied.max(newest);
        }
        if !message.created() {
            let known = self.status.source_revision;
            self.status.source_revision = known.max(reached.unwrap_or(known));
        }
        Ok(if must_list { Next::ReadAnew } else { Next::Go })
    }

    fn compared(&mut self, listed: Result<(KeyList, i64), EtcdError>) -> Result<Next, EtcdError> {
        let (list, at) = match listed {
            Ok(listed) => listed,
            Err(error) if error.is_compacted() => return Ok(Next::ReadAnew),
            Err(error) => return Err(error),
        };
        self.status.counts.compares += 1;
        let keys = self.mirror.compare(&list, at);
        if keys == 0 {
            return Ok(Next::Go);
        }
        tracing::error!(keys, "what is known differs from etcd: everything is read anew");
        self.status.counts.drifts += 1;
        Ok(Next::ReadAnew)
    }

    /// Between half and one and a half of the interval, so that gateways do not ask at the same time.
    fn until_compare(&self) -> Duration {
        self.compare_every / 2 + part(self.compare_every, draw())
    }
}

impl Source for EtcdSource {
    fn first(&self) -> Found {
        self.found()
    }

    async fn follow(mut self, mut tell: impl FnMut(Found)) {
        let endpoints = self.config.endpoints.clone();
        // Gateways that start together do not all begin with the same member.
        let start = usize::try_from(draw()).unwrap_or_default() % endpoints.len().max(1);
        let mut backoff = Backoff::default();
        for endpoint in endpoints.iter().cycle().skip(start) {
            let begun = Instant::now();
            let Err(error) = self.session(endpoint, &mut tell).await;
            if begun.elapsed() >= HOLDS {
                backoff.reset();
            }
            self.status.lost(format!("{endpoint}: {error}"));
            self.mirror.end_trials();
            self.mirrored();
            tell(self.found());
            sleep(backoff.next(draw())).await;
        }
    }
}
