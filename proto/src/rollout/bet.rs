//! What one look at the counts is worth, as a bet: money is put on "the canary is worse" at odds that are fair, or
//! unfavourable, for as long as it is not.
//!
//! Between two looks stable had `n_s` requests and the canary `n_c`; a request *hits* when it fails, or takes longer than a
//! threshold that was chosen before. We expected stable to hit with probability `a`, the canary with `b > a + m`, where
//! `m` is the margin by which it may be worse. With `(q, q + m)`, the point nearest to `(a, b)` in Kullback-Leibler
//! divergence among those that are allowed, the bet returns the likelihood ratio of `(a, b)` to `(q, q + m)`. This is
//! the E-variable of Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for
//! optional stopping", J. Stat. Plan. Inference 230 (2024), arXiv:2106.02693, and with a margin of Turner and Grünwald,
//! "Exact anytime-valid confidence intervals for contingency tables and beyond", Stat. Probab. Lett. 198 (2023),
//! arXiv:2203.09785.
//!
//! **Why it is not favourable.** Let the true probabilities be `s` and `c <= s + m`. One request of the canary multiplies
//! the stake by `1 + (c - q - m) g_c` in expectation, `g_c = (b - q - m) / ((q + m)(1 - q - m)) > 0`, and one of stable by
//! `1 + (s - q) g_s`, `g_s = (a - q) / (q (1 - q)) < 0`. Nearest means that the derivative is zero: `n_c g_c + n_s g_s = 0`.
//! As `1 + x <= e^x`, the whole is at most `exp(n_c g_c (c - q - m) + n_s g_s (s - q)) = exp(n_c g_c (c - s - m)) <= 1`.
//! This is exact for any number of requests and any rates, which may be others at every look; what it takes is that
//! requests between two looks hit independently of each other. Requests of one client that always fails do not: then
//! alarms may be more frequent than was asked for.

/// What one version did between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm {
    /// Requests.
    pub requests: u64,
    /// Those of them that hit.
    pub hits: u64,
}

/// What was expected before the look.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Probability that a request of stable hits.
    stable: f64,
    /// The same of the canary, if it is worse.
    canary: f64,
    /// By how much it may be worse.
    margin: f64,
}

/// Probabilities are kept away from 0 and 1 by this.
const EDGE: f64 = 1e-6;

/// Halvings of an interval: to a millionth of a millionth of it.
const HALVINGS: u32 = 40;

impl Expected {
    /// Stable hits with `stable`, and a canary that is worse has odds that are `e^shift` times those it may have.
    pub fn new(stable: f64, margin: f64, shift: f64) -> Self {
        let allowed = (stable + margin).clamp(EDGE, 1.0 - 2.0 * EDGE);
        let stable = (allowed - margin).max(EDGE / 2.0);
        let odds = allowed / (1.0 - allowed) * shift.exp();
        Self { stable, canary: (odds / (1.0 + odds)).min(1.0 - EDGE), margin }
    }

    /// The logarithm of what a stake of 1 has become.
    pub fn bet(&self, stable: Arm, canary: Arm) -> f64 {
        if stable.requests == 0 || canary.requests == 0 || self.canary <= self.stable + self.margin
        {
            return 0.0;
        }
        let nearest = self.nearest(stable.requests, canary.requests);
        log_ratio(stable, self.stable, nearest)
            + log_ratio(canary, self.canary, nearest + self.margin)
    }

    /// What stable would do at the nearest point that is allowed. It lies where the pull of both is the same.
    fn nearest(&self, stable: u64, canary: u64) -> f64 {
        let (stable, canary) = (stable as f64, canary as f64);
        if self.margin == 0.0 {
            return (stable * self.stable + canary * self.canary) / (stable + canary);
        }
        let gain = |expected: f64, at: f64| (expected - at) / (at * (1.0 - at));
        let pull =
            |at: f64| canary * gain(self.canary, at + self.margin) + stable * gain(self.stable, at);
        let (mut low, mut high) = (self.stable, self.canary - self.margin);
        for _ in 0..HALVINGS {
            let middle = low.midpoint(high);
            if pull(middle) > 0.0 { low = middle } else { high = middle }
        }
        low.midpoint(high)
    }
}

fn log_ratio(arm: Arm, expected: f64, allowed: f64) -> f64 {
    let (hits, misses) = (arm.hits as f64, (arm.requests - arm.hits) as f64);
    hits * (expected / allowed).ln() + misses * ((1.0 - expected) / (1.0 - allowed)).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binomial(n: u64, k: u64, p: f64) -> f64 {
        let choose = (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
        choose * p.powi(i32::try_from(k).unwrap()) * (1.0 - p).powi(i32::try_from(n - k).unwrap())
    }

    /// What the bet returns on average, over every outcome that there is.
    fn mean(expected: Expected, (n_s, s): (u64, f64), (n_c, c): (u64, f64)) -> f64 {
        let mut mean = 0.0;
        for x_s in 0..=n_s {
            for x_c in 0..=n_c {
                let arms = (Arm { requests: n_s, hits: x_s }, Arm { requests: n_c, hits: x_c });
                let chance = binomial(n_s, x_s, s) * binomial(n_c, x_c, c);
                mean += chance * expected.bet(arms.0, arms.1).exp();
            }
        }
        mean
    }

    proptest! {
        #[test]
        fn nobody_gets_rich_while_the_canary_is_not_worse(
            guess in 0.0_f64..=1.0, shift in 0.01_f64..9.0, margin in 0.0_f64..0.3,
            n_s in 0_u64..30, n_c in 0_u64..15, s in 0.0_f64..=1.0, part in 0.0_f64..=1.0,
        ) {
            let c = (s + margin).min(1.0) * part;
            let mean = mean(Expected::new(guess, margin, shift), (n_s, s), (n_c, c));
            prop_assert!(mean <= 1.0 + 1e-6, "{mean}");
        }
    }

    #[test]
    fn the_bet_pays_when_the_canary_is_worse_and_is_fair_at_the_margin() {
        let expected = Expected::new(0.01, 0.0, 1.1);
        assert!(mean(expected, (30, 0.01), (10, 0.03)) > 1.005);
        // At the nearest point itself nothing is given away.
        let at = Expected::new(0.2, 0.1, 1.0);
        let nearest = at.nearest(20, 10);
        assert!((mean(at, (20, nearest), (10, nearest + 0.1)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn without_both_there_is_nothing_to_compare() {
        let expected = Expected::new(0.01, 0.001, 2.0);
        let (none, some) = (Arm { requests: 0, hits: 0 }, Arm { requests: 50, hits: 50 });
        assert_eq!((expected.bet(none, some), expected.bet(some, none)), (0.0, 0.0));
    }
}
