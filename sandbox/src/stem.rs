//! A stem cell, as the node holds it: a runtime that has booted, and knows of no function yet.
//!
//! What spawner and cell say to each other, and what a cell may do before and after, is in `protocol::stem`; which version
//! a cell can become is in [`runtime::StemKind`](crate::runtime::StemKind).

use std::io;

use crate::cgroup::Usage;
use crate::exit::Exit;
use crate::ready::{NotReady, ReadyReport};
use crate::sandbox::Sandbox;

/// A runtime that waits to be told what to become, by [`Spawner::hatch_in`](crate::Spawner::hatch_in), once. Dropping it
/// ends it.
#[derive(Debug)]
pub struct StemCell {
    sandbox: Sandbox,
}

impl StemCell {
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        Self { sandbox }
    }

    pub(crate) fn id(&self) -> u64 {
        self.sandbox.id()
    }

    /// Waits until it has booted. Cancel safe.
    ///
    /// # Errors
    /// What it said itself, or how it ended.
    pub async fn ready(&self) -> Result<ReadyReport, NotReady> {
        self.sandbox.ready().await
    }

    /// Waits for its end, whether this handle lives or not: that of the cell, which is over when it becomes a sandbox.
    pub fn exited(&self) -> impl Future<Output = Exit> + Send + use<> {
        self.sandbox.exited()
    }

    /// True once it has ended.
    pub fn has_ended(&self) -> bool {
        self.sandbox.has_ended()
    }

    /// What it uses.
    ///
    /// # Errors
    /// As [`Sandbox::usage`].
    pub fn usage(&self) -> io::Result<Usage> {
        self.sandbox.usage()
    }
}
