//! The clock by which the phases of a start are told.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The monotonic clock, which all processes of a machine share, in nanoseconds.
pub(crate) fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    let since_boot = Duration::new(time.tv_sec.unsigned_abs(), nanos);
    u64::try_from(since_boot.as_nanos()).unwrap_or(u64::MAX)
}
