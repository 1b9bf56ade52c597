//! The rules, as the whole process reads them: one immutable snapshot, swapped in whole.
//!
//! [`snapshot`] is what a request sees, and what each function has in the place of a failure in [`degrades`]; [`apply`] turns objects
//! into it, and knows by [`leading`] which routes a function that changes is at the hand of.

pub mod apply;
pub mod degrades;
mod leading;
pub mod snapshot;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use snapshot::{ReleaseTarget, Snapshot, Target};

/// The reading end, cloned into every core.
#[derive(Clone, Debug)]
pub struct Catalog(Arc<ArcSwap<Snapshot>>);

/// The writing end. Not `Clone`: the task that follows the source is its only owner.
#[derive(Debug)]
pub struct Publisher(Arc<ArcSwap<Snapshot>>);

/// A reading end that remembers the last snapshot of its core: loading again costs a comparison.
#[derive(Debug)]
pub struct CachedCatalog(arc_swap::Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>);

/// Both ends, over an empty snapshot.
pub fn channel() -> (Publisher, Catalog) {
    let shared = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    (Publisher(Arc::clone(&shared)), Catalog(shared))
}

impl Catalog {
    /// The snapshot of this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// A reading end for one core.
    pub fn cached(&self) -> CachedCatalog {
        CachedCatalog(arc_swap::Cache::new(Arc::clone(&self.0)))
    }
}

impl CachedCatalog {
    /// The snapshot of this moment.
    pub fn load(&mut self) -> &Snapshot {
        self.0.load()
    }
}

impl Publisher {
    /// The snapshot that is being served.
    pub fn current(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Serves `snapshot` from now on. Requests under way finish with the one they began with.
    pub fn publish(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}
