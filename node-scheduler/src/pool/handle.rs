//! The pool as the rest of the node holds it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hatchway_proto::catalog::Version;
use hatchway_proto::growth::Share;
use hatchway_proto::name::{SandboxId, VersionId};
use tokio::sync::{broadcast, oneshot};
use tokio::time::{Instant, timeout_at};

use super::adopt::{Estate, Orphan};
use super::clock;
use super::config::PoolConfig;
use super::event::PoolEvent;
use super::front::Front;
use super::hatchery::Hatchery;
use super::keeper::Keeper;
use super::shared::{Letters, Shared, Shares, Versions};
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
            pids_budget: config.budget.pids,
            ..Load::default()
        };
        let shared = Arc::new(Shared::new(clock::now(), load));
        let keeper = Keeper::new(Arc::clone(&shared), config, hatchery);
        (Self { shared }, keeper)
    }

    /// These versions are served here from now on, each with its queue depth; those that are already have another depth.
    /// They can be looked up when this returns. Without effect once drained.
    pub fn serve(&self, versions: impl IntoIterator<Item = (VersionId, Arc<Version>, u32)>) {
        self.change(|letters, served| {
            letters.knows_rules = true;
            for (id, version, depth) in versions {
                match served.get(&id) {
                    Some(known) => known.set_queue_depth(depth),
                    None => drop(served.insert(self.introduce(letters, id, version, depth))),
                }
            }
        });
    }

    /// These are no longer: they cannot be looked up any more, serve who waits for them already, and end each sandbox when its
    /// last slot is back. So that no request falls between two versions, nothing is retired before no route has led to it
    /// for a while. Without effect once drained.
    pub fn retire(&self, versions: impl IntoIterator<Item = VersionId>) {
        self.change(|letters, served| {
            let gone = versions.into_iter().filter_map(|id| served.remove(&id));
            letters.retired.extend(gone.map(|version| version.front.key));
        });
    }

    /// By plans over all nodes, as they stand at `revision`, these are this node's parts from now on, of versions that are served here or
    /// will be. All others go by their own numbers.
    pub fn share(&self, of: BTreeMap<VersionId, Share>, revision: i64) {
        let mut letters = self.shared.letters();
        letters.shares = Shares { of: Arc::new(of), revision };
        letters.has_new_shares = true;
        self.shared.keeper.notify_one();
    }

    /// The revision of the plans that the pool goes by: whatever it starts from now on is within these.
    pub fn plans_kept(&self) -> i64 {
        self.shared.plans_kept.load(Ordering::Acquire)
    }

    fn change(&self, change: impl FnOnce(&mut Letters<H>, &mut Versions<H>)) {
        let mut letters = self.shared.letters();
        if letters.is_draining {
            return;
        }
        let mut served = Versions::clone(&self.shared.versions.load());
        change(&mut letters, &mut served);
        self.shared.versions.store(Arc::new(served));
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
        self.shared.versions.load().iter().cloned().collect()
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

    /// Takes over what an earlier keeper has left, once it is known which versions are served here: together with the first
    /// of them, so that nothing is hatched in the place of what lives.
    pub fn adopt(&self, orphans: Vec<Orphan<H::Orphan>>) {
        self.shared.letters().orphans.extend(orphans);
        self.shared.keeper.notify_one();
    }

    /// The earlier keeper does not use this sandbox any more, or none at all.
    pub fn freed(&self, sandbox: Option<SandboxId>) {
        {
            let letters = &mut *self.shared.letters();
            // Some may not have been taken over yet.
            let is_meant = |id| sandbox.is_none_or(|freed| freed == id);
            for orphan in letters.orphans.iter_mut().filter(|orphan| is_meant(orphan.id)) {
                orphan.slots_out = 0;
            }
            match sandbox {
                Some(id) => letters.freed.some.push(id),
                None => letters.freed.all = true,
            }
        }
        self.shared.keeper.notify_one();
    }

    /// Leaves everything to another keeper, and says what. Nothing is ended: who runs is relayed to its end, and each sandbox is
    /// [`Left`](PoolEvent::Left) with its last slot; who waits is refused. The keeper's future resolves with the last of them.
    /// Nothing when there is no keeper any more.
    pub fn leave(&self) -> oneshot::Receiver<Estate> {
        let (tell, told) = oneshot::channel();
        {
            let letters = &mut *self.shared.letters();
            letters.is_draining = true;
            letters.heir = Some(tell);
        }
        self.shared.keeper.notify_one();
        told
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
