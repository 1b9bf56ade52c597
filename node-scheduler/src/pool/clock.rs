//! The pool's times: read here and in the tasks, handed to everything else.

use std::time::{Duration, Instant};

/// Now, on the runtime's clock, which tests can pause.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The scale of the times in words: milliseconds since the pool began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch(Instant);

impl Epoch {
    pub(super) fn begin() -> Self {
        Self(now())
    }

    /// Rounded up, so that nothing seems to have been idle for longer than it has.
    pub(super) fn ms(self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.0).as_nanos();
        u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    pub(super) fn instant(self, ms: u64) -> Instant {
        self.0 + Duration::from_millis(ms)
    }
}

/// Adds up the time during which something ran, over any number of stops.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stopwatch {
    total: Duration,
    since: Option<Instant>,
}

impl Stopwatch {
    pub(super) fn run(&mut self, is_running: bool, now: Instant) {
        self.total = self.reading(now);
        self.since = is_running.then_some(now);
    }

    pub(super) fn reading(&self, now: Instant) -> Duration {
        self.total + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_stopwatch_counts_while_it_runs() {
        let (t0, mut watch) = (Instant::now(), Stopwatch::default());
        watch.run(true, t0);
        watch.run(true, t0 + 2 * MS);
        watch.run(false, t0 + 5 * MS);
        assert_eq!(watch.reading(t0 + 9 * MS), 5 * MS);
        watch.run(true, t0 + 10 * MS);
        assert_eq!(watch.reading(t0 + 11 * MS), 6 * MS);
    }

    #[test]
    fn a_time_is_rounded_up_to_the_next_millisecond() {
        let epoch = Epoch(Instant::now());
        assert_eq!(epoch.ms(epoch.0 + Duration::from_micros(1001)), 2);
        assert_eq!(epoch.instant(2), epoch.0 + 2 * MS);
    }
}
