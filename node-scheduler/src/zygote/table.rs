//! Which version has a zygote, which must not have one, and who goes first: arithmetic over a given time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hatchway_proto::name::{FunctionName, VersionId};

/// A zygote that died, or whose child did not come to serve, may have met a bad moment. Its version has ordinary starts
/// for so long.
pub(super) const BACK_OFF: Duration = Duration::from_secs(60);

/// Why a version has ordinary starts: a word for labels, a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

/// ```text
/// (none) -wanted-> Making -ready-> Ready -evicted, retired-> (none)
///                     | unfit        | died, its child does not serve
///                     `-> Barred <---'
///                            `-- after a while, if it might be otherwise then --> (none)
/// ```
#[derive(Debug)]
enum Standing<Z> {
    Making,
    Ready(Kept<Z>),
    Barred { bar: Bar, until: Option<Instant> },
}

/// A zygote, and what is known of its use.
#[derive(Debug)]
pub(super) struct Kept<Z> {
    pub(super) zygote: Z,
    pub(super) used_at: Instant,
    pub(super) forks: u64,
    pub(super) memory_bytes: u64,
    /// What its end would give back: what lives of it keeps the pages that they share.
    pub(super) frees_bytes: u64,
    /// Sandboxes that were forked from it live.
    pub(super) is_in_use: bool,
}

#[derive(Debug)]
struct Row<Z> {
    function: FunctionName,
    standing: Standing<Z>,
}

/// Every version that a zygote was thought of for.
#[derive(Debug)]
pub(super) struct Table<Z>(HashMap<VersionId, Row<Z>>);

impl<Z> Default for Table<Z> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// One row, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZygoteStatus {
    /// Whose code it has loaded.
    pub function: FunctionName,
    /// Which build.
    pub version: VersionId,
    /// `making`, `ready` or `barred`.
    pub state: &'static str,
    /// Why starts of this version are ordinary ones: a word, and a sentence.
    pub reason: Option<(&'static str, String)>,
    /// Starts that were forked from it.
    pub forks: u64,
    /// As last measured, with what is parked.
    pub memory_bytes: u64,
    /// Since its last fork.
    pub idle_for: Option<Duration>,
}

impl<Z> Table<Z> {
    /// True when there is neither a zygote nor a reason against one: from now on it is being made, by whoever asks.
    pub(super) fn claim(
        &mut self,
        version: VersionId,
        function: &FunctionName,
        now: Instant,
    ) -> bool {
        let is_free = match self.0.get(&version).map(|row| &row.standing) {
            None => true,
            Some(Standing::Barred { until: Some(until), .. }) => *until <= now,
            Some(Standing::Barred { until: None, .. } | Standing::Making | Standing::Ready(_)) => {
                false
            }
        };
        if is_free {
            let function = function.clone();
            self.0.insert(version, Row { function, standing: Standing::Making });
        }
        is_free
    }

    /// It can be forked now. Given back when its version has left meanwhile.
    pub(super) fn ready(
        &mut self,
        version: &VersionId,
        zygote: Z,
        memory_bytes: u64,
        now: Instant,
    ) -> Result<(), Z> {
        match self.0.get_mut(version) {
            Some(row) if matches!(row.standing, Standing::Making) => {
                row.standing = Standing::Ready(Kept {
                    zygote,
                    used_at: now,
                    forks: 0,
                    memory_bytes,
                    frees_bytes: memory_bytes,
                    is_in_use: false,
                });
                Ok(())
            }
            Some(_) | None => Err(zygote),
        }
    }

    /// Its starts are ordinary ones from now on: for good, or until a time. What it had is given back.
    pub(super) fn bar(
        &mut self,
        version: &VersionId,
        bar: Bar,
        until: Option<Instant>,
    ) -> Option<Z> {
        let row = self.0.get_mut(version)?;
        match std::mem::replace(&mut row.standing, Standing::Barred { bar, until }) {
            Standing::Ready(kept) => Some(kept.zygote),
            Standing::Making | Standing::Barred { .. } => None,
        }
    }

    /// Why it has ordinary starts, unless that is only because nothing is ready yet.
    pub(super) fn barred(&self, version: &VersionId, now: Instant) -> Option<&'static str> {
        match &self.0.get(version)?.standing {
            Standing::Barred { until: Some(until), .. } if *until <= now => None,
            Standing::Barred { bar, .. } => Some(bar.reason),
            Standing::Making | Standing::Ready(_) => None,
        }
    }

    /// The zygote of a version, which is used now.
    pub(super) fn use_now(&mut self, version: &VersionId, now: Instant) -> Option<&mut Z> {
        let kept = self.kept(version)?;
        kept.used_at = now;
        kept.forks += 1;
        Some(&mut kept.zygote)
    }

    /// The zygote of a version.
    pub(super) fn kept(&mut self, version: &VersionId) -> Option<&mut Kept<Z>> {
        match &mut self.0.get_mut(version)?.standing {
            Standing::Ready(kept) => Some(kept),
            Standing::Making | Standing::Barred { .. } => None,
        }
    }

    /// Takes out those that do not fit into `limit_bytes` together: of each counts what its end gives back. The one that was used
    /// longest ago goes first, but before it those that no sandbox lives of: to end one of the others gives next to nothing
    /// back, and its sandboxes are as large as before.
    pub(super) fn evict(&mut self, limit_bytes: u64) -> Vec<Z> {
        let mut by_use: Vec<_> = self
            .0
            .iter()
            .filter_map(|(version, row)| match &row.standing {
                Standing::Ready(kept) => {
                    Some(((kept.is_in_use, kept.used_at), *version, kept.frees_bytes))
                }
                Standing::Making | Standing::Barred { .. } => None,
            })
            .collect();
        by_use.sort_unstable_by_key(|(use_of, ..)| *use_of);
        let mut used: u64 = by_use.iter().map(|(.., bytes)| bytes).sum();
        let mut evicted = Vec::new();
        for (_, version, bytes) in by_use {
            if used <= limit_bytes {
                break;
            }
            used -= bytes;
            evicted.extend(self.remove(&version));
        }
        evicted
    }

    /// Forgets versions that are not served here any more; gives back what they had.
    pub(super) fn retain(&mut self, is_served: impl Fn(&VersionId) -> bool) -> Vec<Z> {
        let gone: Vec<_> = self.0.keys().filter(|version| !is_served(version)).copied().collect();
        gone.iter().filter_map(|version| self.remove(version)).collect()
    }

    /// Forgets a version.
    pub(super) fn remove(&mut self, version: &VersionId) -> Option<Z> {
        match self.0.remove(version)?.standing {
            Standing::Ready(kept) => Some(kept.zygote),
            Standing::Making | Standing::Barred { .. } => None,
        }
    }

    /// Every zygote that can be forked.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (VersionId, &mut Kept<Z>)> {
        self.0.iter_mut().filter_map(|(version, row)| match &mut row.standing {
            Standing::Ready(kept) => Some((*version, kept)),
            Standing::Making | Standing::Barred { .. } => None,
        })
    }

    /// Every row, by function.
    pub(super) fn status(&self, now: Instant) -> Vec<ZygoteStatus> {
        let row = |(version, row): (&VersionId, &Row<Z>)| {
            let mut status = ZygoteStatus {
                function: row.function.clone(),
                version: *version,
                state: "making",
                reason: None,
                forks: 0,
                memory_bytes: 0,
                idle_for: None,
            };
            match &row.standing {
                Standing::Making => {}
                Standing::Ready(kept) => {
                    status.state = "ready";
                    status.forks = kept.forks;
                    status.memory_bytes = kept.memory_bytes;
                    status.idle_for = Some(now.saturating_duration_since(kept.used_at));
                }
                Standing::Barred { bar, .. } => {
                    status.state = "barred";
                    status.reason = Some((bar.reason, bar.detail.clone()));
                }
            }
            status
        };
        let mut rows: Vec<_> = self.0.iter().map(row).collect();
        rows.sort_by(|one, other| one.function.as_str().cmp(other.function.as_str()));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn version(number: u8) -> VersionId {
        VersionId::from_digest(&[number; 32])
    }

    fn function() -> FunctionName {
        "local/hello".parse().expect("a name")
    }

    fn bar(reason: &'static str) -> Bar {
        Bar { reason, detail: "because".to_owned() }
    }

    /// Versions 1, 2, ... of so many MiB each, used in this order.
    fn filled(sizes: &[u64], start: Instant) -> Table<u8> {
        let mut table = Table::default();
        for (number, mib) in (1u8..).zip(sizes) {
            assert!(table.claim(version(number), &function(), start));
            table.ready(&version(number), number, mib * MIB, start).expect("it is being made");
            table.use_now(&version(number), start + Duration::from_secs(number.into()));
        }
        table
    }

    #[test]
    fn a_zygote_is_made_once() {
        let (mut table, now) = (Table::<u8>::default(), Instant::now());
        assert!(table.claim(version(1), &function(), now));
        assert!(!table.claim(version(1), &function(), now), "it is being made");
        assert_eq!(table.use_now(&version(1), now), None, "and not ready yet");
        assert_eq!(table.ready(&version(1), 7, MIB, now), Ok(()));
        assert!(!table.claim(version(1), &function(), now));
        assert_eq!(table.use_now(&version(1), now), Some(&mut 7));
        assert!(table.claim(version(2), &function(), now), "another version, another zygote");
    }

    #[test]
    fn code_that_cannot_be_forked_is_not_tried_again() {
        let (mut table, now) = (Table::<u8>::default(), Instant::now());
        table.claim(version(1), &function(), now);
        assert_eq!(table.bar(&version(1), bar("threads"), None), None);
        let later = now + 1000 * BACK_OFF;
        assert!(!table.claim(version(1), &function(), later));
        assert_eq!(table.barred(&version(1), later), Some("threads"));
        let status = table.status(later);
        assert_eq!(status[0].reason, Some(("threads", "because".to_owned())));
    }

    #[test]
    fn one_that_died_is_tried_again_after_a_while() {
        let now = Instant::now();
        let mut table = filled(&[10], now);
        assert_eq!(table.bar(&version(1), bar("died"), Some(now + BACK_OFF)), Some(1));
        assert_eq!(table.use_now(&version(1), now), None);
        assert!(!table.claim(version(1), &function(), now));
        assert_eq!(table.barred(&version(1), now), Some("died"));
        assert_eq!(table.barred(&version(1), now + BACK_OFF), None);
        assert!(table.claim(version(1), &function(), now + BACK_OFF));
    }

    #[test]
    fn who_was_used_longest_ago_goes_first_and_no_more_than_need_be() {
        let now = Instant::now();
        let mut table = filled(&[30, 20, 10], now);
        assert!(table.evict(60 * MIB).is_empty());
        table.use_now(&version(1), now + Duration::from_secs(9));
        assert_eq!(table.evict(45 * MIB), [2]);
        assert_eq!(table.evict(0), [3, 1], "all, in their order");
        assert!(table.claim(version(2), &function(), now), "an evicted one may come again");
    }

    #[test]
    fn one_that_sandboxes_live_of_goes_last_and_counts_for_what_its_end_gives_back() {
        let now = Instant::now();
        let mut table = filled(&[30, 30, 30], now);
        let kept = table.kept(&version(1)).expect("it is ready");
        (kept.is_in_use, kept.frees_bytes) = (true, 5 * MIB);
        assert!(table.evict(65 * MIB).is_empty());
        assert_eq!(table.evict(35 * MIB), [2]);
        assert_eq!(table.evict(4 * MIB), [3, 1]);
    }

    #[test]
    fn a_version_that_leaves_takes_its_zygote_along() {
        let now = Instant::now();
        let mut table = filled(&[10, 10], now);
        table.claim(version(3), &function(), now);
        assert_eq!(table.retain(|served| *served == version(2)), [1]);
        assert_eq!(table.ready(&version(3), 3, MIB, now), Err(3), "nobody wants it any more");
        assert_eq!(table.status(now).len(), 1);
    }
}
