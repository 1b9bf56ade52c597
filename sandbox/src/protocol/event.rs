//! What the spawner tells its node.

use serde::{Deserialize, Serialize};

use crate::cgroup::GroupPaths;
use crate::exit::Exit;
use crate::grants::Grants;
use crate::protocol::order::Door;
use crate::spec::{Entry, Network};
use crate::steps::StepError;
use crate::tier::Tier;

/// The name of the spawner's door in the folder of a run, by which the next node comes.
pub(crate) const DOOR: &str = "spawner";

/// The first packet from the spawner: what every sandbox will get, or why there will be none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Welcome {
    Ready { grants: Grants },
    Refused { reason: String },
}

/// One event. For each sandbox: `Hatched` or `Failed` once, then for a hatched one `Exited`
/// once. A sandbox forked from a zygote is hatched when it is parked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// Beside it: the listener of a proxied one.
    Hatched {
        id: u64,
        /// The function's process as the host numbers it.
        pid: i32,
        groups: GroupPaths,
        tier: Tier,
        phases: PhasesNs,
    },
    Failed {
        id: u64,
        error: StepError,
    },
    Exited {
        id: u64,
        exit: Exit,
    },
    /// The answer to `Order::Connect`: beside it the connection, or the error number.
    Connected {
        call: u64,
        errno: i32,
    },
    /// To a node that has come to adopt, right after the welcome: one that serves. Beside it: what `Order::Keep` brought along.
    Kept {
        id: u64,
        pid: i32,
        groups: GroupPaths,
        tier: Tier,
        entry: Entry,
        network: Network,
        record: String,
        door: Option<Door>,
    },
    /// After the last of them: the highest ids that were ever given, of those that share their upper 16 bits.
    AllKept {
        highest: Vec<u64>,
    },
    /// Something an operator should read; the spawner itself has no log.
    Note {
        message: String,
    },
    Stopped,
}

/// How long the parts of a start took, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PhasesNs {
    pub(crate) order: u64,
    pub(crate) isolate: u64,
    pub(crate) exec: u64,
}
