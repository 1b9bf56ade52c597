//! The counts of one version of a function that has several: what Prometheus shows of a canary, and what the rollout controller
//! judges it by.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hatchway_proto::rollout::Counts;
use hatchway_proto::rollout::counts::{BUCKETS, bound, bucket};
use hatchway_wire::backend::Timing;
use hatchway_wire::http1::Outcome;
use prometheus::proto::Histogram;

use super::seconds::{BOUNDS, histogram};
use super::{class, is_left};

/// Counts of one version: 88 bytes before its first request, 2.7 KiB from then on.
#[derive(Debug, Default)]
pub struct VersionMetrics {
    /// By class.
    pub(super) requests: [AtomicU64; 6],
    in_flight: AtomicI64,
    pub(super) errors: AtomicU64,
    latency: OnceLock<Box<[AtomicU64]>>,
    nanos: AtomicU64,
}

impl VersionMetrics {
    /// A request has come.
    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// It is gone.
    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Requests under way.
    pub fn in_flight(&self) -> i64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests so far that are over, those of clients that left among them.
    pub fn requests(&self) -> u64 {
        self.requests.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// A request is over. Who left is no witness, and a start that was waited for says nothing of the version, where it is
    /// known here: behind a link it is not. `has_failed` also where the client was told something better.
    pub(crate) fn count(&self, outcome: &Outcome, timing: &Timing, has_failed: bool) {
        self.requests[class(outcome)].fetch_add(1, Ordering::Relaxed);
        if is_left(outcome) {
            return;
        }
        if has_failed || outcome.status >= 500 {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        if timing.start.is_none() {
            let new = || std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
            let latency = self.latency.get_or_init(new);
            latency[bucket(outcome.total)].fetch_add(1, Ordering::Relaxed);
            let nanos = u64::try_from(outcome.total.as_nanos()).unwrap_or(u64::MAX);
            self.nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    /// All so far, as rollouts look at it.
    pub fn read(&self) -> Counts {
        // Errors first: there are never more of them than requests.
        let errors = self.errors.load(Ordering::Relaxed);
        let [_, answered @ ..] = &self.requests;
        let requests = answered.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        Counts { requests, errors, latency: self.latency().enumerate().collect() }
    }

    fn latency(&self) -> impl Iterator<Item = u64> {
        let latency = self.latency.get().into_iter().flatten();
        latency.map(|count| count.load(Ordering::Relaxed))
    }

    /// The same times in the buckets that functions have, each bound at most 6.25 % lower.
    pub(super) fn seconds(&self) -> Histogram {
        let fine: Vec<u64> = self.latency().collect();
        let mut done = 0;
        let folded = BOUNDS.iter().map(|nanos| {
            let end = bucket(std::time::Duration::from_nanos(*nanos));
            let inside = fine.get(done..end).unwrap_or_default().iter().sum();
            done = end;
            (bound(end).as_secs_f64(), inside)
        });
        histogram(folded, fine.iter().sum(), self.nanos.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use hatchway_wire::backend::Start;
    use hatchway_wire::http1::Cause;

    use super::*;

    #[test]
    fn failures_count_and_clients_that_left_do_not() {
        let tally = VersionMetrics::default();
        let outcome = |status, total| Outcome { status, total, ..Outcome::default() };
        let (fast, slow) = (Duration::from_millis(2), Duration::from_millis(200));
        let warm = Timing::default();
        tally.count(&outcome(200, fast), &warm, false);
        tally.count(&outcome(503, slow), &warm, false);
        tally.count(&outcome(404, fast), &warm, false);
        tally.count(&outcome(0, fast), &warm, false);
        tally.count(&outcome(200, fast), &warm, true);
        let gone = Outcome { broken: Some(Cause::ClientGone), ..outcome(200, slow) };
        tally.count(&gone, &warm, false);
        let start = Some(Start { total: slow, phases: Arc::default() });
        tally.count(&outcome(200, slow), &Timing { start, ..Timing::default() }, false);
        let counts = tally.read();
        assert_eq!((counts.requests, counts.errors, counts.latency.total()), (5, 2, 4));
        assert_eq!(counts.latency.from(bucket(slow)), 1);
    }
    #[test]
    fn prometheus_sees_the_same_times_in_fewer_buckets() {
        let metrics = VersionMetrics::default();
        for millis in [1, 2, 200] {
            let total = Duration::from_millis(millis);
            let outcome = Outcome { status: 200, total, ..Outcome::default() };
            metrics.count(&outcome, &Timing::default(), false);
        }
        let read = metrics.seconds();
        let counts: Vec<_> = read.get_bucket().iter().map(|it| it.cumulative_count()).collect();
        assert_eq!(counts[..10], [0, 0, 0, 2, 2, 2, 2, 2, 2, 3]);
        for (bucket, nanos) in read.get_bucket().iter().zip(BOUNDS) {
            let part = bucket.upper_bound() / Duration::from_nanos(nanos).as_secs_f64();
            assert!((0.9375..=1.0).contains(&part) || nanos > 134_000_000_000, "{part}");
        }
        assert_eq!((read.get_sample_count(), read.get_sample_sum()), (3, 0.203));
    }
}
