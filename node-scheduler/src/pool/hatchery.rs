//! What the pool needs from the side that makes processes. The spawner is the real one; tests bring a scripted one.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::catalog::Version;
use hatchway_proto::name::{SandboxId, VersionId};

/// Makes sandboxes.
pub trait Hatchery: Send + Sync + 'static {
    /// What it makes.
    type Sandbox: LiveSandbox;
    /// A sandbox that an earlier daemon has made. Dropped, it ends.
    type Orphan: Send + 'static;

    /// Starts a sandbox and resolves once it can answer a request, or cannot any more.
    ///
    /// Cancel safe in the strong sense: dropped, it gives up and kills what it has started. The pool drops it when the
    /// version's start clock has run out, and when the version is retired meanwhile.
    fn hatch(
        &self,
        id: SandboxId,
        version_id: VersionId,
        version: Arc<Version>,
    ) -> impl Future<Output = Result<Hatched<Self::Sandbox>, HatchFailure>> + Send;

    /// Takes over a sandbox that serves; none, and it ends, when that cannot be. Called by the keeper only.
    fn adopt(
        &self,
        id: SandboxId,
        orphan: Self::Orphan,
        version_id: VersionId,
        version: Arc<Version>,
    ) -> Option<Self::Sandbox>;
}

/// A sandbox that can answer.
pub trait LiveSandbox: Send + Sync + 'static {
    /// Forces it to end, with everything in it.
    fn kill(&self);

    /// Asks it to end (SIGTERM). The pool kills it when it has not ended within the grace period.
    fn terminate(&self);

    /// Resolves when the process has ended, for whatever reason. Called once.
    fn exited(&self) -> impl Future<Output = Exit> + Send;

    /// What it was started from, coldest first: `fresh`, `nest`, `stem` or `fork`.
    fn tier(&self) -> &'static str {
        "fresh"
    }

    /// Its process on this machine, where it is one.
    fn pid(&self) -> Option<u32> {
        None
    }

    /// What it uses at the moment, where the machine can tell. Reads a few small files; called by the keeper only.
    fn usage(&self) -> Option<Usage>;
}

/// A successful hatch.
#[derive(Debug)]
pub struct Hatched<S> {
    /// The sandbox.
    pub sandbox: S,
    /// Where the time went.
    pub phases: StartPhases,
}

/// How long each phase of a start took, in order: `order`, `isolate`, `exec`, `load`; of a forked one `fork`, `load`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartPhases(pub Vec<(&'static str, Duration)>);

impl StartPhases {
    /// The whole start.
    pub fn total(&self) -> Duration {
        self.0.iter().map(|(_, took)| *took).sum()
    }
}

/// Why a sandbox could not be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct HatchFailure {
    /// A word in kebab case for labels and answers: `start-clock`, `crashed`, `handler-not-found`, `isolation`.
    pub reason: &'static str,
    /// What a person needs to mend it.
    pub message: String,
}

/// What one sandbox uses, as measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory now.
    pub memory_bytes: u64,
    /// The most memory so far.
    pub memory_peak_bytes: u64,
    /// Processor time so far.
    pub cpu: Duration,
    /// Processes and threads now; 0 where nobody counts them.
    pub pids: u64,
}

/// How a sandbox ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It asked for more memory than its limit.
    OutOfMemory,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::OutOfMemory => f.write_str("out of memory"),
        }
    }
}
