//! A sampled request as spans, made when it is over. Those that are not sampled know nothing of this.
//!
//! ```text
//! METHOD FUNCTION              the whole request              parent: the client's span, if it has one
//!   route                      stages 2 to 4
//!   place                      stage 5          \  where the node is another program; what it does, from `serve` on,
//!   forward                    stage 6          /  it tells itself, under `forward`
//!   queue, start, function     stages 9 and 10, where the node is in this one
//!     hatch PHASE              under `start`
//! ```

use std::cell::OnceCell;

use hatchway_proto::failure::Failure;
use hatchway_proto::http1::RequestHead;
use hatchway_proto::trace_context::TraceParent;
use hatchway_wire::backend::Invocation;
use hatchway_wire::http1::{Cause, Outcome, Peer};
use hatchway_wire::random::draw;
use hatchway_wire::trace::{Kind, Moments, Span, Value, served};
use tokio::time::Instant;

use crate::answer;

/// Where a request is in its trace, and what the function is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The client's, where it brought one that the standard allows.
    pub given: Option<TraceParent>,
    /// What the function reads.
    pub here: TraceParent,
    /// The parent of what a node in another program does.
    pub parent: Option<u64>,
}

/// What is noted of a sampled request.
#[derive(Debug)]
pub(crate) struct Traced {
    trace: TraceParent,
    given: u64,
    root: u64,
    /// What the node is called by, where it is another program.
    forward: Option<u64>,
    begun: Instant,
    decided: Instant,
    asked: Option<Instant>,
    found: Option<Instant>,
    attributes: Vec<(&'static str, Value)>,
    method: Box<str>,
    /// Why the platform has answered.
    reason: OnceCell<&'static str>,
}

impl Place {
    /// Of a request that is sampled.
    pub(crate) fn sampled(self, is_remote: bool) -> Self {
        let here = TraceParent::new(self.here.trace_id, draw(), true);
        Self { here, parent: is_remote.then(|| draw().max(1)), ..self }
    }
}

impl Traced {
    /// Notes what the head says, before the core's buffer gets its next bytes.
    pub(crate) fn new(place: &Place, head: &RequestHead<'_>, peer: Peer<'_>) -> Self {
        let now = Instant::now();
        let mut attributes = vec![
            ("http.request.method", Value::from(head.method)),
            ("url.scheme", Value::from(if peer.is_encrypted { "https" } else { "http" })),
            ("url.path", Value::from(head.path)),
            ("server.address", Value::from(head.host)),
        ];
        if let Some(address) = peer.address {
            attributes.push(("client.address", Value::from(&*address.to_canonical().to_string())));
        }
        if let Some(agent) = head.field("user-agent") {
            let agent = String::from_utf8_lossy(agent);
            attributes.push(("user_agent.original", Value::from(&*agent)));
        }
        Self {
            trace: place.here,
            given: place.given.map_or(0, |given| given.span_id),
            root: draw().max(1),
            forward: place.parent,
            begun: now,
            decided: now,
            asked: None,
            found: None,
            attributes,
            method: head.method.into(),
            reason: OnceCell::new(),
        }
    }

    /// It is known where the request leads.
    pub(crate) fn decided(&mut self) {
        self.decided = Instant::now();
    }

    /// A node is looked for; the first time counts.
    pub(crate) fn asks(&mut self) {
        self.asked.get_or_insert_with(Instant::now);
    }

    /// One was found; the last time counts.
    pub(crate) fn found(&mut self) {
        self.found = Some(Instant::now());
    }

    /// The platform answers; the first reason counts.
    pub(crate) fn failed(&self, failure: &Failure) {
        let _ = self.reason.set(failure.reason);
    }

    /// The spans of a request that led to a version.
    pub(crate) fn routed(self, invocation: &Invocation, outcome: &Outcome) -> Vec<Span> {
        let moments = Moments::now();
        let end = invocation.request.arrived + outcome.total;
        let part = |id, name, from, to| {
            let times = (moments.time(from), moments.time(to));
            Span::internal(self.trace.trace_id, (id, self.root), name, times)
        };
        let mut spans = vec![part(draw().max(1), "route", self.begun, self.decided)];
        let asked = self.asked.unwrap_or(self.decided);
        match self.forward {
            None => {
                let (trace, times) = ((self.trace, self.root), (asked, end));
                spans.extend(served(trace, &invocation.timing, times, &moments, draw));
            }
            Some(forward) => {
                let found = self.found.unwrap_or(end);
                spans.push(part(draw().max(1), "place", asked, found));
                let mut span = part(forward, "forward", found, end);
                span.kind = Kind::Client;
                spans.push(span);
            }
        }
        let whom = invocation.function.as_str();
        let mut root = self.root(&moments, end, Some(whom), outcome);
        root.attributes.push(("hatchway.function", Value::from(whom)));
        root.attributes.push(("hatchway.version", Value::from(invocation.version.as_str())));
        root.attributes.push(("hatchway.request_id", Value::from(&*invocation.request_id)));
        spans.push(root);
        spans
    }

    /// The same of one that the gateway has answered.
    pub(crate) fn refused(self, outcome: &Outcome) -> Vec<Span> {
        let moments = Moments::now();
        let end = self.begun + outcome.total;
        vec![self.root(&moments, end, None, outcome)]
    }

    /// The span of the whole request.
    fn root(self, moments: &Moments, end: Instant, whom: Option<&str>, outcome: &Outcome) -> Span {
        let reason = self.reason.get().copied();
        let name = match whom {
            Some(function) => format!("{} {function}", self.method),
            None => self.method.into_string(),
        };
        let times = (moments.time(self.begun), moments.time(end));
        let mut root = Span::internal(self.trace.trace_id, (self.root, self.given), name, times);
        root.kind = Kind::Server;
        root.attributes = self.attributes;
        if outcome.status != 0 {
            let status = Value::Number(outcome.status.into());
            root.attributes.push(("http.response.status_code", status));
        }
        let cut = outcome.broken.as_ref().filter(|_| !outcome.is_ours).map(ended);
        let why = reason.or(cut);
        if let Some(why) = why {
            root.attributes.push(("error.type", Value::from(why)));
        }
        // What the client has asked for wrongly is no error of a server.
        if outcome.status >= 500 || cut.is_some() {
            root.error = Some(why.unwrap_or_default().into());
        }
        root
    }
}

/// Why an answer is not whole.
fn ended(cause: &Cause) -> &'static str {
    answer::cut(cause).unwrap_or("client-left")
}
