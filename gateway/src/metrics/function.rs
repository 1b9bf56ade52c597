//! The counts of one function.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hatchway_wire::backend::Timing;
use hatchway_wire::http1::Outcome;

use super::class;
use super::seconds::Seconds;
use super::words::Words;

/// The counts of one function: nothing before its first request, 0.5 KiB from then on. Whoever serves a hundred thousand of them
/// serves most of them seldom.
#[derive(Debug, Default)]
pub struct FunctionMetrics(OnceLock<Box<Counts>>);

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// By class.
    pub(super) requests: [AtomicU64; 6],
    pub(super) in_flight: AtomicI64,
    pub(super) seconds: Seconds,
    pub(super) cold_starts: OnceLock<Box<Seconds>>,
    pub(super) failures: Words,
    pub(super) degraded: Words,
    pub(super) mirrored: Words,
    pub(super) request_bytes: AtomicU64,
    pub(super) response_bytes: AtomicU64,
}

impl FunctionMetrics {
    fn counts(&self) -> &Counts {
        self.0.get_or_init(Box::default)
    }

    /// None before the first request.
    pub(super) fn read(&self) -> Option<&Counts> {
        self.0.get().map(|counts| &**counts)
    }

    /// A request has come.
    pub(crate) fn enter(&self) {
        self.counts().in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// It is gone.
    pub(crate) fn leave(&self) {
        self.counts().in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts an answer made in place of the function, or one of its own that was cut.
    pub fn refused(&self, reason: &'static str) {
        self.counts().failures.count(reason);
    }

    /// Counts an answer that took the place of a failure.
    pub fn degraded(&self, reason: &'static str) {
        self.counts().degraded.count(reason);
    }

    /// Counts a copy of a request.
    pub fn mirrored(&self, result: &'static str) {
        self.counts().mirrored.count(result);
    }

    /// Counts a request that is over.
    pub fn finish(&self, outcome: &Outcome, timing: Option<&Timing>) {
        let counts = self.counts();
        counts.requests[class(outcome)].fetch_add(1, Ordering::Relaxed);
        counts.seconds.observe(outcome.total);
        counts.request_bytes.fetch_add(outcome.request_bytes, Ordering::Relaxed);
        counts.response_bytes.fetch_add(outcome.response_bytes, Ordering::Relaxed);
        if let Some(start) = timing.and_then(|timing| timing.start.as_ref()) {
            counts.cold_starts.get_or_init(Box::default).observe(start.total);
        }
    }

    /// All requests so far.
    pub fn requests(&self) -> u64 {
        let all = |counts: &Counts| counts.requests.iter().map(|n| n.load(Ordering::Relaxed)).sum();
        self.read().map_or(0, all)
    }

    /// Those that were answered with 5xx.
    pub fn errors(&self) -> u64 {
        self.read().map_or(0, |counts| counts.requests[5].load(Ordering::Relaxed))
    }

    /// Requests under way.
    pub fn in_flight(&self) -> i64 {
        self.read().map_or(0, |counts| counts.in_flight.load(Ordering::Relaxed))
    }
}
