//! What the gateway does that leads: look at what all have counted, and move what is due.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use hatchway_proto::catalog::Release;
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_proto::rollout::decide::Next;
use hatchway_proto::rollout::{Counts, Evidence, Move, Rollout, Seen};
use hatchway_wire::catalog::etcd::EtcdError;
use hatchway_wire::catalog::etcd::push::Author;
use hatchway_wire::catalog::etcd::rollouts::{Held, Report, Rollouts, Writing, Written};
use hatchway_wire::catalog::etcd::seat::Leader;

/// Moves of one look: the end of an analysis and the next weight are two.
const MOVES: usize = 4;

/// The right to lead, and what the last look has seen.
#[derive(Debug)]
pub(super) struct Lead<'a> {
    rollouts: &'a Rollouts,
    leader: Leader,
    before: HashMap<FunctionName, BTreeMap<String, Report>>,
}

impl<'a> Lead<'a> {
    pub(super) fn new(rollouts: &'a Rollouts, leader: Leader) -> Self {
        Self { rollouts, leader, before: HashMap::new() }
    }

    /// Makes every move of one rollout that is due. Each is written whole, with its reason and the release that it changes,
    /// or not at all: whoever leads next goes on from there.
    ///
    /// # Errors
    /// [`EtcdError`], and when another one leads by now.
    pub(super) async fn look(&mut self, function: &FunctionName) -> Result<(), EtcdError> {
        let mut held = self.rollouts.read(function).await?;
        let mut seen = self.seen(function, &held);
        for _ in 0..MOVES {
            let Some(mut rollout) = held.rollout.clone() else { return Ok(()) };
            let evidence = held.evidence.clone();
            let mut evidence = evidence.unwrap_or_else(|| Evidence::of(&rollout.plan));
            let release = held.release.as_deref();
            let next = rollout.decide(unix_ms(), release, &mut evidence, &seen);
            let moved = match next {
                Next::Hold if seen.is_empty() => return Ok(()),
                Next::Hold => None,
                Next::Moved(_) => Some(&rollout),
            };
            let release = match next {
                Next::Moved(Some(done)) => release.map(|release| changed(&rollout, release, done)),
                Next::Moved(None) | Next::Hold => None,
            };
            let writing = Writing { rollout: moved, evidence: Some(&evidence), release };
            let author = author(function, &rollout);
            let by = (Some(&self.leader), &author);
            match self.rollouts.write(function, &held, writing, by).await? {
                Written::Whole => {}
                // What was seen stays to be seen.
                Written::Overtaken => return Ok(()),
                Written::Deposed => {
                    return Err(EtcdError::Ended("another gateway leads by now".to_owned()));
                }
            }
            self.before.insert(function.clone(), std::mem::take(&mut held.reports));
            if next == Next::Hold {
                return Ok(());
            }
            tell(function, &rollout);
            seen = Seen::default();
            held = self.rollouts.read(function).await?;
        }
        Ok(())
    }

    /// What has been added since the last look. What a gateway has counted before its first report to this leader is not
    /// known to be new, and left out.
    fn seen(&mut self, function: &FunctionName, held: &Held) -> Seen {
        let Some(rollout) = &held.rollout else { return Seen::default() };
        let before = self.before.entry(function.clone()).or_insert_with(|| held.reports.clone());
        let mut seen = Seen::default();
        for (gateway, report) in &held.reports {
            let Some(known) = before.get(gateway) else {
                before.insert(gateway.clone(), report.clone());
                continue;
            };
            let added = |version: &VersionId| match (report.get(version), known.get(version)) {
                (Some(now), Some(known)) => now.since(known),
                // It has begun to count since: all of it is new.
                (Some(now), None) => now.clone(),
                (None, _) => Counts::default(),
            };
            seen.stable.add(&added(&rollout.plan.stable));
            seen.canary.add(&added(&rollout.plan.canary));
        }
        seen
    }
}

fn changed(rollout: &Rollout, release: &Release, done: Move) -> Release {
    match done {
        Move::SetWeight(weight) => rollout.plan.with_weight(release, weight),
        Move::Promote => rollout.plan.promoted(release),
        Move::Return => rollout.plan.with_weight(release, 0),
    }
}

/// In the history of the rules, a rollout is somebody.
fn author(function: &FunctionName, rollout: &Rollout) -> Author {
    let last = rollout.progress.journal.last();
    let why = last.map_or(String::new(), |entry| format!("{}: {}", entry.what, entry.why));
    Author { who: format!("rollout of {function}"), why }
}

fn tell(function: &FunctionName, rollout: &Rollout) {
    if let Some(entry) = rollout.progress.journal.last() {
        let phase = rollout.progress.phase.to_string();
        tracing::info!(%function, phase, what = entry.what, why = entry.why, "a rollout has moved");
    }
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
