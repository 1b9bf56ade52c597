//! From one keeper to the next: sandboxes that live on while the daemon around them is another.
//!
//! Who owns what: a sandbox has one keeper at a time. The one that leaves closes every word, so that it gives out no
//! further slot, and says how many are out; from then on the sandbox is the next one's, which opens it with as many slots
//! taken. They come back when the requests that hold them have ended over there, all of a sandbox at once. So no sandbox
//! runs more than it may, and none is reaped under a request that somebody else relays.

use std::collections::BTreeMap;
use std::sync::Arc;

use hatchway_proto::name::{SandboxId, VersionId};
use tokio::sync::oneshot;

use super::clock;
use super::event::PoolEvent;
use super::hatchery::{Hatched, Hatchery, LiveSandbox, StartPhases};
use super::keeper::{Desk, Done, Row};
use super::plan::Event;
use super::resident::Resident;
use super::shared::{Freed, Listed};
use super::slot::Slot;
use super::state::VersionKey;

/// A sandbox that an earlier keeper has left.
#[derive(Debug)]
pub struct Orphan<T> {
    /// What it was called, and stays to be.
    pub id: SandboxId,
    /// What it runs.
    pub version: VersionId,
    /// Slots that the earlier keeper has given out, and that have not come back.
    pub slots_out: u16,
    /// The sandbox itself. Dropped, it ends.
    pub it: T,
}

/// What a keeper leaves: each sandbox, and how many slots of it are out.
pub type Estate = Vec<(SandboxId, u16)>;

/// What an earlier keeper still uses.
pub(super) enum Lent<H: Hatchery> {
    Slots {
        _given_back_by_drop: Vec<Slot<H>>,
    },
    /// Of a version that is not served here: it ends by drop.
    Stranger {
        _ended_by_drop: H::Orphan,
    },
}

pub(super) type LentOut<H> = BTreeMap<SandboxId, Lent<H>>;

impl<H: Hatchery> Desk<H> {
    /// Takes over those whose version is served here, and ends the others, once they are not used any more.
    pub(super) fn adopt(
        &mut self,
        orphans: Vec<Orphan<H::Orphan>>,
    ) -> Vec<(VersionKey, SandboxId)> {
        orphans.into_iter().filter_map(|orphan| self.adopt_one(orphan)).collect()
    }

    fn adopt_one(&mut self, orphan: Orphan<H::Orphan>) -> Option<(VersionKey, SandboxId)> {
        let Orphan { id, version, slots_out, it } = orphan;
        let is_new = !self.rows.contains_key(&id);
        let known = self.versions.iter().find(|(_, known)| known.pool.id() == version && is_new);
        let Some((key, pool)) = known.map(|(key, known)| (*key, Arc::clone(&known.pool))) else {
            tracing::info!(%version, sandbox = id.0, "a sandbox of a version that is not served here ends");
            if slots_out > 0 {
                self.lent.insert(id, Lent::Stranger { _ended_by_drop: it });
            }
            return None;
        };
        let sandbox = self.hatchery.adopt(id, it, version, Arc::clone(pool.version()))?;
        let now = clock::now();
        let hatched = Hatched { sandbox, phases: StartPhases::default() };
        let front = Arc::clone(&pool.front);
        let resident = Arc::new(Resident::new(id, pool.limit(), hatched, (now, now), front));
        let watched = Arc::clone(&resident);
        let task =
            self.tasks.spawn(async move { Done::Exited(id, watched.sandbox.exited().await) });
        let kept = Some(Arc::clone(&resident));
        let row = Row { key, ordered_at: now, task, resident: kept.clone(), seen: None, lost: 0 };
        self.rows.insert(id, row);
        let version = Arc::clone(&pool);
        let listed = Listed { version, ordered_at: now, resident: kept, is_ending: false };
        let (of, tier) = (listed.whose(id), resident.sandbox.tier());
        self.shared.announce(PoolEvent::Adopted { of, tier });
        self.shared.roster().insert(id, listed);
        let mut slots = Vec::new();
        resident.open(|| {
            // Before anybody else finds it.
            let out = (0..slots_out).take_while(|_| resident.word.take(pool.limit()));
            slots.extend(out.map(|_| Slot::new(Arc::clone(&resident), false)));
            pool.admit(Arc::clone(&resident));
        });
        if !slots.is_empty() {
            self.lent.insert(id, Lent::Slots { _given_back_by_drop: slots });
        }
        Some((key, id))
    }

    /// The earlier keeper does not use these any more.
    pub(super) fn take_back(&mut self, freed: Freed) {
        for id in freed.some {
            self.lent.remove(&id);
        }
        if freed.all {
            self.lent.clear();
        }
    }

    /// Leaves everything to the next keeper: nobody is let in any more, and who waits is sent there.
    pub(super) fn leave(&mut self, told: oneshot::Sender<Estate>) {
        self.is_drain_known = true;
        self.step(Event::Leave);
        let out = |(id, row): (&SandboxId, &Row<H>)| {
            Some((*id, row.resident.as_ref()?.word.seen().in_flight()))
        };
        // Whoever has asked and does not wait has no use for it.
        let _ = told.send(self.rows.iter().filter_map(out).collect());
        // What has no slots out is gone at the next look.
        self.shared.keeper.notify_one();
    }

    /// It is the next keeper's.
    pub(super) fn left(&mut self, id: SandboxId) {
        if let Some(row) = self.rows.remove(&id) {
            row.task.abort();
            if let Some(resident) = &row.resident {
                self.take_off_table(row.key, resident);
            }
        }
        if let Some(listed) = self.shared.roster().remove(&id) {
            self.shared.announce(PoolEvent::Left { of: listed.whose(id) });
        }
    }
}
