//! How long requests took: how many by bucket, and all together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::proto::{Bucket, Histogram};

const MICROSECOND: u64 = 1000;
const MILLISECOND: u64 = 1000 * MICROSECOND;
const SECOND: u64 = 1000 * MILLISECOND;

/// From a warm call on the same machine to the longest default run clock, in nanoseconds.
pub(super) const BOUNDS: [u64; 18] = [
    250 * MICROSECOND,
    500 * MICROSECOND,
    MILLISECOND,
    2500 * MICROSECOND,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    500 * MILLISECOND,
    SECOND,
    2500 * MILLISECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    60 * SECOND,
    300 * SECOND,
];

/// A histogram that all cores write.
#[derive(Debug, Default)]
pub(super) struct Seconds {
    /// Up to each bound and above the one before; the last is beyond all.
    counts: [AtomicU64; BOUNDS.len() + 1],
    /// Together. 64 bits hold 584 years.
    nanos: AtomicU64,
}

impl Seconds {
    pub(super) fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// As Prometheus has it.
    pub(super) fn read(&self) -> Histogram {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let bounds = BOUNDS.iter().map(|bound| Duration::from_nanos(*bound).as_secs_f64());
        histogram(bounds.zip(counts.clone()), counts.sum(), self.nanos.load(Ordering::Relaxed))
    }
}

/// A histogram from the counts of its buckets, each with its upper bound in seconds.
pub(super) fn histogram(
    buckets: impl Iterator<Item = (f64, u64)>,
    all: u64,
    nanos: u64,
) -> Histogram {
    let mut histogram = Histogram::default();
    let buckets = buckets.scan(0, |below, (bound, count)| {
        *below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(*below);
        Some(bucket)
    });
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(all);
    histogram.set_sample_sum(Duration::from_nanos(nanos).as_secs_f64());
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_holds_it_and_in_all_above() {
        let seconds = Seconds::default();
        for micros in [250, 251, 1_000_000, 301_000_000] {
            seconds.observe(Duration::from_micros(micros));
        }
        let read = seconds.read();
        let counts: Vec<_> = read.get_bucket().iter().map(Bucket::cumulative_count).collect();
        assert_eq!(counts, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(read.get_bucket()[11].upper_bound(), 1.0);
        assert_eq!((read.get_sample_count(), read.get_sample_sum()), (4, 302.000_501));
    }
}
