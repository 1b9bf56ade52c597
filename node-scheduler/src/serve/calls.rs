//! What a node makes of a call: an invocation, an answer, a refusal.

use std::cell::RefCell;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use hatchway_proto::failure::{FAILURE_FIELD, Told};
use hatchway_proto::http1::{Limits, ResponseEdit, ResponseHead, parse_request, write_response};
use hatchway_proto::link::{CallHead, Cancel, FileRequest, LoadSummary, hello};
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_proto::trace_context::TraceParent;
use hatchway_wire::account::Account;
use hatchway_wire::backend::{AssetRequest, Backend, Invocation, Timing};
use hatchway_wire::grpc;
use hatchway_wire::http1::{Answer, Broken, Cause, Found, Outcome, Request, Service, Shape};
use hatchway_wire::link::{Calls, Handle};
use hatchway_wire::random::draw;
use hatchway_wire::trace::{self, Kind, Moments, Span, Tracer, Value};

use crate::admit::NodeCore;
use crate::invoke::SandboxUpstream;

/// Reasons that are this node's own: another one may well take the call, and have the package already. What is wrong with the
/// function is wrong everywhere.
const ELSEWHERE: &[&str] = &[
    "queue-full",
    "saturated",
    "no-room",
    "draining",
    "retired",
    "unknown-version",
    "no-store",
    "package-missing",
    "package-unavailable",
    "package-damaged",
    "package-disk",
];

/// Calls of gateways, on one core.
#[derive(Debug)]
pub(super) struct GatewayCalls {
    node: NodeCore,
    names: RefCell<HashMap<VersionId, FunctionName, RandomState>>,
    /// The last that were asked for: calls of one function come in runs.
    last: RefCell<Option<(FunctionName, VersionId)>>,
    /// Where spans are left of those that are sampled.
    tracer: Option<Tracer>,
}

/// Versions whose function's name is remembered; to parse one costs five allocations.
const NAMES: usize = 4096;

impl GatewayCalls {
    pub(super) fn new(node: NodeCore, tracer: Option<Tracer>) -> Self {
        Self { node, names: RefCell::default(), last: RefCell::default(), tracer }
    }

    fn names(&self, about: &CallHead<'_>) -> Option<(FunctionName, VersionId)> {
        let last = &mut *self.last.borrow_mut();
        let is_same = last.as_ref().is_some_and(|(name, version)| {
            version.as_str() == about.version && name.as_str() == about.function
        });
        if !is_same {
            *last = Some(self.find_names(about)?);
        }
        last.clone()
    }

    fn find_names(&self, about: &CallHead<'_>) -> Option<(FunctionName, VersionId)> {
        let version = VersionId::parse(about.version).ok()?;
        let mut names = self.names.borrow_mut();
        match names.get(&version) {
            Some(name) if name.as_str() == about.function => Some((name.clone(), version)),
            Some(_) | None => {
                let name = FunctionName::parse(about.function).ok()?;
                if names.len() >= NAMES {
                    names.clear();
                }
                names.insert(version, name.clone());
                Some((name, version))
            }
        }
    }
}

/// A call between its head and its end.
#[derive(Debug)]
pub(super) struct Call {
    invocation: Invocation,
    handle: Handle,
    /// The gateway wants to hear who served.
    wants_account: bool,
    /// It is sampled: its span at the gateway.
    parent: Option<u64>,
}

impl AsMut<Request> for Box<Call> {
    fn as_mut(&mut self) -> &mut Request {
        &mut self.invocation.request
    }
}

impl Calls for GatewayCalls {
    fn take(&self, about: &CallHead<'_>, head: &[u8], handle: Handle) -> Option<Box<Call>> {
        let (function, version) = self.names(about)?;
        let parent = self.tracer.as_ref().and_then(|_| trace::parent_field(head));
        let invocation = Invocation {
            function,
            version,
            // Nodes were chosen by it.
            lane: 0,
            asset: about.file.as_ref().map(asset),
            is_choosy: about.is_choosy,
            request_id: about.request_id.into(),
            trace: parent.and_then(|_| trace_of(head)),
            request: Request::of_call(about, head),
            timing: Timing::default(),
        };
        let wants_account = handle.is_asked_for(hello::ACCOUNTS);
        // Boxed here, once: it is handed on a dozen times.
        Some(Box::new(Call { invocation, handle, wants_account, parent }))
    }

    fn load(&self) -> LoadSummary {
        self.node.load()
    }
}

/// What the function reads of its trace; only a head that is sampled is read for it.
fn trace_of(head: &[u8]) -> Option<TraceParent> {
    let head = parse_request(head, &Limits::inside()).ok().flatten()?;
    TraceParent::parse(head.field("traceparent")?)
}

/// A call that is over, as spans; none where it is not sampled.
fn spans(call: &Call, outcome: &Outcome) -> Vec<Span> {
    let (Some(trace), Some(parent)) = (call.invocation.trace, call.parent) else {
        return Vec::new();
    };
    let (moments, began) = (Moments::now(), call.invocation.request.arrived);
    let end = began + outcome.total;
    let id = draw().max(1);
    let timing = &call.invocation.timing;
    let mut spans = trace::served((trace, id), timing, (began, end), &moments, draw);
    let times = moments.since(began, outcome.total);
    let mut serve = Span::internal(trace.trace_id, (id, parent), "serve", times);
    serve.kind = Kind::Server;
    let function = call.invocation.function.as_str();
    serve.attributes.push(("hatchway.function", Value::from(function)));
    serve.error = outcome.broken.as_ref().map(|cause| cause.to_string().into());
    spans.push(serve);
    spans
}

fn asset(file: &FileRequest<'_>) -> AssetRequest {
    let given = |text: &str| (!text.is_empty()).then(|| text.into());
    AssetRequest {
        path: file.path.into(),
        if_none_match: given(file.if_none_match),
        range: given(file.range),
    }
}

impl Service for GatewayCalls {
    type Call = Box<Call>;
    type Upstream = SandboxUpstream;

    fn tells_heads(&self, call: &Box<Call>) -> bool {
        !call.wants_account
    }

    async fn connect(&self, call: &mut Box<Call>) -> Found<SandboxUpstream> {
        match self.node.connect(&mut call.invocation).await {
            Ok(found) => {
                call.handle.accept();
                found
            }
            Err(failure) => {
                call.handle.refuse(ELSEWHERE.contains(&failure.reason), failure.reason);
                let Invocation { request_id, request, .. } = &call.invocation;
                let answer = grpc::answer(&failure, request_id, request);
                let told = Told { reason: failure.reason, is_begun: false };
                Found::Answer(answer.with(FAILURE_FIELD, told.value()))
            }
        }
    }

    fn connect_now(&self, call: &mut Box<Call>) -> Option<Found<SandboxUpstream>> {
        let found = self.node.connect_now(&mut call.invocation)?;
        call.handle.accept();
        Some(found)
    }

    /// As a gateway writes it for a client of HTTP/1.1 whose connection stays, but for who has served, where that is asked for.
    fn respond(&self, call: &Box<Call>, head: &ResponseHead<'_>, shape: Shape, out: &mut Vec<u8>) {
        let account = Account::of(&call.invocation.timing).filter(|_| call.wants_account);
        let account = account.map(|account| account.write());
        let account = account.as_deref().map(|text| (Account::FIELD, text)).unwrap_or_default();
        let extra = [("x-request-id", &*call.invocation.request_id), account];
        let edit = ResponseEdit {
            extra: &extra[..if account.0.is_empty() { 1 } else { 2 }],
            drop: &["x-request-id"],
            downstream: shape.version,
            keep_alive: shape.keep_alive,
            framing: shape.framing,
            upgrade: if shape.upgrades { head.upgrade } else { None },
            keep_internal: false,
        };
        write_response(out, head, &edit);
    }

    async fn explain(
        &self,
        call: &Box<Call>,
        upstream: &mut SandboxUpstream,
        broken: &Broken,
    ) -> Answer {
        let Invocation { request_id, request, .. } = &call.invocation;
        let failure = self.node.explain(&call.invocation, upstream, broken).await;
        let told = Told { reason: failure.reason, is_begun: true };
        grpc::answer(&failure, request_id, request).with(FAILURE_FIELD, told.value())
    }

    fn finish(&self, call: Option<Box<Call>>, outcome: &Outcome) {
        let Some(call) = call else { return };
        if let Some(tracer) = &self.tracer {
            tracer.put(spans(&call, outcome));
        }
        let Some(cause) = &outcome.broken else { return };
        call.handle.because(reason(cause));
        tracing::debug!(
            function = %call.invocation.function,
            request_id = %call.invocation.request_id,
            error = %cause,
            "a call did not end as it should",
        );
    }
}

/// What the gateway is told when an answer cannot be finished.
fn reason(cause: &Cause) -> Cancel {
    match cause {
        Cause::ClientGone => Cancel::Left,
        Cause::ClientBody(_) => Cancel::Protocol,
        Cause::UpstreamClosed
        | Cause::UpstreamIo(_)
        | Cause::BadAnswer(_)
        | Cause::BadBody(_)
        | Cause::UnwantedUpgrade
        | Cause::Declined => Cancel::Cut,
        Cause::ClientStalled | Cause::FirstByteClock | Cause::IdleClock | Cause::RunClock => {
            Cancel::Clock
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_asks_for_no_file_in_particular_has_no_tag_and_no_range() {
        let file = asset(&FileRequest { path: "/a", if_none_match: "", range: "bytes=0-1" });
        assert_eq!(&*file.path, "/a");
        assert_eq!((file.if_none_match, file.range.as_deref()), (None, Some("bytes=0-1")));
    }
}
