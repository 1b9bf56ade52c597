//! What the keeper does: the actions of a decision carried out, and what tasks have come to turned into events.

use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::name::SandboxId;
use tokio::task::JoinError;

use super::clock;
use super::event::{PoolEvent, ReapWhy};
use super::hatchery::{Exit, HatchFailure, Hatched, Hatchery, LiveSandbox};
use super::keeper::{Desk, Done, Row};
use super::plan::{Action, Ended, Event};
use super::resident::Resident;
use super::shared::Listed;
use super::state::VersionKey;

/// What a process that was killed for want of anything better to do is said to have ended by.
const SIGKILL: i32 = 9;

impl<H: Hatchery> Desk<H> {
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Hatch { key, id } => self.hatch(key, id),
            Action::GiveUp { id, failure, .. } => self.give_up(id, failure),
            Action::Reap { id, .. } => self.reap(id),
            Action::Close { id, .. } => self.close(id),
            Action::Terminate { id, .. } => {
                if let Some(resident) = self.resident(id) {
                    resident.sandbox.terminate();
                    self.mark_ending(id);
                }
            }
            Action::Kill { id, .. } => {
                if let Some(resident) = self.resident(id) {
                    resident.sandbox.kill();
                    self.mark_ending(id);
                }
            }
            Action::Gone { id, ended, exit, .. } => self.gone(id, ended, exit),
            Action::Leave { id, .. } => self.left(id),
            Action::Refuse { key, refusal } => {
                if let Some(known) = self.versions.get(&key) {
                    known.pool.front.refuse_all(&refusal);
                }
            }
            Action::Bar { key, bar } => {
                if let Some(known) = self.versions.get(&key) {
                    known.pool.front.bar(bar);
                }
            }
            Action::Listen { key, listen } => {
                if let Some(known) = self.versions.get(&key) {
                    known.pool.front.listen(listen);
                }
            }
            Action::Forget { key } => {
                self.versions.remove(&key);
            }
        }
    }

    fn hatch(&mut self, key: VersionKey, id: SandboxId) {
        let Some(known) = self.versions.get(&key) else { return };
        let (hatchery, version) = (Arc::clone(&self.hatchery), Arc::clone(known.pool.version()));
        let version_id = known.pool.id();
        let task = self
            .tasks
            .spawn(async move { Done::Hatched(id, hatchery.hatch(id, version_id, version).await) });
        let ordered_at = clock::now();
        let listed = Listed {
            version: Arc::clone(&known.pool),
            ordered_at,
            resident: None,
            is_ending: false,
        };
        self.shared.announce(PoolEvent::Hatching { of: listed.whose(id) });
        self.shared.roster().insert(id, listed);
        let row = Row { key, ordered_at, task, resident: None, seen: None, lost: 0 };
        self.rows.insert(id, row);
    }

    fn give_up(&mut self, id: SandboxId, failure: Option<HatchFailure>) {
        let Some(row) = self.rows.remove(&id) else { return };
        row.task.abort();
        let Some(listed) = self.shared.roster().remove(&id) else { return };
        let of = listed.whose(id);
        self.shared.announce(match failure {
            Some(failure) => PoolEvent::HatchFailed { of, failure },
            None => {
                let why = if self.is_drain_known { ReapWhy::Drain } else { ReapWhy::Retired };
                PoolEvent::Reaped { of, why, lived: Duration::ZERO, served: 0 }
            }
        });
    }

    /// Closes a sandbox if no request has come since it was decided.
    fn reap(&mut self, id: SandboxId) {
        if let Some(row) = self.rows.get(&id)
            && let (Some(resident), Some(seen)) = (&row.resident, row.seen)
            && resident.word.close_if_idle(seen)
        {
            self.take_off_table(row.key, resident);
        }
        // Closed or not, the next look shows it, and it is due now.
        self.shared.keeper.notify_one();
    }

    fn close(&mut self, id: SandboxId) {
        if let Some(row) = self.rows.get(&id)
            && let Some(resident) = &row.resident
            && resident.word.close()
        {
            self.take_off_table(row.key, resident);
        }
        self.shared.keeper.notify_one();
    }

    pub(super) fn take_off_table(&self, key: VersionKey, resident: &Arc<Resident<H>>) {
        if let Some(known) = self.versions.get(&key) {
            known.pool.dismiss(resident);
        }
    }

    fn resident(&self, id: SandboxId) -> Option<&Arc<Resident<H>>> {
        self.rows.get(&id)?.resident.as_ref()
    }

    fn mark_ending(&self, id: SandboxId) {
        if let Some(listed) = self.shared.roster().get_mut(&id) {
            listed.is_ending = true;
        }
    }

    fn gone(&mut self, id: SandboxId, ended: Ended, exit: Exit) {
        let (Some(row), Some(listed)) = (self.rows.remove(&id), self.shared.roster().remove(&id))
        else {
            return;
        };
        let Some(resident) = row.resident else { return };
        let of = listed.whose(id);
        let lived = clock::now().saturating_duration_since(resident.ready_at);
        let served = resident.served();
        self.shared.announce(match ended {
            Ended::Asked(why) => PoolEvent::Reaped { of, why, lived, served },
            Ended::Died => PoolEvent::Died { of, exit, lived, served, in_flight: row.lost },
        });
    }

    pub(super) fn done(&mut self, done: Result<Done<H>, JoinError>) -> Option<Event> {
        match done {
            Ok(Done::Hatched(id, Ok(hatched))) => self.hatched(id, hatched),
            Ok(Done::Hatched(id, Err(failure))) => self.hatch_failed(id, failure),
            Ok(Done::Exited(id, exit)) => self.exited(id, exit),
            Err(error) if error.is_cancelled() => None,
            Err(error) => self.panicked(&error),
        }
    }

    fn hatched(&mut self, id: SandboxId, hatched: Hatched<H::Sandbox>) -> Option<Event> {
        let known = self.rows.get_mut(&id).and_then(|row| {
            let known = self.versions.get(&row.key)?;
            Some((row, known))
        });
        let Some((row, known)) = known else {
            // Given up in the very moment in which it was ready.
            hatched.sandbox.kill();
            return None;
        };
        let (pool, times) = (&known.pool, (row.ordered_at, clock::now()));
        let front = Arc::clone(&pool.front);
        let resident = Arc::new(Resident::new(id, pool.limit(), hatched, times, front));
        row.resident = Some(Arc::clone(&resident));
        let watched = Arc::clone(&resident);
        row.task =
            self.tasks.spawn(async move { Done::Exited(id, watched.sandbox.exited().await) });
        if let Some(listed) = self.shared.roster().get_mut(&id) {
            listed.resident = Some(Arc::clone(&resident));
            let (of, phases) = (listed.whose(id), resident.phases.clone());
            let (tier, took) = (resident.sandbox.tier(), times.1 - times.0);
            self.shared.announce(PoolEvent::Hatched { of, tier, phases, took });
        }
        resident.open(|| pool.admit(Arc::clone(&resident)));
        Some(Event::Hatched { key: row.key, id })
    }

    fn hatch_failed(&mut self, id: SandboxId, failure: HatchFailure) -> Option<Event> {
        let row = self.rows.remove(&id)?;
        if let Some(listed) = self.shared.roster().remove(&id) {
            let (of, failure) = (listed.whose(id), failure.clone());
            self.shared.announce(PoolEvent::HatchFailed { of, failure });
        }
        Some(Event::HatchFailed { key: row.key, id, failure })
    }

    fn exited(&mut self, id: SandboxId, exit: Exit) -> Option<Event> {
        let row = self.rows.get_mut(&id)?;
        if let Some(resident) = row.resident.clone() {
            row.lost = resident.die(exit);
            let key = row.key;
            self.take_off_table(key, &resident);
        }
        Some(Event::Exited { key: self.rows.get(&id)?.key, id, exit })
    }

    /// A hatchery that panics costs its own sandbox only.
    fn panicked(&mut self, error: &JoinError) -> Option<Event> {
        let (id, row) = self.rows.iter().find(|(_, row)| row.task.id() == error.id())?;
        let id = *id;
        match &row.resident {
            None => {
                let failure = HatchFailure { reason: "panicked", message: error.to_string() };
                self.hatch_failed(id, failure)
            }
            Some(resident) => {
                resident.sandbox.kill();
                self.exited(id, Exit::Signal(SIGKILL))
            }
        }
    }
}
