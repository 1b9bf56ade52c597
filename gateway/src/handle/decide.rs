//! A whole request on one screen: the stages of a gateway in their order.

use std::sync::Arc;

use hatchway_proto::catalog::RequestRedirect;
use hatchway_proto::http1::RequestHead;
use hatchway_wire::backend::{Backend, Invocation, answer_failure};
use hatchway_wire::core::Entered;
use hatchway_wire::http1::{Answer, Front, Peer, Refused, Request};
use hatchway_wire::trace::Tracer;

use crate::admit::Turn;
use crate::answer::{self, CallError};
use crate::catalog::{ReleaseTarget, Snapshot, Target};
use crate::degrade;
use crate::metrics::VersionMetrics;
use crate::mirror::{Copy, Mirror, MirrorTo};
use crate::overload::Load;
use crate::route::filters::location;
use crate::route::{Applied, Asked, Chosen};
use crate::trace::Traced;
use crate::trigger::{self, Received, Rewrite};

use super::call::{Call, Running, Way};
use super::gateway::Gateway;

impl<B: Backend> Gateway<B> {
    /// Stages 2 to 4, all from the head. The call is boxed here, once: it is handed on a dozen times.
    fn decide(&self, received: &Received<'_>) -> Box<Call> {
        let request_id = self.trigger.request_id(received.head);
        let mut catalog = self.catalog.borrow_mut();
        let snapshot = catalog.load();

        let entered = match self.enter() {
            Ok(entered) => entered,
            Err(error) => return refused(received, request_id, error, None),
        };
        if self.is_misdirected(received.sender, received.head.host) {
            return refused(received, request_id, CallError::Misdirected, None);
        }
        let asked = Asked { head: received.head, client: received.client.address };
        let Some(found) = snapshot.resolve(asked) else {
            return refused(received, request_id, CallError::NoRoute, None);
        };
        let target = found.target;
        let lane = snapshot.lane(asked, &found, || self.trigger.trusts(received.sender));
        let releases = target.releases.as_ref().ok_or(CallError::NoRelease);
        let named = (found.tag, lane.flatten());
        let chosen = releases.and_then(|releases| releases.choose(asked, named, trigger::draw));
        let rule = chosen.as_ref().ok().and_then(|chosen| chosen.filters);
        let rewrite =
            Rewrite { filters: Applied { route: found.filters, rule }, rest: found.rest, lane };
        if let Some(redirect) = rewrite.filters.redirect() {
            return redirected(received, request_id, (redirect, rewrite.rest), Arc::clone(target));
        }

        let admitted = chosen.and_then(|chosen| target.enter().map(|()| chosen));
        let serving = match admitted {
            Ok(chosen) => Serving::chosen(chosen),
            Err(error) => match Serving::spare(snapshot, target, &error) {
                Some(spare) => spare,
                None => return refused(received, request_id, error, Some(Arc::clone(target))),
            },
        };
        let rewrite = serving.rewrite(rewrite);
        let mut invocation =
            self.trigger.invocation(received, request_id, serving.release, rewrite);
        let mut rare = self.rare(target, &invocation, rewrite.filters, serving.instead_of);
        if let Some(line) = target.line.as_ref().filter(|_| serving.instead_of.is_none()) {
            rare.get_or_insert_default().turn = Some(Turn::new(Arc::clone(line)));
        }
        if let Some(mirror) = serving.mirror
            && let Some(copy) = self.copy(snapshot, mirror, &mut invocation, target)
        {
            rare.get_or_insert_default().copy = Some(copy);
        }
        let tally = serving.tally();
        Way::Routed { invocation, target: Running::new(Arc::clone(target), tally, entered), rare }
            .boxed()
    }

    /// Counts the request in, where that is bounded.
    fn enter(&self) -> Result<Option<Entered>, CallError> {
        self.load.as_ref().map(Load::enter).transpose()
    }

    /// A copy of a request, where the mirror wants one and leads somewhere.
    fn copy(
        &self,
        snapshot: &Snapshot,
        mirror: &Mirror,
        invocation: &mut Invocation,
        target: &Target,
    ) -> Option<Copy> {
        let to = match &mirror.to {
            MirrorTo::Version(to) => to,
            MirrorTo::Function(name) => snapshot.targets.get(name)?.releases.as_ref()?.stable(),
        };
        self.copies.begin(mirror, to, invocation, target)
    }
}

impl<B: Backend> Front for Gateway<B> {
    fn begin(&self, head: &RequestHead<'_>, peer: Peer<'_>) -> Result<Box<Call>, Answer> {
        let mut received = self.trigger.receive(head, peer);
        let place = received.place;
        let sampled = |tracer: &&Tracer| tracer.samples(place.given, place.here.trace_id);
        let traced = self.tracer.as_ref().filter(sampled).map(|_| {
            received.place = place.sampled(B::IS_REMOTE);
            Box::new(Traced::new(&received.place, head, received.client))
        });
        let mut call = self.decide(&received);
        if let Some(recorder) = self.recorder.as_ref().filter(|recorder| recorder.is_due()) {
            recorder.look(head, received.client.address, self.catalog.borrow_mut().load());
        }
        if let Some(scribe) = &self.scribe {
            call.entry = Some(scribe.note(head, received.client));
        }
        if let Some(mut traced) = traced {
            traced.decided();
            call.traced = Some(traced);
        }
        Ok(call)
    }

    fn refuse(&self, why: &Refused, peer: Peer<'_>) -> Answer {
        let (failure, request_id) = (answer::refused(why), trigger::next_id());
        self.metrics.refused(failure.reason);
        if let Some(scribe) = &self.scribe {
            scribe.put_nonsense(peer, &request_id, &failure);
        }
        answer_failure(&failure, &request_id)
    }
}

/// Who answers a request that was let in.
struct Serving<'s> {
    release: &'s ReleaseTarget,
    lane: Option<&'s str>,
    mirror: Option<&'s Mirror>,
    /// The failure in whose place it answers.
    instead_of: Option<&'static str>,
}

impl<'s> Serving<'s> {
    fn chosen(Chosen { target: release, lane, mirror, .. }: Chosen<'s>) -> Self {
        Self { release, lane, mirror, instead_of: None }
    }

    /// The function that takes the place of a refusal.
    fn spare(snapshot: &'s Snapshot, target: &Target, error: &CallError) -> Option<Self> {
        let reason = error.failure().reason;
        let release = degrade::spare(snapshot, target, reason)?;
        Some(Self { release, lane: None, mirror: None, instead_of: Some(reason) })
    }

    /// A spare takes the request as its route has left it; a version may stand in another lane than the client named.
    fn rewrite<'r>(&self, rewrite: Rewrite<'r>) -> Rewrite<'r>
    where
        's: 'r,
    {
        match self.instead_of {
            None => Rewrite { lane: rewrite.lane.map(|_| self.lane), ..rewrite },
            Some(_) => {
                let filters = Applied { rule: None, ..rewrite.filters };
                Rewrite { filters, ..rewrite }
            }
        }
    }

    /// Whoever stands in for a function is not judged.
    fn tally(&self) -> Option<Arc<VersionMetrics>> {
        let judged = self.instead_of.is_none().then_some(self.release)?;
        judged.tally.clone()
    }
}

/// The end of a request that is answered by the gateway.
fn refused(
    received: &Received<'_>,
    request_id: Box<str>,
    error: CallError,
    target: Option<Arc<Target>>,
) -> Box<Call> {
    let request = Request::new(received.head, Vec::new());
    Way::Refused { request, request_id, error, target }.boxed()
}

/// The end of a request that its route, or its rule, sends elsewhere.
fn redirected(
    received: &Received<'_>,
    request_id: Box<str>,
    (redirect, rest): (&RequestRedirect, &str),
    target: Arc<Target>,
) -> Box<Call> {
    let is_encrypted = received.client.is_encrypted;
    let way = Way::Redirected {
        request: Request::new(received.head, Vec::new()),
        request_id,
        location: location(redirect, received.head, rest, is_encrypted).into(),
        status: redirect.status_code,
        target,
    };
    way.boxed()
}
