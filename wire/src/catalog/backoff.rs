//! How long to wait before the next try: doubling, and never in step with the other gateways.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A member that restarts is back within this.
const FIRST: Duration = Duration::from_millis(100);

/// The longest that a source which has come back goes unheard.
const LONGEST: Duration = Duration::from_secs(5);

/// The waits between tries.
#[derive(Debug)]
pub struct Backoff {
    bound: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { bound: FIRST }
    }
}

impl Backoff {
    /// The next wait: between half of the bound and all of it, by `draw`; then the bound doubles.
    pub fn next(&mut self, draw: u32) -> Duration {
        let wait = self.bound / 2 + part(self.bound / 2, draw);
        self.bound = (self.bound * 2).min(LONGEST);
        wait
    }

    /// The last try has gone well.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// `draw` in 2^32 parts of `whole`.
pub(super) fn part(whole: Duration, draw: u32) -> Duration {
    whole.mul_f64(f64::from(draw) / 4_294_967_296.0)
}

/// A number to spread waits by. Not for secrets.
pub fn draw() -> u32 {
    let bits = RandomState::new().hash_one(0_u8).to_le_bytes();
    u32::from_le_bytes([bits[0], bits[1], bits[2], bits[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_start_again() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(0), FIRST / 2);
        assert_eq!(backoff.next(0), FIRST);
        for _ in 0..20 {
            let wait = backoff.next(u32::MAX);
            assert!(wait <= LONGEST);
        }
        assert_eq!(backoff.next(0), LONGEST / 2);
        backoff.reset();
        assert!(backoff.next(u32::MAX) <= FIRST);
    }
}
