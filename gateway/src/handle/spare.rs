//! What takes the place of a failure, where the function has something for that.

use hatchway_proto::failure::Failure;
use hatchway_wire::backend::{Backend, Invocation};
use hatchway_wire::grpc;
use hatchway_wire::http1::{Answer, Found, Request};

use crate::catalog::{ReleaseTarget, Target};
use crate::degrade;
use crate::rare::Rare;
use crate::route::Applied;

use super::gateway::Gateway;

impl<B: Backend> Gateway<B> {
    /// What is to be remembered of a request, if anything.
    pub(super) fn rare(
        &self,
        target: &Target,
        invocation: &Invocation,
        applied: Applied<'_>,
        degraded: Option<&'static str>,
    ) -> Option<Box<Rare>> {
        if applied.is_none() && target.degrade.is_empty() {
            return None;
        }
        if let Some(reason) = degraded {
            target.metrics.refused(reason);
            target.metrics.degraded(reason);
        }
        let mut rare = Rare { filters: applied.of_answer(), degraded, ..Rare::default() };
        let may_go_on = degraded.is_none() && target.degrade.has_functions();
        if B::IS_REMOTE && may_go_on && !invocation.request.framing.has_body() {
            // Once it is on its way to a node, it is the node's.
            rare.head = invocation.request.head.clone();
        }
        Some(Box::new(rare))
    }

    /// Hands a call to another function, in the place of `reason`. False when there is none.
    pub(super) fn hand_on(
        &self,
        (invocation, target): (&mut Invocation, &Target),
        rare: &mut Option<Box<Rare>>,
        reason: &'static str,
    ) -> bool {
        let rare = rare.get_or_insert_default();
        let mut catalog = self.catalog.borrow_mut();
        let spare = match rare.degraded {
            None => degrade::spare(catalog.load(), target, reason),
            Some(_) => None,
        };
        let Some(ReleaseTarget { function, version, .. }) = spare else { return false };
        (invocation.function, invocation.version) = (function.clone(), *version);
        invocation.asset = None;
        rare.degraded = Some(reason);
        target.metrics.degraded(reason);
        true
    }

    /// What the client gets in the place of a failure, before a byte of its request can have reached a function.
    pub(super) async fn instead(
        &self,
        (invocation, target): (&mut Invocation, &Target),
        rare: &mut Option<Box<Rare>>,
        failure: Failure,
    ) -> Found<B::Upstream> {
        if self.hand_on((invocation, target), rare, failure.reason) {
            match self.backend.connect(invocation).await {
                Ok(found) => return changed(found, rare),
                Err(again) => target.metrics.refused(again.reason),
            }
        }
        let Invocation { request_id, request, .. } = invocation;
        Found::Answer(told(&failure, request_id, request, Some(target)))
    }
}

/// What a client is told of a failure: what its function has for that, or the failure.
pub(super) fn told(
    failure: &Failure,
    request_id: &str,
    request: &Request,
    target: Option<&Target>,
) -> Answer {
    let degrade = target.and_then(|target| Some((target, target.degrade.find(failure.reason)?)));
    match degrade.and_then(|(target, degrade)| Some((target, degrade.answer.as_ref()?))) {
        Some((target, given)) if !request.is_grpc => {
            target.metrics.degraded(failure.reason);
            degrade::answer(given, failure.reason, request_id)
        }
        Some(_) | None => grpc::answer(failure, request_id, request),
    }
}

/// An answer from a file is changed as one of the function.
pub(super) fn changed<U>(mut found: Found<U>, rare: &Option<Box<Rare>>) -> Found<U> {
    if let (Found::Answer(answer), Some(rare)) = (&mut found, rare) {
        rare.change(answer);
    }
    found
}
