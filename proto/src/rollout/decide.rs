//! The next move of a rollout: arithmetic over what is known at a given time.
//!
//! ```text
//! Progressing -all steps passed---------------------------> Healthy
//!  |  ^   `----the canary is worse, too few requests------> Degraded <-.
//!  v  | resume                                                         |
//! Paused ------the canary is worse, abort------------------------------'
//!
//! any of the two -somebody has changed the release-> HandsOff -resume, promote, abort->
//! ```

use super::evidence::Worse;
use super::{Evidence, Phase, Rollout, Seen, Step, TooLittle};
use crate::catalog::Release;

/// What becomes of the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// The canary has this share.
    SetWeight(u16),
    /// The canary serves everybody.
    Promote,
    /// Stable serves everybody.
    Return,
}

/// What a decision has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing to do before the next look.
    Hold,
    /// The progress is another one; the release may be too.
    Moved(Option<Move>),
}

impl Rollout {
    /// Takes in what was seen since the last decision, and makes one move at most. `release` is as it is now; none when
    /// it is gone. Called again with nothing seen, it makes the next move, if one is due.
    pub fn decide(
        &mut self,
        now_unix_ms: u64,
        release: Option<&Release>,
        evidence: &mut Evidence,
        seen: &Seen,
    ) -> Next {
        if self.progress.phase.is_over() || self.progress.phase == Phase::HandsOff {
            return Next::Hold;
        }
        let is_as_left = |release| self.plan.is_as_left(release, self.progress.weight_bp);
        if !release.is_some_and(is_as_left) {
            let why = "the release is not as this rollout left it: somebody has changed it";
            self.progress.note(now_unix_ms, "hands off", why);
            self.progress.phase = Phase::HandsOff;
            return Next::Moved(None);
        }
        let warming_ms = now_unix_ms.saturating_sub(self.progress.weighted_unix_ms);
        if u128::from(warming_ms) < self.plan.analysis.warm_up.as_millis() {
            evidence.look(&seen.without_times(), &self.plan.analysis);
        } else {
            evidence.look(seen, &self.plan.analysis);
        }
        if let Some(worse) = evidence.verdict(&self.plan.analysis) {
            let what = match worse {
                Worse::Errors => "the canary fails more often",
                Worse::Latency => "the canary takes longer",
            };
            let why = format!("{what}: {}", evidence.in_words(&self.plan.analysis));
            return Next::Moved(Some(self.end(now_unix_ms, Move::Return, why)));
        }
        match self.progress.phase {
            Phase::Progressing => self.step(now_unix_ms, evidence),
            Phase::Paused | Phase::HandsOff | Phase::Healthy | Phase::Degraded => Next::Hold,
        }
    }

    fn step(&mut self, now: u64, evidence: &mut Evidence) -> Next {
        let Some(step) = self.plan.steps.get(self.progress.step).cloned() else {
            let why = format!("all steps are passed: {}", evidence.in_words(&self.plan.analysis));
            return Next::Moved(Some(self.end(now, Move::Promote, why)));
        };
        let elapsed_ms = u128::from(now.saturating_sub(self.progress.since_unix_ms));
        match step {
            Step::SetWeight(weight) => {
                if self.progress.step > 0 {
                    evidence.set_weight(self.plan.weights());
                }
                let percent = f64::from(weight) / 100.0;
                let why = format!("step {}: {percent}% to the canary", self.progress.step + 1);
                let done = self.end(now, Move::SetWeight(weight), why);
                self.next_step(now, evidence);
                Next::Moved(Some(done))
            }
            Step::Pause { duration: None, until_unix_ms: None } => {
                self.progress.note(now, "pause", "this step lasts until somebody resumes");
                self.progress.phase = Phase::Paused;
                Next::Moved(None)
            }
            Step::Pause { duration, until_unix_ms } => {
                let is_long_enough = duration.is_none_or(|time| elapsed_ms >= time.as_millis());
                if !is_long_enough || until_unix_ms.is_some_and(|until| now < until) {
                    return Next::Hold;
                }
                self.progress.note(now, "passed", "the pause is over");
                self.next_step(now, evidence);
                Next::Moved(None)
            }
            Step::Analysis { duration } if elapsed_ms < duration.as_millis() => Next::Hold,
            Step::Analysis { duration } => {
                self.judge(now, elapsed_ms - duration.as_millis(), evidence)
            }
        }
    }

    /// An analysis has had its time, and nothing bad was found.
    fn judge(&mut self, now: u64, waited_ms: u128, evidence: &Evidence) -> Next {
        let (analysis, before) = (&self.plan.analysis, self.progress.before);
        let seen = (
            evidence.stable.requests - before.0.min(evidence.stable.requests),
            evidence.canary.requests - before.1.min(evidence.canary.requests),
        );
        let want = analysis.min_requests;
        let counted =
            format!("{} requests of the canary, {} of stable, {want} of each", seen.1, seen.0);
        if seen.0.min(seen.1) >= want {
            self.progress.note(now, "passed", evidence.in_words(analysis));
        } else if waited_ms < analysis.max_wait.as_millis() {
            if self.progress.is_waiting {
                return Next::Hold;
            }
            self.progress.is_waiting = true;
            self.progress.note(now, "wait", format!("not enough traffic: {counted} are wanted"));
            return Next::Moved(None);
        } else {
            let why = format!("not enough traffic in all the time: {counted} were wanted");
            match analysis.too_little {
                TooLittle::Return => return Next::Moved(Some(self.end(now, Move::Return, why))),
                TooLittle::Promote => self.progress.note(now, "passed", why),
            }
        }
        self.next_step(now, evidence);
        Next::Moved(None)
    }

    fn next_step(&mut self, now: u64, evidence: &Evidence) {
        self.progress.step += 1;
        self.progress.since_unix_ms = now;
        self.progress.is_waiting = false;
        self.progress.before = (evidence.stable.requests, evidence.canary.requests);
    }
}

#[cfg(test)]
mod tests;
