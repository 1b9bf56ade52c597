//! Stage 7: calls arrive from gateways in other processes, over HTTP/1.1. The gateway says in the head which
//! version is meant; the head goes on to the function without what is between the two of us.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use hatchway_proto::failure::{Component, Failure, ProxyError};
use hatchway_proto::http1::{
    RequestEdit, RequestHead, ResponseEdit, ResponseHead, write_request, write_response,
};
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_wire::backend::{AssetRequest, Backend, Invocation, Timing, answer_failure};
use hatchway_wire::core::{Core, Cores, InFlight};
use hatchway_wire::http1::{
    self, Answer, Broken, Found, Outcome, Peer, Refused, Request, Service, Settings, Shape,
};
use hatchway_wire::listen::{Accept, Listener};
use hatchway_wire::scratch;

use crate::admit::{NodeCore, unknown_version};
use crate::invoke::SandboxUpstream;

/// Out of descriptors: trying again at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is between a gateway and a node, and not for the function.
const BETWEEN_US: &[&str] = &["hatchway-function", "hatchway-version", "hatchway-route-rest"];

/// Starts a thread per listener.
///
/// # Errors
/// When a thread cannot be started.
pub fn start<M>(listeners: Vec<Listener>, make: M) -> io::Result<Cores>
where
    M: Fn(&Core) -> NodeCore + Clone + Send + 'static,
{
    Cores::start("node", listeners, move |core, listener| {
        let service = Rc::new(Calls { node: make(&core) });
        async move {
            match Accept::from_listener(listener) {
                Ok(listener) => accept(core, listener, service).await,
                Err(error) => tracing::error!(%error, "a listener is lost"),
            }
        }
    })
}

async fn accept(core: Core, listener: Accept, service: Rc<Calls>) {
    let connections = InFlight::default();
    let settings = Rc::new(Settings::inside());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = core.ticker.drained() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a gateway was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let entered = connections.enter();
        let (service, settings) = (service.clone(), settings.clone());
        let ticker = core.ticker.clone();
        tokio::task::spawn_local(async move {
            let peer = Peer::default();
            http1::serve(stream, peer, &*service, &settings, &ticker).await;
            drop(entered);
        });
    }
    drop(listener);
    connections.none().await;
}

/// Calls of gateways, on one core.
#[derive(Debug)]
struct Calls {
    node: NodeCore,
}

impl Calls {
    fn invocation(&self, head: &RequestHead<'_>) -> Result<Invocation, Failure> {
        let text = |name| field(head, name).ok_or_else(unknown_version);
        let function = FunctionName::parse(text("hatchway-function")?);
        let version = VersionId::parse(text("hatchway-version")?);
        let (Ok(function), Ok(version)) = (function, version) else {
            return Err(unknown_version());
        };
        let rest = field(head, "hatchway-route-rest").unwrap_or("/");
        let mut rewritten = scratch::take();
        let edit = RequestEdit {
            drop: BETWEEN_US,
            upgrade: head.upgrade,
            keep_internal: true,
            trailers_ok: true,
            ..RequestEdit::default()
        };
        write_request(&mut rewritten, head, &edit);
        Ok(Invocation {
            function,
            version,
            asset: matches!(head.method, "GET" | "HEAD").then(|| AssetRequest {
                path: rest.into(),
                if_none_match: field(head, "if-none-match").map(Into::into),
                range: field(head, "range").map(Into::into),
            }),
            request_id: field(head, "hatchway-request-id").unwrap_or_default().into(),
            request: Request::new(head, rewritten),
            timing: Timing::default(),
        })
    }
}

fn field<'b>(head: &RequestHead<'b>, name: &str) -> Option<&'b str> {
    head.field(name).and_then(|value| std::str::from_utf8(value).ok())
}

impl Service for Calls {
    type Call = Invocation;
    type Upstream = SandboxUpstream;

    fn begin(&self, head: &RequestHead<'_>, _peer: Peer) -> Result<Invocation, Answer> {
        self.invocation(head).map_err(|failure| answer_failure(&failure, ""))
    }

    async fn connect(&self, call: &mut Invocation) -> Found<SandboxUpstream> {
        self.node
            .connect(call)
            .await
            .unwrap_or_else(|failure| Found::Answer(answer_failure(&failure, &call.request_id)))
    }

    fn respond(&self, call: &Invocation, head: &ResponseHead<'_>, shape: Shape, out: &mut Vec<u8>) {
        let start = if call.timing.start.is_some() { "cold" } else { "warm" };
        let edit = ResponseEdit {
            extra: &[("hatchway-start", start)],
            drop: &[],
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
        call: &Invocation,
        upstream: &mut SandboxUpstream,
        broken: &Broken,
    ) -> Answer {
        let failure = self.node.explain(call, upstream, broken).await;
        answer_failure(&failure, &call.request_id)
    }

    fn finish(&self, call: Option<Invocation>, outcome: &Outcome) {
        let (Some(call), Some(cause)) = (call, &outcome.broken) else { return };
        tracing::debug!(
            function = %call.function,
            request_id = %call.request_id,
            error = %cause,
            "a call did not end as it should",
        );
    }

    fn refuse(&self, why: &Refused) -> Answer {
        let failure = Failure::new(
            400,
            ProxyError::HttpRequestError,
            Component::Node,
            "bad-call",
            why.to_string(),
        );
        answer_failure(&failure, "")
    }
}
