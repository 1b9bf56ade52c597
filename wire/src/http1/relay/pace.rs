//! The clocks of an exchange: who is waited for, for how long, and what it is called when it took too long.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::http1::exchange::Cause;
use crate::http1::service::Clocks;
use crate::http1::settings::{BodyRate, Settings};
use crate::ticker::{self, Timer};

/// What the clocks have seen.
#[derive(Debug)]
pub(crate) struct Pace {
    clocks: Clocks,
    write_clock: Duration,
    body_rate: Option<BodyRate>,
    handed_over: Option<Instant>,
    moved: u64,
    moved_at: Instant,
    window: Option<Window>,
}

/// A stretch of time in which enough of the body has to come.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    received: u64,
}

/// How an exchange stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    /// Bytes moved either way so far.
    pub(crate) moved: u64,
    /// Of these, from the client.
    pub(crate) received: u64,
    /// The upstream has the whole request.
    pub(crate) is_handed_over: bool,
    /// The next byte of the request is the client's to send.
    pub(crate) waits_for_body: bool,
    /// The upstream's answer has begun.
    pub(crate) is_answered: bool,
    /// The client does not take what it was sent.
    pub(crate) is_unread: bool,
}

impl Pace {
    pub(crate) fn new(clocks: Clocks, settings: &Settings) -> Self {
        Self {
            clocks,
            write_clock: settings.write_clock,
            body_rate: settings.body_rate,
            handed_over: None,
            moved: 0,
            moved_at: ticker::recent(),
            window: None,
        }
    }

    /// Sets the clock for `scene`; ready with the reason once it has run out. By the time that this turn has read.
    pub(crate) fn poll(
        &mut self,
        scene: &Scene,
        timer: &Timer,
        cx: &mut Context<'_>,
    ) -> Poll<Cause> {
        let now = ticker::recent();
        let (deadline, cause) = self.next(scene, now);
        timer.set(deadline);
        ready!(timer.poll_at(now, cx));
        Poll::Ready(cause)
    }

    /// The earliest moment at which `scene` will have lasted too long, and what is said then.
    fn next(&mut self, scene: &Scene, now: Instant) -> (Instant, Cause) {
        if self.moved != scene.moved {
            (self.moved, self.moved_at) = (scene.moved, now);
        }
        if scene.is_handed_over {
            self.handed_over.get_or_insert(now);
        }
        let mut first = match self.handed_over {
            _ if scene.is_unread => {
                (self.moved_at + self.clocks.idle.min(self.write_clock), Cause::ClientStalled)
            }
            Some(since) if !scene.is_answered => {
                (since + self.clocks.first_byte, Cause::FirstByteClock)
            }
            None if scene.waits_for_body => {
                (self.moved_at + self.clocks.idle, Cause::ClientStalled)
            }
            None | Some(_) => (self.moved_at + self.clocks.idle, Cause::IdleClock),
        };
        for other in [self.body_deadline(scene, now), Some((self.clocks.run, Cause::RunClock))] {
            first = match other {
                Some(other) if other.0 <= first.0 => other,
                Some(_) | None => first,
            };
        }
        first
    }

    fn body_deadline(&mut self, scene: &Scene, now: Instant) -> Option<(Instant, Cause)> {
        let rate = self.body_rate.filter(|_| scene.waits_for_body && !scene.is_answered);
        let Some(rate) = rate else {
            // While the upstream is the slow one, the client's time does not run.
            self.window = None;
            return None;
        };
        let fresh = Window { since: now, received: scene.received };
        let window = *self.window.get_or_insert(fresh);
        let is_enough = scene.received - window.received >= rate.bytes;
        let window = if is_enough { *self.window.insert(fresh) } else { window };
        Some((window.since + rate.window, Cause::ClientStalled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const UPLOAD: Scene = Scene {
        moved: 100,
        received: 100,
        is_handed_over: false,
        waits_for_body: true,
        is_answered: false,
        is_unread: false,
    };

    fn pace(start: Instant) -> Pace {
        let clocks =
            Clocks { first_byte: 30 * SECOND, idle: 60 * SECOND, run: start + 300 * SECOND };
        let body_rate = Some(BodyRate { bytes: 1000, window: 20 * SECOND });
        Pace::new(clocks, &Settings { body_rate, ..Settings::default() })
    }

    fn at(pace: &mut Pace, scene: Scene, now: Instant) -> (Duration, String) {
        let (deadline, cause) = pace.next(&scene, now);
        (deadline - now, cause.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_dribbles_has_one_window_however_often_a_byte_comes() {
        let start = Instant::now();
        let mut pace = pace(start);
        assert_eq!(at(&mut pace, UPLOAD, start).0, 20 * SECOND);
        for second in 1..=20 {
            let received = 100 + u64::from(second);
            let scene = Scene { moved: received, received, ..UPLOAD };
            let (left, why) = at(&mut pace, scene, start + second * SECOND);
            assert_eq!(left, (20 - second) * SECOND);
            assert_eq!(why, Cause::ClientStalled.to_string());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_at_the_rate_gets_a_window_after_the_other() {
        let start = Instant::now();
        let mut pace = pace(start);
        at(&mut pace, UPLOAD, start);
        for step in 1..=10_u32 {
            let received = 100 + u64::from(step) * 1000;
            let scene = Scene { moved: received, received, ..UPLOAD };
            assert_eq!(at(&mut pace, scene, start + step * 19 * SECOND).0, 20 * SECOND);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_upstream_does_not_count_against_the_client() {
        let start = Instant::now();
        let mut pace = pace(start);
        at(&mut pace, UPLOAD, start);
        let stalled = Scene { waits_for_body: false, ..UPLOAD };
        let (left, why) = at(&mut pace, stalled, start + 19 * SECOND);
        assert_eq!((left, why), (41 * SECOND, Cause::IdleClock.to_string()));
        assert_eq!(at(&mut pace, UPLOAD, start + 30 * SECOND).0, 20 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_clock_runs_from_the_handover_and_not_from_what_moves() {
        let start = Instant::now();
        let mut pace = pace(start);
        let scene = Scene { is_handed_over: true, waits_for_body: false, ..UPLOAD };
        let first_byte = Cause::FirstByteClock.to_string();
        assert_eq!(at(&mut pace, scene, start), (30 * SECOND, first_byte.clone()));
        let interim = Scene { moved: 200, ..scene };
        assert_eq!(at(&mut pace, interim, start + 10 * SECOND), (20 * SECOND, first_byte));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_read_is_the_clients_fault_and_one_that_stops_is_not() {
        let start = Instant::now();
        let mut pace = pace(start);
        let answered =
            Scene { is_handed_over: true, waits_for_body: false, is_answered: true, ..UPLOAD };
        let (left, why) = at(&mut pace, Scene { is_unread: true, ..answered }, start);
        assert_eq!((left, why), (30 * SECOND, Cause::ClientStalled.to_string()));
        let (left, why) = at(&mut pace, answered, start);
        assert_eq!((left, why), (60 * SECOND, Cause::IdleClock.to_string()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_run_clock_ends_what_moves_all_the_time() {
        let start = Instant::now();
        let mut pace = pace(start);
        let scene = Scene { is_handed_over: true, is_answered: true, moved: 500, ..UPLOAD };
        let scene = Scene { waits_for_body: false, ..scene };
        let (left, why) = at(&mut pace, scene, start + 290 * SECOND);
        assert_eq!((left, why), (10 * SECOND, Cause::RunClock.to_string()));
    }
}
