//! Stage 11 for functions that have something better than a failure: a static answer, or another function.

use std::sync::Arc;

use hatchway_proto::catalog::StaticAnswer;
use hatchway_wire::http1::Answer;

use crate::catalog::{ReleaseTarget, Snapshot, Target};

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
