//! Stage 4: the rate limit of a function.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::answer::CallError;

/// How much of a second's allowance may come at once.
const BURST: Duration = Duration::from_secs(1);

/// A rate limit shared by all cores: the generic cell rate algorithm (ITU-T I.371), whose whole state
/// is the time at which the allowance will be untouched again, one word.
#[derive(Debug)]
pub struct Rate {
    per_second: u32,
    since: Instant,
    /// Nanoseconds after `since`.
    untouched_at: AtomicU64,
}

impl Rate {
    /// So many requests a second, 0 counts as 1.
    pub fn new(per_second: u32) -> Self {
        Self { per_second, since: Instant::now(), untouched_at: AtomicU64::new(0) }
    }

    /// Lets one request pass.
    ///
    /// # Errors
    /// [`CallError::RateLimited`] with the time until the next one passes.
    pub fn enter(&self) -> Result<(), CallError> {
        let now = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.enter_at(self.per_second, now)
    }

    fn enter_at(&self, per_second: u32, now: u64) -> Result<(), CallError> {
        let each = Duration::from_secs(1).as_nanos() as f64 / f64::from(per_second.max(1));
        #[allow(clippy::cast_possible_truncation, reason = "at most a second in nanoseconds")]
        let (each, burst) = (each as u64, BURST.as_nanos() as u64);
        let next = |untouched_at: u64| {
            let from = untouched_at.max(now);
            (from + each <= now + burst).then_some(from + each)
        };
        self.untouched_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .map(|_| ())
            .map_err(|untouched_at| {
                let wait = (untouched_at + each).saturating_sub(now + burst);
                CallError::RateLimited { per_second, retry_after: Duration::from_nanos(wait) }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_second_of_allowance_passes_at_once_and_then_the_rate() {
        let rate = Rate::new(10);
        let passed = (0..20).filter(|_| rate.enter_at(10, 0).is_ok()).count();
        assert_eq!(passed, 10);
        assert!(rate.enter_at(10, SECOND / 10 - 1).is_err());
        assert!(rate.enter_at(10, SECOND / 10).is_ok());
        assert!(rate.enter_at(10, SECOND / 10).is_err());
    }

    #[test]
    fn over_a_long_time_the_rate_is_exact() {
        let rate = Rate::new(100);
        let passed =
            (0..10_000_u64).filter(|step| rate.enter_at(100, step * SECOND / 1000).is_ok()).count();
        assert!(
            (1_099..=1_101).contains(&passed),
            "{passed} in ten seconds with one second's burst"
        );
    }

    #[test]
    fn a_refusal_says_when_the_next_one_passes() {
        let rate = Rate::new(1);
        assert!(rate.enter_at(1, 0).is_ok());
        let Err(CallError::RateLimited { retry_after, .. }) = rate.enter_at(1, SECOND / 4) else {
            panic!("the second request of a second passed");
        };
        assert_eq!(retry_after, Duration::from_millis(750));
    }
}
