//! A whole request on one screen: the stages of a gateway in their order.

use std::sync::Arc;

use hatchway_proto::http1::RequestHead;
use hatchway_wire::backend::{Backend, Invocation, answer_failure};
use hatchway_wire::http1::{Answer, Front, Peer, Refused, Request};
use hatchway_wire::trace::Tracer;

use crate::answer::{self, CallError};
use crate::catalog::{Snapshot, Target};
use crate::degrade;
use crate::mirror::{Copy, Mirror, MirrorTo};
use crate::overload::Load;
use crate::route::filters::location;
use crate::route::{Applied, Asked, Chosen};
use crate::trace::{Place, Traced};
use crate::trigger;

use super::call::{Call, Running, Way};
use super::gateway::Gateway;

impl<B: Backend> Gateway<B> {
    /// Stages 2 to 4, all from the head. The call is boxed here, once: it is handed on a dozen times. `peer` is the client, who
    /// may stand behind `sender`.
    fn decide(
        &self,
        head: &RequestHead<'_>,
        (peer, sender): (Peer, Peer),
        place: &Place,
    ) -> Box<Call> {
        let request_id = self.trigger.request_id(head);
        let mut catalog = self.catalog.borrow_mut();
        let snapshot = catalog.load();
        let refuse = |error, target, request_id| {
            let request = Request::new(head, Vec::new());
            Way::Refused { request, request_id, error, target }.boxed()
        };
        let entered = match self.load.as_ref().map(Load::enter).transpose() {
            Ok(entered) => entered,
            Err(error) => return refuse(error, None, request_id),
        };
        let asked = Asked { head, client: peer.address };
        let Some(found) = snapshot.resolve(asked) else {
            return refuse(CallError::NoRoute, None, request_id);
        };
        let target = Arc::clone(found.target);
        let route = Applied { route: found.filters, rule: None };
        if let Some(call) = redirected(&target, head, (route, found.rest), &request_id, peer) {
            return call;
        }
        let lane = snapshot.lane(asked, &found, || self.trigger.trusts(sender));
        let named = (found.tag, lane.flatten());
        let releases = target.releases.as_ref().ok_or(CallError::NoRelease);
        let chosen = releases.and_then(|releases| releases.choose(asked, named, trigger::draw));
        if let Ok(Chosen { filters: rule, .. }) = chosen {
            let rule = Applied { route: None, rule };
            if let Some(call) = redirected(&target, head, (rule, found.rest), &request_id, peer) {
                return call;
            }
        }
        let admitted = chosen.and_then(|chosen| target.enter().map(|()| chosen));
        let lane = match &admitted {
            Ok(chosen) => lane.map(|_| chosen.lane),
            Err(_) => lane,
        };
        let (release, rule, mirror, degraded) = match admitted {
            Ok(chosen) => (chosen.target, chosen.filters, chosen.mirror, None),
            Err(error) => {
                let reason = error.failure().reason;
                match degrade::spare(snapshot, &target, reason) {
                    Some(spare) => (spare, None, None, Some(reason)),
                    None => return refuse(error, Some(target), request_id),
                }
            }
        };
        let applied = Applied { route: found.filters, rule };
        let rewritten = (applied, found.rest);
        let mut invocation =
            self.trigger.invocation(head, peer, request_id, release, rewritten, (lane, place));
        let mut rare = self.rare(&target, &invocation, applied, degraded);
        if let Some(copy) =
            mirror.and_then(|mirror| self.copy(snapshot, mirror, &mut invocation, &target))
        {
            rare.get_or_insert_default().copy = Some(copy);
        }
        // Whoever stands in for the function is not judged.
        let tally = if degraded.is_none() { release.tally.clone() } else { None };
        Way::Routed { invocation, target: Running::new(target, tally, entered), rare }.boxed()
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
    fn begin(&self, head: &RequestHead<'_>, peer: Peer) -> Result<Box<Call>, Answer> {
        let sender = peer;
        let peer = self.trigger.origin(head, sender);
        let mut place = self.trigger.place(head);
        let sampled = |tracer: &&Tracer| tracer.samples(place.given, place.here.trace_id);
        let traced = self.tracer.as_ref().filter(sampled).map(|_| {
            place = place.sampled(B::IS_REMOTE);
            Box::new(Traced::new(&place, head, peer))
        });
        let mut call = self.decide(head, (peer, sender), &place);
        if let Some(scribe) = &self.scribe {
            call.entry = Some(scribe.note(head, peer));
        }
        if let Some(mut traced) = traced {
            traced.decided();
            call.traced = Some(traced);
        }
        Ok(call)
    }

    fn refuse(&self, why: &Refused, peer: Peer) -> Answer {
        let (failure, request_id) = (answer::refused(why), trigger::next_id());
        self.metrics.refused(failure.reason);
        if let Some(scribe) = &self.scribe {
            scribe.put_nonsense(peer, &request_id, &failure);
        }
        answer_failure(&failure, &request_id)
    }
}

/// The end of a request that its route, or its rule, sends elsewhere.
fn redirected(
    target: &Arc<Target>,
    head: &RequestHead<'_>,
    (applied, rest): (Applied<'_>, &str),
    request_id: &str,
    peer: Peer,
) -> Option<Box<Call>> {
    let redirect = applied.each().find_map(|filters| filters.redirect.as_ref())?;
    let way = Way::Redirected {
        request: Request::new(head, Vec::new()),
        request_id: request_id.into(),
        location: location(redirect, head, rest, peer.is_encrypted).into(),
        status: redirect.status_code,
        target: Arc::clone(target),
    };
    Some(way.boxed())
}
