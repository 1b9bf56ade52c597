//! What a node may ask of its spawner.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::packet;
use crate::spec::{Entry, Isolation, SandboxSpec};

/// The first packet on the socket: what the spawner is to work with, sent before the node
/// drops its privileges and never changed after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Charter {
    pub(crate) init: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) cgroup_name: String,
    pub(crate) isolation: Isolation,
    pub(crate) uid_base: u32,
    /// Whom the node will be; folders are opened with no more rights than these.
    pub(crate) owner: Option<(u32, u32)>,
}

/// One order. Those that name an id are ignored when it is not, or no longer, there: the
/// sandbox may have ended while the order was on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Order {
    /// Beside it: standard output, standard error, and for an inherited entry the listener
    /// and the writing end of the ready pipe.
    Hatch {
        spec: Box<SandboxSpec>,
        /// When the node decided, by the monotonic clock, in nanoseconds.
        decided_ns: u64,
    },
    Terminate {
        id: u64,
    },
    Kill {
        id: u64,
    },
    /// Changes the limit of processor time, in thousandths of a core.
    LimitCpu {
        id: u64,
        cpu_millis: u32,
    },
    /// Asks for a connection to a probed function; `call` returns with the answer.
    Connect {
        id: u64,
        call: u64,
        door: Door,
    },
    Stop,
}

/// The two places where a probed function may listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// Its socket in the private folder.
    Unix,
    /// Its port on the loopback.
    Tcp,
}

impl Order {
    /// Reads an order and checks it against what a node may ask: `descriptors` is how many
    /// came along.
    ///
    /// # Errors
    /// `InvalidData`, with what is wrong. A node that sends such an order is broken or taken
    /// over, so the spawner answers by ending everything.
    pub(crate) fn read(bytes: &[u8], descriptors: usize) -> io::Result<Self> {
        let order: Self = packet::decode(bytes)?;
        let wanted = match &order {
            Self::Hatch { spec, .. } => {
                spec.check().map_err(invalid)?;
                match spec.entry {
                    Entry::Inherited => 4,
                    Entry::Probed { .. } => 2,
                }
            }
            Self::LimitCpu { cpu_millis, .. } => {
                SandboxSpec::check_cpu(*cpu_millis).map_err(invalid)?;
                0
            }
            Self::Terminate { .. } | Self::Kill { .. } | Self::Connect { .. } | Self::Stop => 0,
        };
        if descriptors != wanted {
            return Err(invalid(format!("{descriptors} descriptors, not {wanted}")));
        }
        Ok(order)
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
