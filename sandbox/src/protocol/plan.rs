//! What the spawner tells sandbox-init, and what it hears back.
//!
//! Two sockets, because sandbox-init becomes two processes: the *reaper* keeps the first and
//! reports how the function ended; the *nest* has the second, which closes by itself when the
//! function's program takes its place, and so announces the exec. Where that program is a
//! zygote, the reaper stays after its end, and moves the zygote's children into their groups. Where it is a stem
//! cell, the reaper mounts the package once it is known, which the cell itself has no right to any more.

use serde::{Deserialize, Serialize};

use crate::spec::{Entry, Network};
use crate::steps::{Step, StepError};

/// Everything that can be done before it is known what will run.
/// Beside it: the nest's socket, a tree for `/etc`, then the files to join groups by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prepare {
    /// The steps that this machine gives.
    pub(crate) steps: Vec<Step>,
    /// The folder to build the root on.
    pub(crate) stage: String,
    pub(crate) network: Network,
    pub(crate) uid: u32,
    /// The id of the half that waits: not the function's, so that this cannot trace it.
    pub(crate) reaper_uid: u32,
    /// True when ids come from a user namespace of an ordinary user, and only that user's
    /// own id can be mapped.
    pub(crate) rootless: bool,
    /// True for a stem cell: the reaper keeps its rights until it has [furnished](Word::Furnish) the nest.
    pub(crate) is_stem: bool,
}

/// What is to run in a prepared nest.
/// Beside it: standard output, standard error, for an inherited entry the listener and the
/// ready pipe, then a tree for each of `mounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assign {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Where the trees that come along go.
    pub(crate) mounts: Vec<String>,
    pub(crate) files: u64,
    /// Set when no controller counts processes.
    pub(crate) processes: Option<u64>,
    pub(crate) tmp_bytes: u64,
    pub(crate) entry: Entry,
    /// Whether a listener for the node's proxy is to be made, and sent along with `Executing`.
    pub(crate) proxied: bool,
    /// Where the package and the extra folders are on the host, for a sandbox that has no root
    /// of its own to put them into.
    pub(crate) folders: Vec<String>,
}

/// To the reaper of a nest that becomes a zygote or a stem cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// Sent before the assignment: do not end with the zygote, but when you are killed.
    Stay,
    /// Move a process into a group. Beside it: the files to join the group by.
    Move {
        /// Of the child, comes back with the answer.
        child: u64,
        /// As the nest numbers its processes.
        pid: i32,
    },
    /// Mount what the stem cell of this nest is to become, and give up every right. Beside it: a tree for each of `mounts`.
    Furnish { mounts: Vec<String>, tmp_bytes: u64, proxied: bool },
}

/// From either half of sandbox-init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The nest is isolated and waits. Beside it: a pidfd of the process that will be the
    /// function.
    Parked,
    /// The nest is about to give way to the function's program. Beside it: the listener of a proxied one.
    Executing,
    Failed(StepError),
    /// The function's process has ended, by this status of wait(2).
    Ended {
        status: i32,
    },
    /// The answer to `Word::Move`: the error number, 0 when it is done.
    Moved {
        child: u64,
        errno: i32,
    },
    /// The answer to `Word::Furnish`. Beside it: the listener of a proxied one.
    Furnished,
}
