//! What the spawner knows of one sandbox that was forked from a zygote.

use std::os::fd::OwnedFd;

use rustix::process::Signal;

use super::adopt::Kept;
use super::peer::Peer;
use super::resident::Clock;
use crate::cgroup::{GroupPaths, clear};

/// One child of a zygote, from the order on until its process has ended.
#[derive(Debug)]
pub(super) struct Fork {
    pub(super) id: u64,
    /// The key of its zygote.
    pub(super) zygote: u64,
    /// Its own, made before it.
    pub(super) groups: GroupPaths,
    /// Ours to the child, until it serves.
    pub(super) control: Option<OwnedFd>,
    /// Once it has said that it is there.
    pub(super) process: Option<Peer>,
    pub(super) stage: ForkStage,
    /// True when it wants to hear that it is in its group.
    pub(super) prepares: bool,
    pub(super) clock: Clock,
    /// True when its end was asked for.
    pub(super) was_told: bool,
    pub(super) kept: Option<Kept>,
}

/// Forking -here-> Moving -moved-> Parked -go-> Serving
///    | failed        | failed
///    `-> Failed <----'
/// From each of them it leaves the table when its process has ended, or when there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForkStage {
    Forking,
    /// On its way into its group.
    Moving,
    Parked,
    Serving,
    /// The node has been told that it will not start.
    Failed,
}

impl Fork {
    /// True once the node has been told that it is there, and waits to hear of its end.
    pub(super) fn is_hatched(&self) -> bool {
        matches!(self.stage, ForkStage::Parked | ForkStage::Serving)
    }

    pub(super) fn terminate(&mut self) {
        self.was_told = true;
        if let Some(process) = &self.process {
            process.signal(Signal::TERM);
        }
    }

    /// Ends everything in it. What it may have forked is in its group and nowhere else, for it
    /// was moved there before it was let go.
    pub(super) fn kill(&mut self) {
        self.was_told = true;
        if let Some(process) = &self.process {
            process.signal(Signal::KILL);
        }
        for dir in self.groups.dirs() {
            // Looked at again until it is empty.
            let _ = clear::kill(dir);
        }
    }
}
