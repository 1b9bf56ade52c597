//! Into the control group: the first thing that happens, so that everything after it, the
//! memory of the mounts included, is charged to the sandbox and held by its limits.

use std::os::fd::AsFd;

use super::{AtStep, Step, StepError};

/// Moves this process into the groups behind `doors`, files named `cgroup.procs` that the
/// spawner has opened: this process could not.
///
/// A process that is alone with its threads may move itself by writing `0` (cgroups(7)).
/// The first such write after a quiet time waits for an RCU grace period, 7 to 20 ms, which is
/// why nests are prepared ahead and why the spawner, which everyone waits for, does not do it.
pub(crate) fn join(doors: &[impl AsFd]) -> Result<(), StepError> {
    for door in doors {
        rustix::io::write(door, b"0").at(Step::Join, "")?;
    }
    Ok(())
}
