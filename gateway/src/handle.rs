//! A whole request on one screen: the stages of a gateway in their order.

use hatchway_proto::failure::{FAILURE_FIELD, Failure, Told};
use hatchway_proto::http1::{RequestHead, ResponseEdit, ResponseHead, write_response};
use hatchway_wire::backend::{Backend, Invocation, answer_failure};
use hatchway_wire::core::Entered;
use hatchway_wire::grpc;
use hatchway_wire::http1::{
    Answer, Broken, Found, Front, Outcome, Peer, Refused, Request, Service, Shape,
};
use hatchway_wire::trace::{Tracer, Tracers};

use crate::accept::{Door, Full};
use crate::access::{Entry, Scribe, Scribes};
use crate::answer::{self, CallError};
use crate::catalog::{CachedCatalog, ReleaseTarget, Snapshot, Target};
use crate::degrade;
use crate::metrics::{Connected, EdgeMetrics};
use crate::mirror::{Copies, Copy, Mirror, MirrorTo};
use crate::overload::Load;
use crate::rare::Rare;
use crate::rollout::Tally;
use crate::route::filters::location;
use crate::route::{Applied, Asked, Chosen};
use crate::trace::{Place, Traced};
use crate::trigger::{self, Trigger};

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// The gateway, as one core has it.
#[derive(Debug)]
pub struct Gateway<B> {
    catalog: RefCell<CachedCatalog>,
    trigger: Trigger,
    backend: Rc<B>,
    copies: Copies,
    metrics: Arc<EdgeMetrics>,
    /// Without bounds where nobody has set any.
    load: Option<Load>,
    /// Where requests are put down that are over.
    scribe: Option<Scribe>,
    /// Where spans are left of those that are sampled.
    tracer: Option<Tracer>,
}

/// A request between its head and its end.
#[derive(Debug)]
pub struct Call {
    way: Way,
    /// What is noted of it, where that is wanted.
    entry: Option<Box<Entry>>,
    /// The same for its trace, where it is sampled.
    traced: Option<Box<Traced>>,
}

/// What was decided about a request.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are of the largest, and all are boxed")]
enum Way {
    /// It leads to a version.
    Routed {
        invocation: Invocation,
        target: Running,
        /// What only some have. Boxed: all pay for its size.
        rare: Option<Box<Rare>>,
    },
    /// It is sent elsewhere.
    Redirected {
        request: Request,
        request_id: Box<str>,
        location: Box<str>,
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// Whose route it is.
        target: Arc<Target>,
    },
    /// It is answered by the gateway.
    Refused {
        request: Request,
        request_id: Box<str>,
        error: CallError,
        /// Whom it was for, where a route was found.
        target: Option<Arc<Target>>,
    },
}

/// The function of a request that is under way, and counted for as long as this lives.
#[derive(Debug)]
struct Running {
    target: Arc<Target>,
    /// Of the version, where the function has several.
    tally: Option<Arc<Tally>>,
    /// Whatever the client was told in the end.
    has_failed: Cell<bool>,
    _entered: Option<Entered>,
}

impl Running {
    fn new(target: Arc<Target>, tally: Option<Arc<Tally>>, entered: Option<Entered>) -> Self {
        target.metrics.in_flight.inc();
        Self { target, tally, has_failed: Cell::new(false), _entered: entered }
    }

    /// The version has not answered, or not well.
    fn failed(&self, reason: &str) {
        self.has_failed.set(true);
        self.metrics.refused(reason);
    }
}

impl std::ops::Deref for Running {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}

impl Way {
    fn boxed(self) -> Box<Call> {
        Box::new(Call { way: self, entry: None, traced: None })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
    }
}

impl AsMut<Request> for Box<Call> {
    fn as_mut(&mut self) -> &mut Request {
        match &mut self.way {
            Way::Routed { invocation, .. } => &mut invocation.request,
            Way::Redirected { request, .. } | Way::Refused { request, .. } => request,
        }
    }
}

impl<B: Backend> Gateway<B> {
    /// Puts the stages together for one core.
    pub fn new(catalog: CachedCatalog, backend: B, metrics: Arc<EdgeMetrics>) -> Self {
        let (catalog, trigger) = (RefCell::new(catalog), Trigger::default());
        let (backend, copies) = (Rc::new(backend), Copies::default());
        let (load, scribe, tracer) = (None, None, None);
        Self { catalog, trigger, backend, copies, metrics, load, scribe, tracer }
    }

    /// Takes on no more than `door` says, and believes whom it trusts. Called on the core.
    #[must_use]
    pub(crate) fn within(self, door: &Door) -> Self {
        let trigger = Trigger::new(door.trusted.clone());
        Self { load: Some(Load::within(door)), trigger, ..self }
    }

    /// Puts requests down that are over. Called on the core.
    #[must_use]
    pub fn put_down(self, scribes: Option<&Scribes>) -> Self {
        Self { scribe: scribes.map(Scribes::scribe), ..self }
    }

    /// Tells of requests that are sampled. Called on the core.
    #[must_use]
    pub fn tell(self, tracers: Option<&Tracers>) -> Self {
        Self { tracer: tracers.map(Tracers::tracer), ..self }
    }

    /// True while no more may come in, whatever it is.
    pub(crate) fn has_no_memory(&self) -> bool {
        self.load.as_ref().is_some_and(Load::has_no_memory)
    }

    /// Counts a connection for as long as the result lives.
    pub(crate) fn connected(&self) -> Connected {
        self.metrics.connected()
    }

    /// What a connection is told for which there is no room.
    pub(crate) fn turn_away(&self, why: Full) -> Answer {
        let failure = answer::full(why);
        self.metrics.refused(failure.reason);
        answer_failure(&failure, &trigger::next_id())
    }

    /// Counts a connection that is closed without a word.
    pub(crate) fn ignored(&self, reason: &str) {
        self.metrics.refused(reason);
    }

    /// What a request is told that came without TLS to a port for it.
    pub(crate) fn wants_tls(&self) -> Answer {
        let failure = answer::wants_tls();
        self.metrics.refused(failure.reason);
        answer_failure(&failure, &trigger::next_id())
    }

    /// Counts a handshake by how it ended.
    pub(crate) fn shook_hands(&self, result: &str) {
        self.metrics.handshakes.with_label_values(&[result]).inc();
    }

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
        let admitted = chosen.and_then(|chosen| target.rate.enter().map(|()| chosen));
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

    /// What is to be remembered of a request, if anything.
    fn rare(
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
    fn hand_on(
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
    async fn instead(
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
fn told(failure: &Failure, request_id: &str, request: &Request, target: Option<&Target>) -> Answer {
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
fn changed<U>(mut found: Found<U>, rare: &Option<Box<Rare>>) -> Found<U> {
    if let (Found::Answer(answer), Some(rare)) = (&mut found, rare) {
        rare.change(answer);
    }
    found
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
                let found = self.backend.connect(invocation).await;
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
        let Some(call) = call else { return self.metrics.bad_heads.inc() };
        let Call { way, entry, traced } = *call;
        if let Some((tracer, traced)) = self.tracer.as_ref().zip(traced) {
            tracer.put(match &way {
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
                    scribe.put_refused(entry, &request_id, function, outcome);
                }
                if let Some(target) = target {
                    target.metrics.finish(outcome, None);
                }
            }
            Way::Redirected { target, request_id, .. } => {
                if let Some((scribe, entry)) = entry {
                    scribe.put_refused(entry, &request_id, Some(&target.name), outcome);
                }
                target.metrics.finish(outcome, None);
            }
            Way::Routed { invocation, target, rare } => {
                if let Some(copy) = rare.and_then(|rare| rare.copy) {
                    self.copies.send(copy, &self.backend, &target);
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
                log(&invocation, outcome);
                if let Some((scribe, entry)) = entry {
                    scribe.put(entry, &invocation, outcome);
                }
            }
        }
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
