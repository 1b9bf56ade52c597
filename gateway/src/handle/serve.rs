//! From the head of a request to the last byte of its answer.

use hatchway_proto::failure::{FAILURE_FIELD, Failure, Told};
use hatchway_proto::http1::{ResponseEdit, ResponseHead, write_response};
use hatchway_proto::manifest::defaults;
use hatchway_wire::backend::{Backend, Invocation};
use hatchway_wire::http1::{Answer, Broken, Found, Outcome, Service, Shape};

use crate::access::Entry;
use crate::admit::Turn;
use crate::answer::{self, CallError};
use crate::catalog::Target;
use crate::trace::Traced;

use super::call::{Call, Way};
use super::gateway::Gateway;
use super::spare::{changed, told};

impl<B: Backend> Service for Gateway<B> {
    type Call = Box<Call>;
    type Upstream = B::Upstream;

    async fn connect(&self, call: &mut Box<Call>) -> Found<B::Upstream> {
        let Call { way, entry, traced } = &mut **call;
        match way {
            Way::Refused { request_id, error, request, target } => {
                let failure = error.failure();
                failed(entry.as_deref(), traced.as_deref(), &failure);
                Found::Answer(told(&failure, request_id, request, target.as_deref()))
            }
            Way::Redirected { request_id, location, status, .. } => Found::Answer(
                Answer::new(*status, Vec::new())
                    .with("location", location.to_string())
                    .with("x-request-id", request_id.to_string()),
            ),
            Way::Routed { invocation, target, rare } => {
                if let Some(traced) = traced {
                    traced.asks();
                }
                let turn = match rare.as_mut().and_then(|rare| rare.turn.as_mut()) {
                    None => Ok(()),
                    // Boxed: every request pays for the size of this future.
                    Some(turn) => Box::pin(self.turn(turn, invocation, target)).await,
                };
                let found = match turn {
                    Ok(()) => self.backend.connect(invocation).await,
                    Err(error) => Err(error.failure()),
                };
                if let Some(traced) = traced {
                    traced.found();
                }
                match found {
                    Ok(found) => changed(found, rare),
                    Err(failure) => {
                        target.failed(failure.reason);
                        failed(entry.as_deref(), traced.as_deref(), &failure);
                        // Boxed: every request pays for the size of this future.
                        Box::pin(self.instead((invocation, &**target), rare, failure)).await
                    }
                }
            }
        }
    }

    fn connect_now(&self, call: &mut Box<Call>) -> Option<Found<B::Upstream>> {
        let Call { way: Way::Routed { invocation, rare, .. }, traced, .. } = &mut **call else {
            return None;
        };
        if let Some(turn) = rare.as_mut().and_then(|rare| rare.turn.as_mut())
            && !turn.comes_now()
        {
            return None;
        }
        if let Some(traced) = traced {
            traced.asks();
        }
        let found = self.backend.connect_now(invocation)?;
        if let Some(traced) = traced {
            traced.found();
        }
        Some(changed(found, rare))
    }

    /// A failure that a node tells is not passed on where something else takes its place.
    fn accepts(&self, call: &Box<Call>, head: &ResponseHead<'_>) -> bool {
        let Way::Routed { invocation, target, rare: Some(rare) } = &call.way else { return true };
        if !B::IS_REMOTE || target.degrade.is_empty() {
            return true;
        }
        let Some(told) = head.field(FAILURE_FIELD).and_then(Told::parse) else { return true };
        let is_declined = target.degrade.find(told.reason).is_some_and(|degrade| {
            let has_answer = degrade.answer.is_some() && !invocation.request.is_grpc;
            let may_go_on = !told.is_begun && !rare.head.is_empty();
            has_answer || (degrade.function.is_some() && may_go_on)
        });
        rare.declined.set(is_declined.then_some(told));
        !is_declined
    }

    fn again(&self, call: &mut Box<Call>) -> bool {
        let Way::Routed { invocation, target, rare } = &mut call.way else { return false };
        let Some(kept) = rare.as_deref_mut() else { return false };
        let Some(Told { reason, is_begun: false }) = kept.declined.get() else { return false };
        let head = std::mem::take(&mut kept.head);
        let goes_on = !head.is_empty() && self.hand_on((invocation, &**target), rare, reason);
        if goes_on {
            target.failed(reason);
        }
        invocation.request.head = head;
        goes_on
    }

    fn respond(&self, call: &Box<Call>, head: &ResponseHead<'_>, shape: Shape, out: &mut Vec<u8>) {
        let Way::Routed { invocation, target, rare } = &call.way else { return };
        if let Some(entry) = &call.entry {
            entry.answered(head);
        }
        let mut timing = String::new();
        if target.function.server_timing && !B::IS_REMOTE {
            timing = invocation.timing.server_timing(invocation.request.arrived.elapsed());
        }
        let extra = [("x-request-id", &*invocation.request_id), ("server-timing", &timing)];
        let edit = ResponseEdit {
            extra: &extra[..if timing.is_empty() { 1 } else { 2 }],
            drop: &["x-request-id"],
            downstream: shape.version,
            keep_alive: shape.keep_alive,
            framing: shape.framing,
            upgrade: if shape.upgrades { head.upgrade } else { None },
            keep_internal: false,
        };
        match rare {
            None => write_response(out, head, &edit),
            Some(rare) => rare.respond(out, head, &edit),
        }
    }

    /// A node writes heads as `respond` does for a call of which nothing is noted and nothing changed: what else is done there
    /// has to be said here.
    fn passes_told(&self, call: &Box<Call>) -> bool {
        B::IS_REMOTE && call.entry.is_none() && matches!(call.way, Way::Routed { rare: None, .. })
    }

    async fn explain(
        &self,
        call: &Box<Call>,
        upstream: &mut B::Upstream,
        broken: &Broken,
    ) -> Answer {
        let Way::Routed { invocation, target, rare } = &call.way else {
            return Answer::new(500, Vec::new());
        };
        let failure = match rare.as_ref().and_then(|rare| rare.declined.get()) {
            Some(told) => answer::told_by_node(told.reason),
            None => self.backend.explain(invocation, upstream, broken).await,
        };
        target.failed(failure.reason);
        failed(call.entry.as_deref(), call.traced.as_deref(), &failure);
        told(&failure, &invocation.request_id, &invocation.request, Some(&**target))
    }

    fn exchanged(&self, call: &mut Box<Call>, upstream: &B::Upstream) {
        if let Some(entry) = &mut call.entry {
            entry.asked(self.backend.node(upstream));
        }
    }

    fn finish(&self, call: Option<Box<Call>>, outcome: &Outcome) {
        let Some(mut call) = call else { return self.metrics.bad_heads.inc() };
        // Taken apart where it is: it is large.
        let Call { way, entry, traced } = &mut *call;
        let (entry, traced) = (entry.take(), traced.take());
        if let Some((tracer, traced)) = self.tracer.as_ref().zip(traced) {
            tracer.put(match way {
                Way::Routed { invocation, .. } => traced.routed(invocation, outcome),
                Way::Redirected { .. } | Way::Refused { .. } => traced.refused(outcome),
            });
        }
        let entry = self.scribe.as_ref().zip(entry);
        match way {
            Way::Refused { error, target, request_id, .. } => {
                self.metrics.refused(error.failure().reason);
                if let Some((scribe, entry)) = entry {
                    let function = target.as_ref().map(|target| &target.name);
                    scribe.put_refused(entry, request_id, function, outcome);
                }
                if let Some(target) = target {
                    target.metrics.finish(outcome, None);
                }
            }
            Way::Redirected { target, request_id, .. } => {
                if let Some((scribe, entry)) = entry {
                    scribe.put_refused(entry, request_id, Some(&target.name), outcome);
                }
                target.metrics.finish(outcome, None);
            }
            Way::Routed { invocation, target, rare } => {
                if let Some(copy) = rare.take().and_then(|rare| rare.copy) {
                    self.copies.send(copy, &self.backend, target);
                }
                target.metrics.finish(outcome, Some(&invocation.timing));
                if let Some(cause) = outcome.broken.as_ref().filter(|_| !outcome.is_ours)
                    && let Some(reason) = answer::cut(cause)
                {
                    target.failed(reason);
                }
                if let Some(tally) = &target.tally {
                    tally.count(outcome, &invocation.timing, target.has_failed.get());
                }
                log(invocation, outcome);
                if let Some((scribe, entry)) = entry {
                    scribe.put(entry, invocation, outcome);
                }
            }
        }
    }
}

impl<B: Backend> Gateway<B> {
    /// Waits until it is a call's turn, by the queue and the queue clock of its function.
    async fn turn(
        &self,
        turn: &mut Turn,
        invocation: &Invocation,
        target: &Target,
    ) -> Result<(), CallError> {
        let clock = {
            let mut catalog = self.catalog.borrow_mut();
            let version = catalog.load().objects.versions.get(&invocation.version);
            version.map_or(defaults::QUEUE_CLOCK, |version| version.clocks.queue)
        };
        turn.come(target.function.queue_depth, clock).await
    }
}

/// Notes that the platform answers in place of the function.
fn failed(entry: Option<&Entry>, traced: Option<&Traced>, failure: &Failure) {
    if let Some(traced) = traced {
        traced.failed(failure);
    }
    if let Some(entry) = entry {
        entry.failed(failure);
    }
}

fn log(invocation: &Invocation, outcome: &Outcome) {
    if let Some(cause) = &outcome.broken {
        tracing::debug!(
            function = %invocation.function,
            version = %invocation.version,
            request_id = %invocation.request_id,
            status = outcome.status,
            error = %cause,
            "a request did not end as it should",
        );
    }
}
