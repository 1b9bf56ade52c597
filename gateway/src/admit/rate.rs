//! The rate limit of a function, or this gateway's share in it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::answer::CallError;

const SECOND: u64 = 1_000_000_000;

/// How much of a second's allowance may come at once; of a share below one a second, one request may.
const BURST: u64 = SECOND;

/// A rate limit shared by all cores: the generic cell rate algorithm (ITU-T I.371), whose whole state
/// is the time at which the allowance will be untouched again, one word.
#[derive(Debug)]
pub struct Rate {
    /// Of all gateways together, requests a second.
    per_second: u32,
    since: Instant,
    /// Nanoseconds from one request to the next: of this gateway's share.
    each: AtomicU64,
    /// Nanoseconds after `since`.
    untouched_at: AtomicU64,
    /// Requests that have come, whether they passed or not.
    asked: AtomicU64,
}

impl Rate {
    /// So many requests a second, 0 counts as 1: all of it, until a [share](Self::take_share) is told.
    pub fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        Self {
            per_second,
            since: Instant::now(),
            each: AtomicU64::new(SECOND / u64::from(per_second)),
            untouched_at: AtomicU64::new(0),
            asked: AtomicU64::new(0),
        }
    }

    /// Of all gateways together, requests a second.
    pub fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Requests that have come so far, whether they passed or not.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Lets one request pass.
    ///
    /// # Errors
    /// [`CallError::RateLimited`] with the time until the next one passes.
    pub fn enter(&self) -> Result<(), CallError> {
        self.enter_at(self.now())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn enter_at(&self, now: u64) -> Result<(), CallError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let each = self.each.load(Ordering::Relaxed);
        let latest = now + BURST.max(each);
        let next = |untouched_at: u64| {
            let from = untouched_at.max(now);
            (from + each <= latest).then_some(from + each)
        };
        self.untouched_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .map(|_| ())
            .map_err(|untouched_at| {
                let retry_after =
                    Duration::from_nanos((untouched_at + each).saturating_sub(latest));
                CallError::RateLimited { per_second: self.per_second, retry_after }
            })
    }

    /// From now on this gateway lets so many requests a second pass.
    pub fn take_share(&self, per_second: f64) {
        self.take_share_at(per_second, self.now());
    }

    /// What was left of the allowance stays the same number of requests: a share that grows brings nothing at once, or
    /// shares that go to and fro would let more pass than all of them together.
    fn take_share_at(&self, per_second: f64, now: u64) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most a day, and more than nothing"
        )]
        let each = (SECOND as f64 / per_second.max(1e-5)).max(1.0) as u64;
        let before = self.each.swap(each, Ordering::Relaxed);
        if before == each {
            return;
        }
        let moved = |untouched_at: u64| {
            let left = (now + BURST.max(before)).saturating_sub(untouched_at.max(now));
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "requests of a second, times the time of each"
            )]
            let left = (left as f64 / before as f64 * each as f64) as u64;
            Some((now + BURST.max(each)).saturating_sub(left).max(now))
        };
        // Who passes just now passes by the old share or by the new one.
        let _ = self.untouched_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved);
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::share::share;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_of_allowance_passes_at_once_and_then_the_rate() {
        let rate = Rate::new(10);
        let passed = (0..20).filter(|_| rate.enter_at(0).is_ok()).count();
        assert_eq!((passed, rate.asked()), (10, 20));
        assert!(rate.enter_at(SECOND / 10 - 1).is_err());
        assert!(rate.enter_at(SECOND / 10).is_ok());
        assert!(rate.enter_at(SECOND / 10).is_err());
    }

    #[test]
    fn over_a_long_time_the_rate_is_exact() {
        let rate = Rate::new(100);
        let passed =
            (0..10_000_u64).filter(|step| rate.enter_at(step * SECOND / 1000).is_ok()).count();
        assert!(
            (1_099..=1_101).contains(&passed),
            "{passed} in ten seconds with one second's burst"
        );
    }

    #[test]
    fn a_refusal_says_when_the_next_one_passes() {
        let rate = Rate::new(1);
        assert!(rate.enter_at(0).is_ok());
        let Err(CallError::RateLimited { retry_after, .. }) = rate.enter_at(SECOND / 4) else {
            panic!("the second request of a second passed");
        };
        assert_eq!(retry_after, Duration::from_millis(750));
    }

    #[test]
    fn a_share_that_grows_brings_nothing_at_once() {
        let rate = Rate::new(100);
        rate.take_share_at(10.0, 0);
        let passes = |now| (0..200).filter(|_| rate.enter_at(now).is_ok()).count();
        assert_eq!(passes(0), 10, "what the share allows at once");
        rate.take_share_at(100.0, 0);
        assert_eq!(passes(0), 0);
        assert_eq!(passes(SECOND / 2), 50);
        rate.take_share_at(0.1, SECOND / 2);
        assert_eq!((passes(9 * SECOND), passes(11 * SECOND)), (0, 1), "one in ten seconds");
    }

    proptest! {
        /// Gateways whose clients come and go; each hears of the others late, by a second more or less.
        #[test]
        fn all_gateways_together_keep_the_rate(
            demands in proptest::collection::vec(proptest::collection::vec(0..400_u64, 30), 2..5),
            lags in proptest::collection::vec(0..3_usize, 5),
        ) {
            const RATE: u32 = 100;
            let gateways: Vec<Rate> = demands.iter().map(|_| Rate::new(RATE)).collect();
            let told = |gateway: usize, second: usize| {
                second.checked_sub(1).map_or(0.0, |before| demands[gateway][before] as f64)
            };
            let (mut passed, mut could) = (0_u64, 0_u64);
            (0..30_usize).for_each(|second| {
                let start = second as u64 * SECOND;
                for (own, rate) in gateways.iter().enumerate() {
                    let seen = second.saturating_sub(lags[own]);
                    let others = (0..gateways.len()).filter(|other| *other != own);
                    let others = others.map(|other| told(other, seen));
                    rate.take_share_at(share(RATE.into(), told(own, seen), others), start);
                }
                for (gateway, rate) in gateways.iter().enumerate() {
                    let demand = demands[gateway][second];
                    let step = SECOND / demand.max(1);
                    let ok = (0..demand).filter(|n| rate.enter_at(start + n * step).is_ok());
                    passed += ok.count() as u64;
                    could += demand;
                }
            });
            // Two lags may see different tables: what is too much is bounded by how often demand is turned upside down, here
            // every second. A second's burst is allowed.
            let allowed = u64::from(RATE) * 31;
            let same_view = lags[..gateways.len()].windows(2).all(|pair| pair[0] == pair[1]);
            if same_view {
                prop_assert!(passed <= allowed * 105 / 100, "{passed} of {allowed}");
            }
            prop_assert!(passed <= could);
        }

        /// Where clients are where they were, the limit is used and not exceeded.
        #[test]
        fn under_a_steady_load_the_limit_is_met_within_five_percent(
            demands in proptest::collection::vec(0..1000_u64, 2..6),
        ) {
            const RATE: u64 = 200;
            prop_assume!(demands.iter().sum::<u64>() > RATE * 2);
            let gateways: Vec<Rate> = demands.iter().map(|_| Rate::new(200)).collect();
            let mut passed = 0;
            for second in 0..60_u64 {
                for (own, rate) in gateways.iter().enumerate() {
                    if second > 0 {
                        let others = (0..demands.len()).filter(|other| *other != own);
                        let others = others.map(|other| demands[other] as f64);
                        let share = share(RATE as f64, demands[own] as f64, others);
                        rate.take_share_at(share, second * SECOND);
                    }
                    let step = SECOND / demands[own].max(1);
                    let at = |n| second * SECOND + n * step;
                    let ok = (0..demands[own]).filter(|n| rate.enter_at(at(*n)).is_ok()).count();
                    // The first second is that in which they find one another.
                    passed += if second > 0 { ok as u64 } else { 0 };
                }
            }
            let expected = RATE * 59;
            prop_assert!(
                (expected * 95 / 100..=expected * 105 / 100).contains(&passed),
                "{passed}, {expected} are allowed"
            );
        }
    }
}
