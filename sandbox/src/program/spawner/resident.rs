//! What the spawner knows of one sandbox that lives or is just leaving.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};

use crate::cgroup::{GroupPaths, clear};
use crate::protocol::event::PhasesNs;
use crate::protocol::plan::Report;
use crate::spec::Network;
use crate::steps::StepError;
use crate::sys::process::Child;

/// One sandbox from the order on until nothing of it is left.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) groups: GroupPaths,
    pub(super) child: Child,
    /// The socket of the half that waits; tells how the function ended.
    pub(super) reaper: Option<OwnedFd>,
    /// The socket of the half that becomes the function; gone once it has.
    pub(super) nest: Option<OwnedFd>,
    /// The function's own process.
    pub(super) function: Option<OwnedFd>,
    pub(super) private: Option<OwnedFd>,
    pub(super) network: Network,
    pub(super) port: u16,
    /// Its place among the ids of this spawner.
    pub(super) seat: u32,
    pub(super) stage: Stage,
    pub(super) clock: Clock,
    /// The wait(2) status of the function, once its reaper has told.
    pub(super) status: Option<i32>,
    /// True when the node has asked for its end.
    pub(super) was_told: bool,
}

/// Isolating -executing-> Executing -nest closed-> Running
///     | failed               | failed
///     `----> Failed <--------'
/// From each of them it leaves the table when its first process has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Isolating,
    Executing,
    Running,
    Failed(StepError),
}

/// When the parts of a start began and ended, by the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) decided: u64,
    pub(super) received: u64,
    pub(super) executing: u64,
}

impl Clock {
    pub(super) fn phases(&self, running: u64) -> PhasesNs {
        PhasesNs {
            order: self.received.saturating_sub(self.decided),
            isolate: self.executing.saturating_sub(self.received),
            exec: running.saturating_sub(self.executing),
        }
    }
}

/// The monotonic clock, which all processes of a machine share.
pub(crate) fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let since_boot =
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0));
    u64::try_from(since_boot.as_nanos()).unwrap_or(u64::MAX)
}

impl Resident {
    /// Takes in what one of its halves says. True when that was the end of its start, good or
    /// bad, and the node should hear of it.
    pub(super) fn hear(&mut self, report: Report, attached: Vec<OwnedFd>, now: u64) -> bool {
        match report {
            Report::Parked => {
                self.function = attached.into_iter().next();
                false
            }
            Report::Executing => {
                self.stage = Stage::Executing;
                self.clock.executing = now;
                false
            }
            Report::Failed(error) => self.fail(error),
            Report::Ended { status } => {
                self.status = Some(status);
                false
            }
        }
    }

    /// Notes why it will not run. A failure after the start, as the reaper may have one, is
    /// seen by its end.
    pub(super) fn fail(&mut self, error: StepError) -> bool {
        match self.stage {
            Stage::Isolating | Stage::Executing => {
                self.stage = Stage::Failed(error);
                true
            }
            Stage::Running | Stage::Failed(_) => false,
        }
    }

    /// Its nest's socket has closed: the function's program has taken over, or the nest died.
    /// True when it runs.
    pub(super) fn nest_closed(&mut self) -> bool {
        let runs = self.stage == Stage::Executing;
        if runs {
            self.stage = Stage::Running;
        }
        runs
    }

    /// Asks the function to end.
    pub(super) fn terminate(&mut self) {
        self.was_told = true;
        if let Some(function) = &self.function {
            // It may have ended meanwhile, which is what was asked.
            let _ = pidfd_send_signal(function, Signal::TERM);
        }
    }

    /// Ends everything in it. Number 1 of a process-id namespace takes all others with it;
    /// where there is none, the group is killed, and again until it is empty.
    pub(super) fn kill(&mut self) {
        self.was_told = true;
        let _ = pidfd_send_signal(self.child.pidfd.as_fd(), Signal::KILL);
        if let Some(function) = &self.function {
            let _ = pidfd_send_signal(function, Signal::KILL);
        }
        for dir in self.groups.dirs() {
            // A folder that is gone has nobody in it.
            let _ = clear::kill(dir);
        }
    }
}
