//! All looks together: how much more likely what was seen is if the canary is worse than if it is not.
//!
//! Money is put on many ways of being worse: errors or times beyond a quantile of stable's, by a little or by much, from
//! the start of the rollout, from the start of a step or from any look on. Each pot is multiplied by its [`bet`](super::bet)
//! at every look, and what all pots hold together is the evidence. While the canary is not worse no bet is favourable,
//! so the chance that the sum *ever* comes to 100 times what was put in is one in a hundred at most (Ville 1939): one may
//! look as often as one likes and stop at any time. Putting a part of the money in later keeps a fault that shows
//! late from having to win back what was lost while all was well (Shin, Ramdas and Rinaldo, "E-detectors", 2022,
//! arXiv:2203.03532, for the idea; here the parts add up to 1, so the chance stays bounded for the whole rollout).

use serde::{Deserialize, Serialize};

use super::bet::{Arm, Expected};
use super::counts::{self, Counts, Histogram, Seen};
use super::plan::{Analysis, Plan};

/// By how much worse a canary may be: logarithms of the ratio of odds, from "a quarter more" to "nothing works".
const SHIFTS: [f64; 6] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0];

/// The parts of stable's requests beyond which a time counts as long: its p50, p90 and p99.
const BEYOND: [f64; 3] = [0.5, 0.1, 0.01];

/// With fewer, stable's quantiles are guesses.
const ENOUGH_FOR_QUANTILES: u64 = 200;

/// Before anything was seen: one request in a hundred fails, and that is worth fifty requests.
const GUESSED_REQUESTS: f64 = 50.0;
const GUESSED_ERRORS: f64 = 0.5;

/// Half of the money is put in at steps, the other at looks.
const HALF: f64 = 0.5;

type Pots = [f64; SHIFTS.len()];

/// What has been made of all looks so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Looks that saw anything.
    pub looks: u32,
    /// Stable, since the start of the rollout.
    pub stable: Counts,
    /// The canary.
    pub canary: Counts,
    /// Put in so far, of 1.
    put_in: f64,
    /// Logarithms of what each pot holds.
    errors: Pots,
    latency: [Pots; BEYOND.len()],
}

/// In what a canary is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worse {
    /// It fails more often.
    Errors,
    /// It takes longer.
    Latency,
}

impl Evidence {
    /// Nothing was seen yet.
    pub fn of(plan: &Plan) -> Self {
        Self::new(plan.weights())
    }

    /// The weight will be set so many times.
    fn new(weights: u32) -> Self {
        let empty = [f64::MIN; SHIFTS.len()];
        let mut evidence = Self {
            looks: 0,
            stable: Counts::default(),
            canary: Counts::default(),
            put_in: 0.0,
            errors: empty,
            latency: [empty; BEYOND.len()],
        };
        evidence.set_weight(weights);
        evidence
    }

    /// A step begins in which the canary has another share, the first of them included.
    pub(super) fn set_weight(&mut self, weights: u32) {
        self.put_in(HALF / f64::from(weights.max(1)));
    }

    /// Takes in what was seen since the last look.
    pub fn look(&mut self, seen: &Seen, analysis: &Analysis) {
        if seen.is_empty() {
            return;
        }
        self.looks = self.looks.saturating_add(1);
        // 1/2 + 1/6 + 1/12 + ... = 1: there is always something left for the next.
        let look = f64::from(self.looks);
        self.put_in(HALF / (look * (look + 1.0)));
        self.bet_on_errors(seen, analysis);
        if self.stable.latency.total() >= ENOUGH_FOR_QUANTILES {
            self.bet_on_latency(seen, analysis);
        }
        self.stable.add(&seen.stable);
        self.canary.add(&seen.canary);
    }

    fn put_in(&mut self, part: f64) {
        let part = part.min(1.0 - self.put_in);
        if part <= 0.0 {
            return;
        }
        self.put_in += part;
        for pot in self.errors.iter_mut().chain(self.latency.iter_mut().flatten()) {
            *pot = log_sum([*pot, part.ln()]);
        }
    }

    fn bet_on_errors(&mut self, seen: &Seen, analysis: &Analysis) {
        let arm = |counts: &Counts| Arm { requests: counts.requests, hits: counts.errors };
        let requests = GUESSED_REQUESTS + self.stable.requests as f64;
        let expected = (GUESSED_ERRORS + self.stable.errors as f64) / requests;
        let margin = f64::from(analysis.error_margin_bp) / 10_000.0;
        bet(&mut self.errors, expected, margin, arm(&seen.stable), arm(&seen.canary));
    }

    /// The canary may take longer by a factor: its threshold is so much higher than stable's.
    fn bet_on_latency(&mut self, seen: &Seen, analysis: &Analysis) {
        let factor = 1.0 + f64::from(analysis.latency_margin_percent) / 100.0;
        for (pots, beyond) in self.latency.iter_mut().zip(BEYOND) {
            let past = &self.stable.latency;
            let Some(threshold) = past.quantile(beyond) else { continue };
            let Some(margined) = at_least(threshold, factor) else { continue };
            let arm = |latency: &Histogram, threshold| Arm {
                requests: latency.total(),
                hits: latency.from(threshold),
            };
            let expected = (0.5 + past.from(threshold) as f64) / (1.0 + past.total() as f64);
            let arms = (arm(&seen.stable.latency, threshold), arm(&seen.canary.latency, margined));
            bet(pots, expected, 0.0, arms.0, arms.1);
        }
    }

    /// How many times as likely all that was seen is if the canary is worse: its logarithm, and in what.
    pub fn weight(&self) -> (f64, Worse) {
        let rest = (1.0 - self.put_in).max(f64::MIN_POSITIVE).ln();
        let errors = log_sum([log_mean(&self.errors), rest]);
        let latency = log_sum([log_mean(self.latency.as_flattened()), rest]);
        let worse = if errors >= latency { Worse::Errors } else { Worse::Latency };
        (log_mean(&[errors, latency]), worse)
    }

    /// In what the canary is worse, where that is settled.
    pub fn verdict(&self, analysis: &Analysis) -> Option<Worse> {
        let (weight, worse) = self.weight();
        (weight >= enough(analysis)).then_some(worse)
    }

    /// For people: what was seen, and how far it is from a verdict.
    pub fn in_words(&self, analysis: &Analysis) -> String {
        let side = |counts: &Counts| {
            let percent = 100.0 * counts.errors as f64 / counts.requests.max(1) as f64;
            let p99 = counts.latency.quantile(0.01).map(counts::bound);
            let p99 =
                p99.map_or("-".to_owned(), |p99| format!("{:.1} ms", p99.as_secs_f64() * 1e3));
            format!("{percent:.2}% of {} requests failed, p99 {p99}", counts.requests)
        };
        let times = self.weight().0.min(99.0 * std::f64::consts::LN_10).exp();
        let times = if times < 10_000.0 { format!("{times:.2}") } else { format!("{times:.0e}") };
        format!(
            "canary: {}; stable: {}; {times} times as likely if it is worse ({:.0} is enough)",
            side(&self.canary),
            side(&self.stable),
            enough(analysis).exp(),
        )
    }
}

/// The logarithm of what settles it.
fn enough(analysis: &Analysis) -> f64 {
    (10_000.0 / f64::from(analysis.false_alarms_bp)).ln()
}

fn bet(pots: &mut Pots, expected: f64, margin: f64, stable: Arm, canary: Arm) {
    for (pot, shift) in pots.iter_mut().zip(SHIFTS) {
        *pot += Expected::new(expected, margin, shift).bet(stable, canary);
    }
}

/// The first bucket whose times are `factor` times as long.
fn at_least(bucket: usize, factor: f64) -> Option<usize> {
    let wanted = counts::bound(bucket).mul_f64(factor);
    (bucket..counts::BUCKETS).find(|bucket| counts::bound(*bucket) >= wanted)
}

fn log_sum<const N: usize>(logs: [f64; N]) -> f64 {
    log_mean(&logs) + (N as f64).ln()
}

fn log_mean(logs: &[f64]) -> f64 {
    let largest = logs.iter().copied().fold(f64::MIN, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - largest).exp()).sum();
    largest + (sum / logs.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(requests: u64, errors: u64, bucket: usize) -> Counts {
        Counts { requests, errors, latency: [(bucket, requests)].into_iter().collect() }
    }

    fn looked(times: u32, stable: &Counts, canary: &Counts) -> Evidence {
        let mut evidence = Evidence::new(4);
        for _ in 0..times {
            let seen = Seen { stable: stable.clone(), canary: canary.clone() };
            evidence.look(&seen, &Analysis::default());
        }
        evidence
    }

    #[test]
    fn what_is_put_in_is_all_there_is() {
        let mut evidence = Evidence::new(3);
        assert!(evidence.weight().0.abs() < 1e-12, "nothing was won or lost");
        evidence.set_weight(3);
        for _ in 0..1000 {
            evidence.look(
                &Seen { stable: counts(1, 0, 9), canary: Counts::default() },
                &Analysis::default(),
            );
        }
        assert!(evidence.weight().0.abs() < 1e-9, "no bet was made: {:?}", evidence.weight());
        for _ in 0..10 {
            evidence.set_weight(3);
        }
        assert!(evidence.put_in <= 1.0);
    }

    #[test]
    fn a_canary_that_fails_is_found_and_one_that_does_not_is_not() {
        let analysis = Analysis::default();
        let worse = looked(3, &counts(1000, 10, 90), &counts(50, 10, 90));
        assert_eq!(worse.verdict(&analysis), Some(Worse::Errors), "{}", worse.in_words(&analysis));
        let same = looked(500, &counts(1000, 10, 90), &counts(100, 1, 90));
        assert_eq!(same.verdict(&analysis), None, "{}", same.in_words(&analysis));
        let better = looked(500, &counts(1000, 10, 90), &counts(100, 0, 80));
        assert_eq!(better.verdict(&analysis), None);
    }

    #[test]
    fn a_canary_that_takes_longer_is_found_beyond_the_margin_alone() {
        let analysis = Analysis::default();
        // A bucket is about 5 % wide: one more is within the margin of 10 %, four are not.
        let [within, beyond] =
            [91, 94].map(|bucket| looked(20, &counts(500, 0, 90), &counts(50, 0, bucket)));
        assert_eq!(within.verdict(&analysis), None, "{}", within.in_words(&analysis));
        assert_eq!(
            beyond.verdict(&analysis),
            Some(Worse::Latency),
            "{}",
            beyond.in_words(&analysis)
        );
    }

    #[test]
    fn a_fault_that_shows_late_is_found_all_the_same() {
        let analysis = Analysis::default();
        let mut evidence = looked(5000, &counts(1000, 10, 90), &counts(100, 1, 90));
        let mut looks = 0;
        while evidence.verdict(&analysis).is_none() {
            evidence.look(
                &Seen { stable: counts(1000, 10, 90), canary: counts(100, 10, 90) },
                &analysis,
            );
            looks += 1;
            assert!(looks < 20, "{}", evidence.in_words(&analysis));
        }
    }

    #[test]
    fn evidence_survives_being_kept() {
        let evidence = looked(3, &counts(300, 3, 90), &counts(30, 1, 90));
        let text = serde_json::to_string(&evidence).unwrap();
        let read: Evidence = serde_json::from_str(&text).unwrap();
        assert_eq!(read.stable, evidence.stable);
        assert!((read.weight().0 - evidence.weight().0).abs() < 1e-9);
    }
}
