//! What gateways count of a version: requests, failures, and how long they took.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets of one octave: a bound is at most 6.25 % above the one before.
const PER_OCTAVE: usize = 16;
const SHIFT: u32 = PER_OCTAVE.trailing_zeros();

/// The first octave begins at 64 us, and shorter is all the same; the last ends at 134 s.
const FIRST_OCTAVE: u32 = 6;
const OCTAVES: usize = 21;

/// How many buckets of time there are.
pub const BUCKETS: usize = 2 + OCTAVES * PER_OCTAVE;

/// The bucket of a time: what HdrHistogram does, with four bits behind the highest.
pub fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    if micros < 1 << FIRST_OCTAVE {
        return 0;
    }
    let octave = micros.ilog2();
    // The highest bit and the four behind it: 16 to 31.
    let part = usize::try_from(micros >> (octave - SHIFT)).unwrap_or_default();
    let before = (octave - FIRST_OCTAVE) as usize * PER_OCTAVE;
    (before + part - PER_OCTAVE + 1).min(BUCKETS - 1)
}

/// The shortest time of a bucket.
pub fn bound(bucket: usize) -> Duration {
    let Some(index) = bucket.checked_sub(1) else { return Duration::ZERO };
    let octave = (index / PER_OCTAVE).min(OCTAVES);
    let part = (PER_OCTAVE + index % PER_OCTAVE) as u64;
    Duration::from_micros((part << octave) << (FIRST_OCTAVE - SHIFT))
}

/// How many requests took how long, by bucket; buckets without any are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Histogram(BTreeMap<usize, u64>);

/// What was counted of one version: since its gateway began to count, or between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Requests that ended, but for those whose client left.
    pub requests: u64,
    /// Those of them that failed: answered with 5xx, not answered at all, or cut; whatever the client was told in its place.
    pub errors: u64,
    /// How long those took that waited for no start.
    #[serde(default)]
    pub latency: Histogram,
}

/// What both versions did between two looks, at all gateways together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Of stable.
    pub stable: Counts,
    /// Of the canary.
    pub canary: Counts,
}

impl FromIterator<(usize, u64)> for Histogram {
    fn from_iter<I: IntoIterator<Item = (usize, u64)>>(buckets: I) -> Self {
        Self(buckets.into_iter().filter(|(_, count)| *count > 0).collect())
    }
}

impl Histogram {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those that took as long as the first of this bucket, or longer.
    pub fn from(&self, bucket: usize) -> u64 {
        self.0.range(bucket..).map(|(_, count)| count).sum()
    }

    /// The first bucket from which on there is no more than this part of all; none where there is nothing, or where that
    /// is beyond the last bound.
    pub fn quantile(&self, beyond: f64) -> Option<usize> {
        let allowed = self.total() as f64 * beyond;
        let mut above = 0;
        for (bucket, count) in self.0.iter().rev() {
            above += count;
            if above as f64 > allowed {
                return (bucket + 1 < BUCKETS).then_some(bucket + 1);
            }
        }
        None
    }

    fn add(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    fn since(&self, before: &Self) -> Self {
        let before = |bucket| before.0.get(bucket).copied().unwrap_or_default();
        self.0
            .iter()
            .map(|(bucket, count)| (*bucket, count.saturating_sub(before(bucket))))
            .collect()
    }
}

impl Counts {
    /// Takes in what was counted elsewhere, or later.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.latency.add(&other.latency);
    }

    /// What has been added since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let requests = self.requests.saturating_sub(before.requests);
        Self {
            requests,
            // Read one after the other while others count: never more errors than requests.
            errors: self.errors.saturating_sub(before.errors).min(requests),
            latency: self.latency.since(&before.latency),
        }
    }
}

impl Seen {
    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.stable.requests == 0 && self.canary.requests == 0
    }

    /// The same, but for how long anything took.
    #[must_use]
    pub fn without_times(&self) -> Self {
        let bare = |counts: &Counts| Counts {
            requests: counts.requests,
            errors: counts.errors,
            latency: Histogram::default(),
        };
        Self { stable: bare(&self.stable), canary: bare(&self.canary) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        assert_eq!((bucket(Duration::ZERO), bucket(Duration::MAX)), (0, BUCKETS - 1));
        for index in 1..BUCKETS {
            let from = bound(index);
            assert_eq!(bucket(from), index, "{from:?}");
            assert_eq!(bucket(from - Duration::from_micros(1)), index - 1, "before {from:?}");
            let ratio = from.as_secs_f64() / bound(index.max(2) - 1).as_secs_f64();
            assert!(ratio <= 1.0626, "{from:?}: {ratio}");
        }
        assert_eq!(bound(BUCKETS - 1), Duration::from_micros(1 << 27));
    }

    #[test]
    fn a_quantile_is_where_no_more_than_its_part_is_left() {
        let all: Histogram = [(10, 50), (20, 49), (30, 1)].into_iter().collect();
        assert_eq!(
            (all.quantile(0.01), all.quantile(0.005), all.quantile(0.5)),
            (Some(21), Some(31), Some(11))
        );
        assert_eq!((all.from(21), all.from(20), all.total()), (1, 50, 100));
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(Histogram::from_iter([(BUCKETS - 1, 9)]).quantile(0.5), None);
    }

    #[test]
    fn differences_add_up_to_the_whole() {
        let counts = |requests, errors, slow| Counts {
            requests,
            errors,
            latency: [(7, requests - slow), (9, slow)].into_iter().collect(),
        };
        let (before, after) = (counts(10, 1, 3), counts(25, 4, 3));
        let mut sum = before.clone();
        sum.add(&after.since(&before));
        assert_eq!(sum, after);
        let text = serde_json::to_string(&after).unwrap();
        assert_eq!(serde_json::from_str::<Counts>(&text).unwrap(), after);
        // A gateway that has begun anew counts nothing twice.
        assert_eq!(before.since(&after), Counts::default());
    }
}
