//! Exactly the descriptors that are meant: when nothing of ours needs another one any more,
//! and before the limits, which would not let us move them about.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;

use super::{AtStep, Step, StepError};
use crate::sys::process::{close_from_at_exec, place_descriptor};

/// Puts `/dev/null` at 0 and `given` at 1 and up, and marks all else to close at the exec:
/// the nest's own socket has to stay until then, to tell of an exec that fails.
pub(crate) fn place(given: &[BorrowedFd<'_>]) -> Result<(), StepError> {
    let count = u32::try_from(given.len()).expect("at most four are given") + 1;
    // A target may be the source of a later one: move all out of the way first.
    let high: Result<Vec<_>, _> = given.iter().map(|fd| fcntl_dupfd_cloexec(fd, 64)).collect();
    let high = high.at(Step::Descriptors, "moving away")?;
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .at(Step::Descriptors, "/dev/null")?;
    let null = fcntl_dupfd_cloexec(&null, 64).at(Step::Descriptors, "/dev/null")?;
    let all = std::iter::once(null.as_fd()).chain(high.iter().map(AsFd::as_fd));
    for (to, fd) in (0..).zip(all) {
        place_descriptor(fd, to).at(Step::Descriptors, "moving into place")?;
    }
    close_from_at_exec(count).at(Step::Descriptors, "closing the rest")
}
