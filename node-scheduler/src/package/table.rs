//! Which packages are here, on their way or failed, and which go when the disk is short: no disk, no clock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hatchway_package::Digest;
use tokio::sync::watch;

use super::failure::FetchFailure;

/// After the first failure; doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// A package on the shelf. Whoever has one keeps it there.
#[derive(Debug)]
pub(super) struct Shelved {
    pub(super) files: PathBuf,
    disk_bytes: u64,
}

/// ```text
/// (none) -claimed-> Fetching -ready-> Ready -evicted-> (none)
///                     ^   | failed
///       after a pause `-- Failed
/// ```
#[derive(Debug)]
enum Standing {
    Fetching(watch::Receiver<()>),
    Ready { shelved: Arc<Shelved>, used_at: Instant },
    Failed { failure: FetchFailure, until: Instant },
}

#[derive(Debug)]
struct Row {
    standing: Standing,
    /// Failures since it was here last.
    strikes: u32,
}

/// What there is of a package.
#[derive(Debug)]
pub(super) enum Look {
    Ready(Arc<Shelved>),
    /// The receiver closes when that has changed.
    Fetching(watch::Receiver<()>),
    Failed(FetchFailure),
    /// It is to be fetched, by whoever has the sender.
    Claimed(watch::Sender<()>),
}

/// Every package that was asked for.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: HashMap<Digest, Row>,
    /// What the rules name now, by how many versions.
    named: HashMap<Digest, usize>,
}

/// One package, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PackageStatus {
    /// Which.
    pub digest: String,
    /// `ready`, `fetching` or `failed`.
    pub state: &'static str,
    /// Why it failed: a word, and a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What it takes on the disk.
    pub disk_bytes: u64,
    /// A sandbox runs it, or is about to.
    pub is_used: bool,
    /// The rules name it.
    pub is_named: bool,
}

impl Table {
    /// What there is of a package; where that is nothing, it is the caller's to fetch from now on.
    pub(super) fn look(&mut self, digest: &Digest, now: Instant) -> Look {
        let mut strikes = 0;
        if let Some(row) = self.rows.get_mut(digest) {
            strikes = row.strikes;
            match &mut row.standing {
                Standing::Ready { shelved, used_at } => {
                    *used_at = now;
                    return Look::Ready(Arc::clone(shelved));
                }
                Standing::Fetching(done) if done.has_changed().is_ok() => {
                    return Look::Fetching(done.clone());
                }
                // Whoever was at it has gone without a word.
                Standing::Fetching(_) => {}
                Standing::Failed { failure, until } if *until > now => {
                    return Look::Failed(failure.clone());
                }
                Standing::Failed { .. } => {}
            }
        }
        let (sender, receiver) = watch::channel(());
        self.rows.insert(*digest, Row { standing: Standing::Fetching(receiver), strikes });
        Look::Claimed(sender)
    }

    /// It is on the shelf.
    pub(super) fn ready(&mut self, digest: &Digest, files: PathBuf, disk_bytes: u64, now: Instant) {
        let shelved = Arc::new(Shelved { files, disk_bytes });
        let standing = Standing::Ready { shelved, used_at: now };
        self.rows.insert(*digest, Row { standing, strikes: 0 });
    }

    /// It could not be had. Nobody tries again before the time that is given back.
    pub(super) fn failed(
        &mut self,
        digest: &Digest,
        failure: FetchFailure,
        now: Instant,
    ) -> Instant {
        let strikes = self.rows.get(digest).map_or(0, |row| row.strikes) + 1;
        let pause = FIRST_PAUSE.saturating_mul(1 << (strikes - 1).min(16)).min(LAST_PAUSE);
        let until = now + pause;
        self.rows.insert(*digest, Row { standing: Standing::Failed { failure, until }, strikes });
        until
    }

    /// The rules name it once more.
    pub(super) fn name(&mut self, digest: Digest) {
        *self.named.entry(digest).or_default() += 1;
    }

    /// Once less. Of what they no longer name, failures are forgotten.
    pub(super) fn forget(&mut self, digest: Digest) {
        let Entry::Occupied(mut times) = self.named.entry(digest) else { return };
        *times.get_mut() -= 1;
        if *times.get() == 0 {
            times.remove();
            let is_failed = |row: &Row| matches!(row.standing, Standing::Failed { .. });
            if self.rows.get(&digest).is_some_and(is_failed) {
                self.rows.remove(&digest);
            }
        }
    }

    /// What the rules name now.
    pub(super) fn named(&self) -> Vec<Digest> {
        self.named.keys().copied().collect()
    }

    /// When the first package that the rules name may be tried again.
    pub(super) fn next_try(&self) -> Option<Instant> {
        let failed =
            self.named.keys().filter_map(|digest| match &self.rows.get(digest)?.standing {
                Standing::Failed { until, .. } => Some(*until),
                Standing::Fetching(_) | Standing::Ready { .. } => None,
            });
        failed.min()
    }

    /// Everything on the shelf.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.shelved().map(|(_, shelved, _)| shelved.disk_bytes).sum()
    }

    /// Forgets what is beyond `budget_bytes`, the package that was used longest ago first, but none that somebody has or
    /// that the rules name.
    pub(super) fn evict(&mut self, budget_bytes: u64) -> Vec<Digest> {
        let mut used = self.disk_bytes();
        let is_free = |digest: &Digest, shelved: &Arc<Shelved>| {
            // Nobody but this table has it; and who wants it has to ask here.
            Arc::strong_count(shelved) == 1 && !self.named.contains_key(digest)
        };
        let mut free: Vec<_> = self
            .shelved()
            .filter(|(digest, shelved, _)| is_free(digest, shelved))
            .map(|(digest, shelved, used_at)| (used_at, *digest, shelved.disk_bytes))
            .collect();
        free.sort_unstable();
        let mut evicted = Vec::new();
        for (_, digest, bytes) in free {
            if used <= budget_bytes {
                break;
            }
            used -= bytes;
            self.rows.remove(&digest);
            evicted.push(digest);
        }
        evicted
    }

    fn shelved(&self) -> impl Iterator<Item = (&Digest, &Arc<Shelved>, Instant)> {
        self.rows.iter().filter_map(|(digest, row)| match &row.standing {
            Standing::Ready { shelved, used_at } => Some((digest, shelved, *used_at)),
            Standing::Fetching(_) | Standing::Failed { .. } => None,
        })
    }

    /// Every row, by digest.
    pub(super) fn status(&self) -> Vec<PackageStatus> {
        let row = |(digest, row): (&Digest, &Row)| {
            let mut status = PackageStatus {
                digest: digest.to_string(),
                state: "fetching",
                reason: None,
                detail: None,
                disk_bytes: 0,
                is_used: false,
                is_named: self.named.contains_key(digest),
            };
            match &row.standing {
                Standing::Fetching(_) => {}
                Standing::Ready { shelved, .. } => {
                    status.state = "ready";
                    status.disk_bytes = shelved.disk_bytes;
                    status.is_used = Arc::strong_count(shelved) > 1;
                }
                Standing::Failed { failure, .. } => {
                    status.state = "failed";
                    status.reason = Some(failure.reason);
                    status.detail = Some(failure.detail.clone());
                }
            }
            status
        };
        let mut rows: Vec<_> = self.rows.iter().map(row).collect();
        rows.sort_by(|one, other| one.digest.cmp(&other.digest));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn digest(number: u8) -> Digest {
        format!("{number:064x}").parse().unwrap()
    }

    fn damaged() -> FetchFailure {
        FetchFailure::unavailable("because".to_owned())
    }

    /// Packages 1, 2, ... of so many bytes each, used in this order.
    fn filled(sizes: &[u64], start: Instant) -> Table {
        let mut table = Table::default();
        for (number, bytes) in (1..).zip(sizes) {
            let now = start + u32::from(number) * SECOND;
            assert!(matches!(table.look(&digest(number), now), Look::Claimed(_)));
            table.ready(&digest(number), "/p".into(), *bytes, now);
        }
        table
    }

    #[test]
    fn a_package_is_fetched_by_one_and_waited_for_by_all_others() {
        let (mut table, now) = (Table::default(), Instant::now());
        let Look::Claimed(sender) = table.look(&digest(1), now) else { panic!() };
        let Look::Fetching(receiver) = table.look(&digest(1), now) else { panic!() };
        assert!(receiver.has_changed().is_ok());
        table.ready(&digest(1), "/p".into(), 10, now);
        drop(sender);
        assert!(receiver.has_changed().is_err(), "who waits is told");
        assert!(matches!(table.look(&digest(1), now), Look::Ready(_)));
    }

    #[test]
    fn a_failure_is_remembered_for_longer_each_time_up_to_half_a_minute() {
        let (mut table, mut now) = (Table::default(), Instant::now());
        table.name(digest(1));
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert!(matches!(table.look(&digest(1), now), Look::Claimed(_)));
            let until = table.failed(&digest(1), damaged(), now);
            assert!(matches!(table.look(&digest(1), until - SECOND / 1000), Look::Failed(_)));
            assert_eq!(table.next_try(), Some(until));
            pauses.push((until - now).as_millis());
            now = until;
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert!(matches!(table.look(&digest(1), now), Look::Claimed(_)));
        table.ready(&digest(1), "/p".into(), 10, now);
        assert_eq!((table.next_try(), table.status()[0].state), (None, "ready"));
    }

    #[test]
    fn what_nobody_names_and_nobody_has_goes_first_by_its_last_use() {
        let start = Instant::now();
        let mut table = filled(&[10, 20, 30, 40], start);
        assert_eq!(table.evict(100), []);
        table.look(&digest(1), start + 9 * SECOND);
        assert_eq!(table.evict(80), [digest(2)], "no more than need be");
        let Look::Ready(held) = table.look(&digest(3), start) else { panic!() };
        table.name(digest(4));
        assert_eq!(table.evict(0), [digest(1)], "one is held, one is named");
        assert_eq!(table.disk_bytes(), 70);
        drop(held);
        assert_eq!(table.evict(0), [digest(3)]);
        assert!(matches!(table.look(&digest(3), start), Look::Claimed(_)), "it may come again");
    }

    #[test]
    fn a_failure_that_no_rule_names_any_more_is_forgotten() {
        let (mut table, now) = (Table::default(), Instant::now());
        table.name(digest(1));
        table.look(&digest(1), now);
        table.failed(&digest(1), damaged(), now);
        let status = table.status();
        assert_eq!((status[0].state, status[0].reason), ("failed", Some("package-unavailable")));
        table.name(digest(1));
        table.forget(digest(1));
        assert_eq!(table.status().len(), 1, "another version has the same package");
        table.forget(digest(1));
        assert_eq!(table.status(), []);
    }
}
