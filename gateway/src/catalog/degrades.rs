//! What a function has in the place of its failures.

use hatchway_proto::catalog::{Degrade, Function, Release};
use hatchway_proto::failure::degradable;

/// What takes the place of the failures of one function: what its release has, then its own.
#[derive(Debug, Default)]
pub struct Degrades(Box<[Degrade]>);

impl Degrades {
    /// Of a function and its release.
    pub fn new(function: &Function, release: Option<&Release>) -> Self {
        let released = release.into_iter().flat_map(|release| &release.degrade);
        Self(released.chain(&function.degrade).cloned().collect())
    }

    /// True where failures stay what they are.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it, the first that is for a failure before the others.
    pub fn each(&self) -> &[Degrade] {
        &self.0
    }

    /// What is for a failure.
    pub fn find(&self, reason: &str) -> Option<&Degrade> {
        let reason = degradable(reason)?;
        self.0.iter().find(|degrade| degrade.is_for(reason))
    }

    /// True when another function may be asked.
    pub fn has_functions(&self) -> bool {
        self.0.iter().any(|degrade| degrade.function.is_some())
    }
}
