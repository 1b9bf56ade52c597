//! Who is left alone for a while, by what came of asking: no probe, no vote, nothing that etcd would be needed for.

use std::time::Duration;

use tokio::time::Instant;

/// The first rest of a node that could not be reached, and the longest: each failure doubles it. No request waits for the trial at its
/// end, so that may come soon.
const REST: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// A node that was reached again for so long is as good as any.
const HOLDS: Duration = Duration::from_secs(10);

/// Links that may break soon after they were made, one after the other, before their node rests.
const BREAKS: u32 = 3;

/// A node that has come back takes more and more of its versions during this time: all at once, a cold start of
/// each would meet it.
const RAMP: Duration = Duration::from_secs(10);

/// What a core has seen of a node.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Not tried before this.
    resting_until: Option<Instant>,
    /// How often in a row it could not be reached.
    failures: u32,
    /// Links that broke early, in a row.
    breaks: u32,
    reached_at: Option<Instant>,
    ramps_since: Option<Instant>,
}

impl Health {
    /// Of a node that joins while others serve.
    pub fn joining(now: Instant) -> Self {
        Self { ramps_since: Some(now), ..Self::default() }
    }

    /// It could not be reached, or is not the one that was meant: it rests, longer each time.
    pub fn failed(&mut self, now: Instant) {
        let rest = REST.0.saturating_mul(1 << self.failures.min(16));
        self.resting_until = Some(now + rest.min(REST.1));
        self.failures += 1;
        self.reached_at = None;
    }

    /// It was reached.
    pub fn reached(&mut self, now: Instant) {
        if self.failures > 0 {
            self.ramps_since = Some(now);
        }
        self.resting_until = None;
        self.failures = 0;
        self.reached_at = Some(now);
    }

    /// A link to it has broken, not by its own wish.
    pub fn broke(&mut self, now: Instant) {
        let has_held = self.reached_at.is_some_and(|reached| reached + HOLDS <= now);
        self.breaks = if has_held { 1 } else { self.breaks + 1 };
        if self.breaks >= BREAKS {
            self.failed(now);
        }
    }

    /// How often in a row it has failed: 0 once it was reached again. A rest that is over proves nothing.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// It is not to be tried yet.
    pub fn rests(&self, now: Instant) -> bool {
        self.resting_until.is_some_and(|until| until > now)
    }

    /// How far it is on its way back, in thousandths.
    pub fn ramp_permille(&self, now: Instant) -> u16 {
        let Some(since) = self.ramps_since else { return 1000 };
        let passed = now.saturating_duration_since(since).as_millis() * 1000 / RAMP.as_millis();
        u16::try_from(passed.min(1000)).expect("it is at most 1,000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(health: &Health, now: Instant) -> Duration {
        let ends = (0..).map(Duration::from_millis).find(|ms| !health.rests(now + *ms));
        ends.expect("a rest ends")
    }

    #[test]
    fn a_node_rests_longer_each_time_until_it_is_reached() {
        let (mut node, now) = (Health::default(), Instant::now());
        for (failures, times) in [(1, 1), (2, 2), (3, 4)] {
            node.failed(now);
            assert_eq!((node.failures(), rest(&node, now)), (failures, REST.0 * times));
        }
        (0..40).for_each(|_| node.failed(now));
        assert_eq!(rest(&node, now), REST.1);
        node.reached(now);
        assert_eq!((node.failures(), node.rests(now)), (0, false));
        node.failed(now);
        assert_eq!(rest(&node, now), REST.0);
    }

    #[test]
    fn links_that_break_at_once_count_and_those_that_have_held_do_not() {
        let (mut node, now) = (Health::default(), Instant::now());
        for _ in 1..BREAKS {
            node.reached(now);
            node.broke(now);
            assert_eq!(node.failures(), 0);
        }
        node.reached(now);
        node.broke(now);
        assert_eq!(node.failures(), 1);
        let later = now + HOLDS;
        let mut steady = Health::default();
        for _ in 0..10 {
            steady.reached(now);
            steady.broke(later);
        }
        assert_eq!(steady.failures(), 0);
    }

    #[test]
    fn who_has_failed_comes_back_little_by_little() {
        let (mut node, now) = (Health::default(), Instant::now());
        node.reached(now);
        assert_eq!(node.ramp_permille(now), 1000, "it has never failed");
        node.failed(now);
        node.reached(now);
        let ramp = [0, 1, 2, 3].map(|part| node.ramp_permille(now + RAMP / 2 * part));
        assert_eq!(ramp, [0, 500, 1000, 1000]);
        assert_eq!(Health::joining(now).ramp_permille(now + RAMP / 4), 250);
    }
}
