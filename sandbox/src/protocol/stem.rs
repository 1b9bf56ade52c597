//! What is said to a stem cell: once, when it is known what it is to become.
//!
//! A stem cell is a runtime that has booted, with code of ours and nobody else's, isolated as any sandbox is, by every
//! step: it holds no right and is held by its seccomp filter and its Landlock domain from its first instruction on. What
//! it lacks is the package, the size of its `/tmp` and the limits of its group. When it is assigned, the spawner sets the
//! limits; the first process of its nest, which has kept the right to, mounts the package and what else belongs to it,
//! seals the root, and gives up every right (`Word::Furnish`); and only then the cell is told, by one packet:
//!
//! ```text
//! spawner ──► cell   {"argv":[...],"env":[["NAME","value"],...],"cwd":"/app","files":1024,"processes":null}
//!                    beside it: standard output, standard error, listener, ready pipe
//! ```
//!
//! `argv` and `env` are those of an ordinary start, which it carries out in its own process: it moves the descriptors to 1, 2,
//! 3 and 4, lowers its limits, takes over the environment, and runs the adapter that `argv` names. Used once, for one version,
//! then gone with its sandbox. The end of its socket ends a cell that waits.

use serde::{Deserialize, Serialize};

/// What a cell is to become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Become {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: String,
    /// Open descriptors at most.
    pub(crate) files: u64,
    /// Set when no controller counts processes.
    pub(crate) processes: Option<u64>,
}
