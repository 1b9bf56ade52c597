//! What one version does at this gateway, counted as its requests end.

use std::sync::atomic::{AtomicU64, Ordering};

use hatchway_proto::rollout::Counts;
use hatchway_proto::rollout::counts::{BUCKETS, bucket};
use hatchway_wire::backend::Timing;
use hatchway_wire::http1::Outcome;

use crate::metrics::is_left;

/// Counts of one version of a function that has several: 2.7 KiB.
#[derive(Debug)]
pub struct Tally {
    requests: AtomicU64,
    errors: AtomicU64,
    latency: Box<[AtomicU64]>,
}

impl Default for Tally {
    fn default() -> Self {
        let latency = std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
        Self { requests: AtomicU64::new(0), errors: AtomicU64::new(0), latency }
    }
}

impl Tally {
    /// A request is over. Who left is no witness, and a start that was waited for says nothing of the version, where it is
    /// known here: behind a link it is not. `has_failed` also where the client was told something better.
    pub(crate) fn count(&self, outcome: &Outcome, timing: &Timing, has_failed: bool) {
        if is_left(outcome) {
            return;
        }
        if has_failed || outcome.status >= 500 {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        if timing.start.is_none() {
            self.latency[bucket(outcome.total)].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All so far.
    pub fn read(&self) -> Counts {
        let errors = self.errors.load(Ordering::Relaxed);
        let latency = self.latency.iter().map(|count| count.load(Ordering::Relaxed));
        Counts {
            requests: self.requests.load(Ordering::Relaxed),
            errors,
            latency: latency.enumerate().collect(),
        }
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
        let tally = Tally::default();
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
}
