//! Stage 11 for functions that have something better than a failure: a static answer, or another function.

use std::sync::Arc;

use hatchway_proto::catalog::{Degrade, Function, Release, StaticAnswer};
use hatchway_proto::failure::degradable;
use hatchway_wire::http1::Answer;

use crate::catalog::{ReleaseTarget, Snapshot, Target};

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

/// The stable version of the function that takes a request which `target` cannot answer for `reason`; it has let the request
/// pass.
pub fn spare<'s>(
    snapshot: &'s Snapshot,
    target: &Target,
    reason: &str,
) -> Option<&'s ReleaseTarget> {
    let name = target.degrade.find(reason)?.function.as_ref()?;
    let spare: &Arc<Target> = snapshot.targets.get(name)?;
    let is_allowed = name.tenant() == target.name.tenant() && spare.enter().is_ok();
    let releases = spare.releases.as_ref().filter(|_| is_allowed)?;
    Some(releases.stable())
}

/// The value of `Proxy-Status` of what took the place of a failure.
pub fn proxy_status(reason: &str) -> String {
    format!("hatchway; error=proxy_internal_response; details=\"{reason}\"")
}

/// A static answer in the place of a failure.
pub fn answer(given: &StaticAnswer, reason: &str, request_id: &str) -> Answer {
    Answer::new(given.status, given.body.as_bytes())
        .with("content-type", given.content_type.clone())
        .with("proxy-status", proxy_status(reason))
        .with("x-request-id", request_id.to_owned())
}
