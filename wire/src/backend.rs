//! The seam between the two levels: what a gateway asks of a node, the same in memory and on a wire.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::failure::Failure;
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_proto::trace_context::TraceParent;

use crate::http1::{Answer, Broken, Found, Request, Upstream};

/// A request that has been routed: what a node needs to serve it.
#[derive(Debug)]
pub struct Invocation {
    /// Whose code.
    pub function: FunctionName,
    /// Which build of it.
    pub version: VersionId,
    /// The key of the lane whose nodes it is for; 0 where it is in none.
    pub lane: u64,
    /// Which file is asked for, where the version has files of its own to answer with.
    pub asset: Option<AssetRequest>,
    /// Another node may have room: rather refused than kept waiting for a slot that others hold.
    pub is_choosy: bool,
    /// Names the request everywhere.
    pub request_id: Box<str>,
    /// What the function reads of its trace; none where nobody needs to know.
    pub trace: Option<TraceParent>,
    /// What the exchange carries.
    pub request: Request,
    /// What the node spent before the function had the request.
    pub timing: Timing,
}

impl AsMut<Request> for Invocation {
    fn as_mut(&mut self) -> &mut Request {
        &mut self.request
    }
}

/// A GET or HEAD that a file of the version may answer.
#[derive(Debug)]
pub struct AssetRequest {
    /// The path behind the route's prefix, still encoded, with its slash.
    pub path: Box<str>,
    /// `If-None-Match` as sent.
    pub if_none_match: Option<Box<str>>,
    /// `Range` as sent.
    pub range: Option<Box<str>>,
}

/// What the platform spent on a request before the function had it.
#[derive(Clone, Debug, Default)]
pub struct Timing {
    /// Waiting for a slot.
    pub queue: Duration,
    /// Waiting for a hatch, with its phases in their order; absent when a live sandbox was found.
    pub start: Option<Start>,
    /// The sandbox that served.
    pub sandbox: Option<u64>,
}

/// A start that a request waited for.
#[derive(Clone, Debug)]
pub struct Start {
    /// From the order to hatch until the process could answer.
    pub total: Duration,
    /// Named parts of it.
    pub phases: Arc<[(&'static str, Duration)]>,
}

/// One node, as one core of a gateway sees it.
pub trait Backend: 'static {
    /// A connection on which the request is relayed.
    type Upstream: Upstream;

    /// The node is another program: what it spends on a request is not known here.
    const IS_REMOTE: bool;

    /// Finds who serves: waits for a slot or a start. Cancel safe.
    fn connect(
        &self,
        invocation: &mut Invocation,
    ) -> impl Future<Output = Result<Found<Self::Upstream>, Failure>>;

    /// The same where nobody has to be waited for; nothing has changed where it finds nothing.
    fn connect_now(&self, _invocation: &mut Invocation) -> Option<Found<Self::Upstream>> {
        None
    }

    /// Which node has been asked on `upstream`, in the operator's words; none where there is only one.
    fn node(&self, _upstream: &Self::Upstream) -> Option<Box<str>> {
        None
    }

    /// Says why an exchange broke before the client saw a head; may wait a little for the cause.
    fn explain(
        &self,
        invocation: &Invocation,
        upstream: &mut Self::Upstream,
        broken: &Broken,
    ) -> impl Future<Output = Failure>;
}

/// The answer that tells a client of a failure.
pub fn answer_failure(failure: &Failure, request_id: &str) -> Answer {
    let title = http::StatusCode::from_u16(failure.status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    let mut answer = Answer::new(failure.status, failure.problem(request_id, title))
        .with("content-type", "application/problem+json")
        .with("proxy-status", failure.proxy_status())
        .with("x-request-id", request_id.to_owned());
    if let Some(seconds) = failure.retry_after_seconds() {
        answer = answer.with("retry-after", seconds);
    }
    answer
}

impl Timing {
    /// The value of `Server-Timing`: what the platform added, in milliseconds.
    pub fn server_timing(&self, first_byte: Duration) -> String {
        use std::fmt::Write as _;
        let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let mut text = format!("queue;dur={:.3}", millis(self.queue));
        let infallible = "a string takes every write";
        match &self.start {
            None => text.push_str(", warm"),
            Some(start) => {
                write!(text, ", cold, start;dur={:.3}", millis(start.total)).expect(infallible);
                for (name, spent) in start.phases.iter() {
                    write!(text, ", start-{name};dur={:.3}", millis(*spent)).expect(infallible);
                }
            }
        }
        write!(text, ", first-byte;dur={:.3}", millis(first_byte)).expect(infallible);
        text
    }
}
