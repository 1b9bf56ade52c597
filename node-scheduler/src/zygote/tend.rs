//! Zygotes take no room that a sandbox needs: measured once a second, and dropped first.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::nursery::Zygotes;
use crate::hatch::ProcessHatchery;
use crate::pool::Pool;

/// As often as the pool measures its sandboxes.
const EVERY: Duration = Duration::from_secs(1);

impl Zygotes {
    /// Keeps within the budget until the node drains, then lets go of all.
    pub(crate) async fn tend(self, pool: Pool<ProcessHatchery>) {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let load = pool.load();
            if load.is_draining {
                let all = self.table().retain(|_| false);
                drop(all);
                return;
            }
            let served: HashSet<_> = pool.versions().iter().map(|version| version.id()).collect();
            let gone = self.table().retain(|version| served.contains(version));
            drop(gone);
            self.measure();
            // What sandboxes have reserved is theirs, whether they use it or not.
            let room = load.memory_budget_bytes.saturating_sub(load.memory_reserved_bytes);
            let evicted = self.table().evict(room.min(self.0.settings.memory_bytes));
            if !evicted.is_empty() {
                tracing::info!(count = evicted.len(), room, "zygotes were let go");
                self.0.metrics.evicted.inc_by(evicted.len() as u64);
            }
        }
    }

    fn measure(&self) {
        for (_, kept) in self.table().all() {
            let family = &kept.zygote;
            let zygote = family.zygote.usage().map_or(0, |usage| usage.memory_bytes);
            let parked = family.parked.as_ref().and_then(|parked| parked.usage().ok());
            let parked = parked.map_or(0, |usage| usage.memory_bytes);
            kept.memory_bytes = zygote + parked;
            kept.is_in_use = family.children.are_there();
            kept.frees_bytes = if kept.is_in_use { parked } else { kept.memory_bytes };
        }
    }
}
