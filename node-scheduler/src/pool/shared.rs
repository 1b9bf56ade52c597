//! What the handle and the keeper of a pool share.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use arc_swap::ArcSwap;
use hatchway_proto::growth::Share;
use hatchway_proto::name::{SandboxId, VersionId};
use hatchway_wire::trie::Trie;
use tokio::sync::{Notify, broadcast, oneshot};

use super::adopt::{Estate, Orphan};
use super::clock::Epoch;
use super::event::{PoolEvent, Whose};
use super::hatchery::Hatchery;
use super::resident::Resident;
use super::state::VersionKey;
use super::status::{Load, Reserve};
use super::version::VersionPool;

/// Life cycle events that a slow listener may fall behind by before it misses some.
const EVENTS_KEPT: usize = 4096;

/// The versions that requests can find.
pub(super) type Versions<H> = Trie<Arc<VersionPool<H>>>;

pub(super) struct Shared<H: Hatchery> {
    pub(super) epoch: Epoch,
    pub(super) versions: ArcSwap<Versions<H>>,
    /// Wakes who waits for a version that is not here yet.
    pub(super) changed: Notify,
    /// Wakes the keeper, which then looks at everything.
    pub(super) keeper: Arc<Notify>,
    pub(super) events: broadcast::Sender<PoolEvent>,
    pub(super) load: ArcSwap<(Instant, Load)>,
    /// The revision of the plans that the keeper goes by.
    pub(super) plans_kept: AtomicI64,
    letters: Mutex<Letters<H>>,
    roster: Mutex<BTreeMap<SandboxId, Listed<H>>>,
    reserve: Mutex<Reserve>,
}

/// What the handle asks of the keeper. Bounded by how often the catalog changes.
pub(super) struct Letters<H: Hatchery> {
    pub(super) known: Vec<Arc<VersionPool<H>>>,
    pub(super) retired: Vec<VersionKey>,
    pub(super) shares: Shares,
    /// Since the keeper has read them.
    pub(super) has_new_shares: bool,
    pub(super) is_draining: bool,
    pub(super) next_key: VersionKey,
    /// The rules have been heard of: what they do not name is not served here.
    pub(super) knows_rules: bool,
    /// Waits for the rules.
    pub(super) orphans: Vec<Orphan<H::Orphan>>,
    /// What an earlier keeper does not use any more.
    pub(super) freed: Freed,
    /// Who waits to hear what is left to the next keeper.
    pub(super) heir: Option<oneshot::Sender<Estate>>,
}

/// Sandboxes that an earlier keeper does not use any more.
#[derive(Debug, Default)]
pub(super) struct Freed {
    pub(super) some: Vec<SandboxId>,
    pub(super) all: bool,
}

/// This node's part of all plans, and the revision that they are of.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    pub(super) of: Arc<BTreeMap<VersionId, Share>>,
    pub(super) revision: i64,
}

/// A sandbox as `ps` finds it, from the order to hatch until it is gone.
pub(super) struct Listed<H: Hatchery> {
    pub(super) version: Arc<VersionPool<H>>,
    pub(super) ordered_at: Instant,
    pub(super) resident: Option<Arc<Resident<H>>>,
    pub(super) is_ending: bool,
}

impl<H: Hatchery> Listed<H> {
    pub(super) fn whose(&self, sandbox: SandboxId) -> Whose {
        let function = self.version.version().function.clone();
        Whose { sandbox, function, version: self.version.id() }
    }
}

impl<H: Hatchery> Shared<H> {
    pub(super) fn new(now: Instant, load: Load) -> Self {
        let letters = Letters {
            known: Vec::new(),
            retired: Vec::new(),
            shares: Shares::default(),
            has_new_shares: false,
            is_draining: false,
            next_key: VersionKey(1),
            knows_rules: false,
            orphans: Vec::new(),
            freed: Freed::default(),
            heir: None,
        };
        Self {
            epoch: Epoch::begin(),
            versions: ArcSwap::default(),
            changed: Notify::new(),
            keeper: Arc::new(Notify::new()),
            events: broadcast::channel(EVENTS_KEPT).0,
            load: ArcSwap::from_pointee((now, load)),
            plans_kept: AtomicI64::new(0),
            letters: Mutex::new(letters),
            roster: Mutex::default(),
            reserve: Mutex::default(),
        }
    }

    pub(super) fn letters(&self) -> MutexGuard<'_, Letters<H>> {
        self.letters.lock().expect("nothing panics while it holds the letters")
    }

    pub(super) fn roster(&self) -> MutexGuard<'_, BTreeMap<SandboxId, Listed<H>>> {
        self.roster.lock().expect("nothing panics while it holds the roster")
    }

    pub(super) fn reserve(&self) -> MutexGuard<'_, Reserve> {
        self.reserve.lock().expect("nothing panics while it holds the reserve")
    }

    pub(super) fn announce(&self, event: PoolEvent) {
        // Nobody listening is nobody to tell.
        let _ = self.events.send(event);
    }
}
