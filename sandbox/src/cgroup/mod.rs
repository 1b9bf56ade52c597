//! Control groups: limits that hold for a whole sandbox, whatever it forks.
//!
//! [`find`] reads where this machine has its groups, [`v2`], [`v1`] and [`none`] drive them
//! behind one trait, [`usage`] reads the figures. Every path comes from an argument, so that
//! tests work on a temporary folder.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::grants::Backend;

pub(crate) mod clear;
pub(crate) mod file;
pub(crate) mod find;
pub(crate) mod none;
pub(crate) mod record;
pub(crate) mod usage;
pub(crate) mod v1;
pub(crate) mod v2;

pub use usage::Usage;

/// The scheduling period. Short periods punish short bursts of work: 30 ms of work under
/// half a core took 30 ms of time with this one and 50 ms with a period of 10 ms.
pub(crate) const CPU_PERIOD_US: u64 = 100_000;

/// The limits of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) memory_bytes: u64,
    pub(crate) cpu_millis: u32,
    /// What it gets of a processor that others want as well: as much as one with this limit.
    pub(crate) weight_millis: u32,
    pub(crate) pids: u32,
    /// True when it is of no use without one of its processes: at the memory limit all end.
    pub(crate) is_whole: bool,
}

/// Microseconds of work per period.
fn cpu_quota_us(cpu_millis: u32) -> u64 {
    u64::from(cpu_millis) * CPU_PERIOD_US / 1000
}

/// The folders of one sandbox's group, as the usage of it is read by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GroupPaths {
    V2 {
        dir: PathBuf,
    },
    V1 {
        memory: Option<PathBuf>,
        cpu: Option<PathBuf>,
        cpuacct: Option<PathBuf>,
        pids: Option<PathBuf>,
        /// A leaf in a version 2 tree that has no controllers, for an atomic kill.
        leaf: Option<PathBuf>,
    },
    None,
}

impl GroupPaths {
    /// Each folder once: version 1 controllers may be mounted together.
    pub(crate) fn dirs(&self) -> Vec<&Path> {
        let mut dirs: Vec<&Path> = Vec::new();
        let all = match self {
            Self::V2 { dir } => vec![Some(dir)],
            Self::V1 { memory, cpu, cpuacct, pids, leaf } => {
                [memory, cpu, cpuacct, pids, leaf].map(Option::as_ref).into()
            }
            Self::None => Vec::new(),
        };
        for dir in all.into_iter().flatten() {
            if !dirs.contains(&dir.as_path()) {
                dirs.push(dir);
            }
        }
        dirs
    }
}

/// How a new process gets into a group.
#[derive(Debug)]
pub(crate) enum Doors {
    /// The group's folder, for clone3(2) to be born in it.
    Born(OwnedFd),
    /// Files to write `0` into, by the process itself and before anything else.
    Join(Vec<OwnedFd>),
}

/// A tree of groups that is ours.
pub(crate) trait Groups: fmt::Debug {
    fn backend(&self) -> Backend;

    /// What this backend does not limit, for [`Grants`](crate::Grants).
    fn lacks(&self) -> Option<String>;

    /// True when something counts processes, so that no resource limit has to.
    fn counts_processes(&self) -> bool;

    /// Makes the group `name`, without limits. Undoes itself on failure.
    fn create(&self, name: &str) -> io::Result<GroupPaths>;

    /// Sets the limits of a group.
    fn limit(&self, group: &GroupPaths, limits: &Limits) -> io::Result<()>;

    /// Changes the limit of processor time alone, in thousandths of a core. The weight among
    /// neighbours stays: a lifted limit takes what is idle, and nothing that others need.
    fn limit_cpu(&self, group: &GroupPaths, cpu_millis: u32) -> io::Result<()>;

    fn doors(&self, group: &GroupPaths) -> io::Result<Doors>;

    /// How many processes of the group the kernel has killed for memory.
    fn oom_kills(&self, group: &GroupPaths) -> io::Result<u64>;

    /// The folders that hold all groups.
    fn trees(&self) -> GroupPaths;

    /// Removes the whole tree; its groups have to be empty.
    fn remove_all(&self) -> io::Result<()>;
}

/// Removes the folders of one group.
///
/// # Errors
/// `EBUSY` while a process in it has not quite ended; to be tried again.
pub(crate) fn remove(group: &GroupPaths) -> io::Result<()> {
    for dir in group.dirs() {
        file::remove_dir(dir)?;
    }
    Ok(())
}
