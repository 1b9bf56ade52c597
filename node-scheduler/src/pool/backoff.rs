//! When the next start may be tried after starts that failed and sandboxes that died.

use std::time::{Duration, Instant};

/// After the first failure. Also the least that a client is asked to wait.
const FIRST: Duration = Duration::from_millis(100);

/// With the half that jitter adds, 30 s.
const LAST: Duration = Duration::from_secs(20);

/// Twice the longest pause: what has not failed for so long is not a loop.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// The strikes of one version.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    strikes: u32,
    last: Option<Instant>,
    until: Option<Instant>,
}

impl Backoff {
    /// A start failed. `draw` is uniform over its range and spreads the retries of many versions.
    pub(super) fn failed(&mut self, now: Instant, draw: u32) {
        let strikes = self.strike(now);
        self.until = Some(now + pause(strikes, draw));
    }

    /// A sandbox that was ready has died without being asked. The first time costs no pause: requests that did no wrong wait
    /// for its successor.
    pub(super) fn died(&mut self, now: Instant, draw: u32) {
        let strikes = self.strike(now);
        self.until = (strikes > 1).then(|| now + pause(strikes - 1, draw));
    }

    /// A start succeeded: no pause any more, but the strikes stay until they are forgotten.
    pub(super) fn hatched(&mut self) {
        self.until = None;
    }

    /// When the next start is due, if that is not now.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    fn strike(&mut self, now: Instant) -> u32 {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) > FORGOTTEN_AFTER) {
            self.strikes = 0;
        }
        self.last = Some(now);
        self.strikes = self.strikes.saturating_add(1);
        self.strikes
    }
}

/// 100 ms, doubled per strike up to 20 s, and up to a half more.
fn pause(strikes: u32, draw: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1 << (strikes - 1).min(16)).min(LAST);
    doubled + doubled.mul_f64(f64::from(draw) / f64::from(u32::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_pause_doubles_from_100_ms_and_ends_at_30_s() {
        let shortest: Vec<_> = (1..=10).map(|strikes| pause(strikes, 0).as_millis()).collect();
        assert_eq!(shortest, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 20000, 20000]);
        assert_eq!(pause(1, u32::MAX), 150 * MS);
        assert_eq!(pause(u32::MAX, u32::MAX), 30_000 * MS);
    }

    #[test]
    fn the_first_death_costs_no_pause_and_the_second_does() {
        let (t0, mut backoff) = (Instant::now(), Backoff::default());
        backoff.died(t0, 0);
        assert_eq!(backoff.until(t0), None);
        backoff.died(t0 + MS, 0);
        assert_eq!(backoff.until(t0 + MS), Some(t0 + 101 * MS));
        assert_eq!(backoff.until(t0 + 101 * MS), None);
    }

    #[test]
    fn strikes_outlive_a_start_that_succeeded_and_are_forgotten_after_a_minute() {
        let (t0, mut backoff) = (Instant::now(), Backoff::default());
        backoff.failed(t0, 0);
        backoff.hatched();
        assert_eq!(backoff.until(t0), None);
        backoff.failed(t0 + 1000 * MS, 0);
        assert_eq!(backoff.until(t0 + 1000 * MS), Some(t0 + 1200 * MS));
        let later = t0 + 1000 * MS + FORGOTTEN_AFTER + MS;
        backoff.failed(later, 0);
        assert_eq!(backoff.until(later), Some(later + 100 * MS));
    }
}
