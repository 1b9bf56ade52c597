//! The half that stays: number 1 of the process-id namespace.
//!
//! It collects what ends, tells how the function itself ended, and by its own end has the
//! kernel kill everything that the function has left running.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, wait};

use crate::protocol::plan::Prepare;
use crate::steps::{self, Step, StepError};

/// Waits until the function's process ends; gives its wait(2) status.
pub(super) fn run(spawner: &OwnedFd, nest: Pid, prepare: &Prepare) -> Result<i32, StepError> {
    confine(prepare)?;
    if is_orphan(spawner) {
        return Ok(libc::SIGKILL);
    }
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == nest => return Ok(status.as_raw()),
            // An orphan that has been collected, or a signal: both mean to wait on.
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(StepError::new(Step::Process, "wait", &error.into())),
        }
    }
}

/// It shares the namespaces with the tenant's code, so it keeps no right that this could take.
fn confine(prepare: &Prepare) -> Result<(), StepError> {
    let has = |step| prepare.steps.contains(&step);
    if has(Step::Identity) && !prepare.rootless {
        // Without a process-id namespace our death has to take the function along by a signal,
        // and the kernel asks whether we might send it: only to our own id.
        let is_first = has(Step::Process);
        let id = if is_first { prepare.reaper_uid } else { prepare.uid };
        steps::identity::become_id(id)?;
    }
    steps::privileges::drop_capabilities()
        .map_err(|error| StepError::new(Step::Capabilities, "reaper", &error))?;
    steps::privileges::promise_no_new_privileges()?;
    steps::privileges::hide()?;
    steps::privileges::die_with_parent()?;
    if has(Step::Seccomp) {
        steps::seccomp::filter()?;
    }
    Ok(())
}

/// True when the spawner was gone before its death could signal us.
fn is_orphan(spawner: &OwnedFd) -> bool {
    let mut poll = [PollFd::new(spawner, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut poll, Some(&at_once)).is_ok()
        && poll[0].revents().contains(PollFlags::HUP)
}
