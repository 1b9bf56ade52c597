//! The pool as the rest of the node holds it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::catalog::Version;
use hatchway_proto::name::VersionId;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};

use super::clock;
use super::config::PoolConfig;
use super::event::PoolEvent;
use super::front::Front;
use super::hatchery::Hatchery;
use super::keeper::Keeper;
use super::shared::{Letters, Shared};
use super::state::VersionKey;
use super::status::{Load, SandboxStatus};
use super::version::VersionPool;

/// All sandboxes of a node: a handle that every core has a copy of.
pub struct Pool<H: Hatchery> {
    shared: Arc<Shared<H>>,
}

impl<H: Hatchery> Pool<H> {
    /// A pool, and its keeper: a future that does everything slow. Spawn it on a runtime of its own, for it reads files
    /// when it measures. It ends after [`drain`](Self::drain); dropped before, it turns all requests away and
    /// kills what runs.
    pub fn new(config: PoolConfig, hatchery: H) -> (Self, Keeper<H>) {
        let load = Load {
            memory_budget_bytes: config.budget.memory_bytes,
            cpu_budget_millis: config.budget.cpu_promised_millis(),
            cpu_millis: config.budget.cpu_millis,
            ..Load::default()
        };
        let shared = Arc::new(Shared::new(clock::now(), load));
        let keeper = Keeper::new(Arc::clone(&shared), config, hatchery);
        (Self { shared }, keeper)
    }

    /// The catalog has changed: these versions are served here, each with its queue depth, and no others.
    ///
    /// A new version can be looked up when this returns. One that is missing is retired: it can no longer be looked up,
    /// serves who waits for it already, and ends each sandbox when its last slot is back. So that no request falls between two
    /// versions, list the old one until no route leads to it any more. Without effect once drained.
    pub fn set_versions(&self, versions: Vec<(VersionId, Arc<Version>, u32)>) {
        let mut letters = self.shared.letters();
        if letters.is_draining {
            return;
        }
        let known = self.shared.versions.load();
        let listed: HashSet<_> = versions.iter().map(|(id, ..)| *id).collect();
        let gone = known.iter().filter(|(id, _)| !listed.contains(*id));
        letters.retired.extend(gone.map(|(_, version)| version.front.key));
        let next = versions
            .into_iter()
            .map(|(id, version, depth)| match known.get(&id) {
                Some(old) => {
                    old.set_queue_depth(depth);
                    (id, Arc::clone(old))
                }
                None => (id, self.introduce(&mut letters, id, version, depth)),
            })
            .collect();
        self.shared.versions.store(Arc::new(next));
        self.shared.changed.notify_waiters();
        self.shared.keeper.notify_one();
    }

    fn introduce(
        &self,
        letters: &mut Letters<H>,
        id: VersionId,
        version: Arc<Version>,
        depth: u32,
    ) -> Arc<VersionPool<H>> {
        let key = letters.next_key;
        letters.next_key = VersionKey(key.0 + 1);
        let front = Front::new(key, self.shared.epoch, Arc::clone(&self.shared.keeper));
        let version = Arc::new(VersionPool::new(id, version, depth, front));
        letters.known.push(Arc::clone(&version));
        version
    }

    /// The half of a version that requests use, if it is served here. Without a lock.
    pub fn version(&self, id: &VersionId) -> Option<Arc<VersionPool<H>>> {
        self.shared.versions.load().get(id).cloned()
    }

    /// The same, waiting `within` for word of it. Cancel safe.
    pub async fn version_soon(
        &self,
        id: &VersionId,
        within: Duration,
    ) -> Option<Arc<VersionPool<H>>> {
        let deadline = Instant::now() + within;
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed: what came before it is looked up.
            changed.as_mut().enable();
            if let Some(version) = self.version(id) {
                return Some(version);
            }
            timeout_at(deadline, changed).await.ok()?;
        }
    }

    /// Every version that is served here.
    pub fn versions(&self) -> Vec<Arc<VersionPool<H>>> {
        self.shared.versions.load().values().cloned().collect()
    }

    /// Every sandbox, from the order to hatch it until it is gone.
    pub fn sandboxes(&self) -> Vec<SandboxStatus> {
        self.shared.status()
    }

    /// How full the node is, a few milliseconds ago at most.
    pub fn load(&self) -> Load {
        self.shared.load()
    }

    /// Takes nothing new. Who runs or waits is served, up to the drain limit; the keeper's future resolves when
    /// everything has ended.
    pub fn drain(&self) {
        self.shared.letters().is_draining = true;
        self.shared.keeper.notify_one();
    }

    /// The life of sandboxes from now on. A listener that falls thousands of events behind misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<PoolEvent> {
        self.shared.events.subscribe()
    }
}

impl<H: Hatchery> Clone for Pool<H> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<H: Hatchery> fmt::Debug for Pool<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("load", &self.load()).finish_non_exhaustive()
    }
}
