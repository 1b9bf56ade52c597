//! Waiting for events.

use std::thread;
use std::time::{Duration, Instant};

/// The longest that anything is waited for. Only a broken system comes near it, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at something that cannot be waited for in another way.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Looks until there is something to see.
///
/// # Panics
/// After [`PATIENCE`], naming `what` was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// Does the same on `count` threads at once; the results in the order of their numbers.
///
/// # Panics
/// When one of them does.
pub fn together<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|n| scope.spawn(move || work(n))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a client panicked")).collect()
    })
}

/// What `DURATION` says: `90`, `90s`, `10m` or `1h`.
///
/// # Panics
/// When it says none of these.
pub fn duration(text: &str) -> Duration {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().expect("DURATION begins with a number");
    match &text[digits.len()..] {
        "" | "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(60 * number),
        "h" => Duration::from_secs(3600 * number),
        unit => panic!("DURATION ends with s, m or h, not {unit}"),
    }
}
