//! The steps of isolation, a file a step, in the order in which `sandbox-init` takes them.
//!
//! Each file says why its step stands before the next. What a step failed at travels back to
//! the node as a [`StepError`], so that the message alone says how far isolation came.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

pub(crate) mod descriptors;
pub(crate) mod group;
pub(crate) mod identity;

pub(crate) mod landlock;
pub(crate) mod limits;
pub(crate) mod namespaces;
pub(crate) mod privileges;
pub(crate) mod root;
pub(crate) mod seccomp;

/// A step on the way from the spawner to the function's first instruction, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Looking at the specification, opening the folders it names.
    Check,
    /// Making the control group and setting its limits.
    Group,
    /// The new process, in a process-id namespace of its own.
    Process,
    /// Moving into the control group.
    Join,
    /// Hiding where in the host's tree the control group lies.
    GroupNamespace,
    MountNamespace,
    IpcNamespace,
    HostName,
    NetworkNamespace,
    /// The read-only root, `/dev`, `/etc`, `/tmp`, and the pivot into it.
    Root,
    /// `/proc` of the own process-id namespace.
    Proc,
    /// The package and the extra read-only mounts.
    Package,
    Capabilities,
    /// A user and group id of its own.
    Identity,
    NoNewPrivileges,
    Landlock,
    Seccomp,
    /// Exactly the descriptors that are meant, nothing else open.
    Descriptors,
    /// Resource limits of the process.
    Limits,
    Exec,
}

/// The steps that a machine may not give, in order. The others are needed to run anything.
pub(crate) const OPTIONAL_STEPS: [Step; 14] = [
    Step::Process,
    Step::Join,
    Step::GroupNamespace,
    Step::MountNamespace,
    Step::IpcNamespace,
    Step::HostName,
    Step::NetworkNamespace,
    Step::Root,
    Step::Proc,
    Step::Capabilities,
    Step::Identity,
    Step::NoNewPrivileges,
    Step::Landlock,
    Step::Seccomp,
];

impl Step {
    /// The steps that cannot be taken without this one.
    pub(crate) fn dependents(self) -> &'static [Step] {
        match self {
            Self::Process | Self::Root => &[Self::Proc],
            Self::MountNamespace => &[Self::Root, Self::Proc],
            Self::NoNewPrivileges => &[Self::Landlock, Self::Seccomp],
            Self::Check
            | Self::Group
            | Self::Join
            | Self::GroupNamespace
            | Self::IpcNamespace
            | Self::HostName
            | Self::NetworkNamespace
            | Self::Proc
            | Self::Package
            | Self::Capabilities
            | Self::Identity
            | Self::Landlock
            | Self::Seccomp
            | Self::Descriptors
            | Self::Limits
            | Self::Exec => &[],
        }
    }

    /// The name used in messages and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Group => "control group",
            Self::Process => "process-id namespace",
            Self::Join => "joining the control group",
            Self::GroupNamespace => "control group namespace",
            Self::MountNamespace => "mount namespace",
            Self::IpcNamespace => "ipc namespace",
            Self::HostName => "host name namespace",
            Self::NetworkNamespace => "network namespace",
            Self::Root => "read-only root",
            Self::Proc => "private /proc",
            Self::Package => "package",
            Self::Limits => "resource limits",
            Self::Identity => "own user id",
            Self::Capabilities => "dropping capabilities",
            Self::NoNewPrivileges => "no new privileges",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Descriptors => "descriptors",
            Self::Exec => "exec",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The step at which a start ended, and what the kernel said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step} failed{}{}", at(.detail), reason(*.errno))]
pub struct StepError {
    pub step: Step,
    /// The error number, 0 where there is none.
    pub errno: i32,
    /// What the step was at: a path, a limit. May be empty.
    pub detail: String,
}

fn at(detail: &str) -> String {
    if detail.is_empty() {
        return String::new();
    }
    format!(" at {detail}")
}

fn reason(errno: i32) -> String {
    if errno == 0 {
        return String::new();
    }
    format!(": {}", io::Error::from_raw_os_error(errno))
}

impl StepError {
    pub(crate) fn new(step: Step, detail: impl Into<String>, error: &io::Error) -> Self {
        Self { step, errno: error.raw_os_error().unwrap_or(0), detail: detail.into() }
    }
}

/// Names the step and the place on the way out of an `io::Result`.
pub(crate) trait AtStep<T> {
    fn at(self, step: Step, detail: &str) -> Result<T, StepError>;
}

impl<T, E: Into<io::Error>> AtStep<T> for Result<T, E> {
    fn at(self, step: Step, detail: &str) -> Result<T, StepError> {
        self.map_err(|error| StepError::new(step, detail, &error.into()))
    }
}
