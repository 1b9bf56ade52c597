//! What the spawner knows of one sandbox: a nest, a running function, or one just leaving.

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Signal, pidfd_send_signal};

use super::adopt::Kept;
use super::peer;
use crate::cgroup::{GroupPaths, Limits, clear};
use crate::protocol::event::PhasesNs;
use crate::protocol::plan::Report;
use crate::protocol::stem::Become;
use crate::spec::Network;
use crate::steps::StepError;
use crate::sys::process::Child;
use crate::tier::Tier;

/// One sandbox from its first process on until that has ended.
#[derive(Debug)]
pub(super) struct Resident {
    pub(super) groups: GroupPaths,
    pub(super) child: Child,
    /// The socket of the half that waits; tells how the function ended.
    pub(super) reaper: Option<OwnedFd>,
    /// The socket of the half that becomes the function; gone once it has.
    pub(super) nest: Option<OwnedFd>,
    /// The listener of a proxied one, until the node has it.
    pub(super) proxy: Option<OwnedFd>,
    /// The process that is or will be the function, once parked.
    pub(super) function: Option<OwnedFd>,
    pub(super) network: Network,
    /// Its place among the user ids of this spawner.
    pub(super) seat: u32,
    pub(super) stage: Stage,
    /// Who it is for, once somebody wants it.
    pub(super) guest: Option<Guest>,
    /// Set for a zygote.
    pub(super) zygote: Option<Zygote>,
    /// Set for a stem cell, until it has been told what to become.
    pub(super) stem: Option<Stem>,
    /// The wait(2) status of the function, once its reaper has told.
    pub(super) status: Option<i32>,
    /// True when its end was asked for.
    pub(super) was_told: bool,
}

/// The function that a sandbox is for.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) id: u64,
    /// The folder of a probed function, by which its socket is found.
    pub(super) private: Option<OwnedFd>,
    pub(super) port: u16,
    pub(super) tier: Tier,
    pub(super) clock: Clock,
    pub(super) kept: Option<Kept>,
}

/// What a zygote has beside what every sandbox has.
#[derive(Debug)]
pub(super) struct Zygote {
    /// Ours to the zygote, until it has ended.
    pub(super) socket: Option<OwnedFd>,
    /// Of each child.
    pub(super) limits: Limits,
    /// Its own, once it has been forked: somebody waits for its work then.
    pub(super) awake: Option<Limits>,
}

/// What a stem cell has beside what every sandbox has.
#[derive(Debug)]
pub(super) struct Stem {
    /// Ours to the cell.
    pub(super) socket: OwnedFd,
    /// What it is to be told, and given, once its root is furnished.
    pub(super) order: Option<(Become, Vec<OwnedFd>)>,
}

/// Preparing -parked-> Parked -executing-> Executing -nest closed-> Running
///     | failed          | failed              | failed
///     `---------------> Failed <--------------'
/// A stem cell that runs is `Executing` once more while it becomes a function, until that is furnished.
/// From each of them it leaves the table when its first process has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Preparing,
    Parked,
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

impl Resident {
    /// Takes in what one of its halves says. True when that ended its start badly.
    pub(super) fn hear(&mut self, report: Report, attached: Vec<OwnedFd>, now: u64) -> bool {
        match report {
            Report::Parked => {
                self.function = attached.into_iter().next();
                self.advance(&Stage::Preparing, Stage::Parked);
                false
            }
            Report::Executing => {
                if let Some(guest) = &mut self.guest {
                    guest.clock.executing = now;
                }
                self.proxy = attached.into_iter().next();
                self.advance(&Stage::Parked, Stage::Executing);
                false
            }
            Report::Failed(error) => self.fail(error),
            Report::Ended { status } => {
                self.status = Some(status);
                false
            }
            // Of a child, not of this one; and that a stem cell is furnished is heard before.
            Report::Moved { .. } | Report::Furnished => false,
        }
    }

    /// Moves on, from the one stage before and from no other.
    fn advance(&mut self, from: &Stage, to: Stage) {
        if self.stage == *from {
            self.stage = to;
        }
    }

    /// Notes why it will not run; false when it runs already, or has failed before. A failure
    /// after the start, as the reaper may have one, is seen by its end.
    pub(super) fn fail(&mut self, error: StepError) -> bool {
        match self.stage {
            Stage::Preparing | Stage::Parked | Stage::Executing => {
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
        self.advance(&Stage::Executing, Stage::Running);
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

    /// Ends it as its node means it: a zygote leaves behind the children that serve.
    pub(super) fn end(&mut self) {
        match (&self.zygote, &self.function) {
            (Some(_), Some(zygote)) if self.stage == Stage::Running => {
                self.was_told = true;
                // Ended meanwhile, which is what was asked.
                let _ = pidfd_send_signal(zygote, Signal::KILL);
            }
            _ => self.kill(),
        }
    }

    /// Ends everything in it. Number 1 of a process-id namespace takes all others with it;
    /// where there is none, the group is killed, and again until it is empty.
    pub(super) fn kill(&mut self) {
        self.was_told = true;
        let first = pidfd_send_signal(self.child.pidfd.as_fd(), Signal::KILL);
        if let Some(function) = &self.function {
            let _ = pidfd_send_signal(function, Signal::KILL);
        }
        if first.is_err() {
            return;
        }
        for dir in self.groups.dirs() {
            // A folder that is gone has nobody in it.
            let _ = clear::kill(dir);
        }
    }

    /// The function's process as the host numbers it; that of its reaper when it is gone.
    pub(super) fn function_pid(&self) -> i32 {
        let function = self.function.as_ref().and_then(|function| peer::numbers(function).ok());
        function.map_or_else(|| self.child.pid.as_raw_nonzero().get(), |(pid, _)| pid)
    }
}
