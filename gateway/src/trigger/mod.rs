//! Stage 2: a protocol's head becomes an invocation, the one form that everything behind works with.
//!
//! Here the head is rewritten; [`ids`] names requests and traces, [`lines`] writes what we say, [`origin`] finds the client behind
//! proxies that are trusted.

mod ids;
mod lines;
mod origin;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hatchway_proto::http1::{RequestEdit, RequestHead, write_request};
use hatchway_wire::backend::{AssetRequest, Invocation, Timing};
use hatchway_wire::http1::{Peer, Request, upgrade};
use hatchway_wire::scratch;

use crate::catalog::ReleaseTarget;

pub use ids::{draw, next_id};
pub use origin::Trusted;

use lines::Lines;

/// What a client may not say about itself: it is said anew by us, who see its address. The last is a state
/// without meaning where its parent is not kept.
const OURS: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    // Some frameworks take these for the path, behind the back of the route that was chosen by the real one.
    "x-original-url",
    "x-rewrite-url",
    "x-request-id",
    "traceparent",
    "tracestate",
];

/// How names begin that are dropped whatever follows: a proxy in front of a function may say there who the user is.
const FORWARDED: &[u8; 12] = b"x-forwarded-";

/// Makes invocations, on one core.
#[derive(Debug, Default)]
pub struct Trigger {
    trusted: Trusted,
}

impl Trigger {
    /// Believes what proxies of `trusted` say of their clients.
    pub fn new(trusted: Trusted) -> Self {
        Self { trusted }
    }

    /// Who sent a request, behind the proxies that are trusted.
    pub fn origin(&self, head: &RequestHead<'_>, peer: Peer) -> Peer {
        self.trusted.origin(head, peer)
    }

    /// The client's request id where it is a sane one, a new one otherwise.
    pub fn request_id(&self, head: &RequestHead<'_>) -> Box<str> {
        ids::request_id(head)
    }

    /// Rewrites the head for the function and keeps what the stages behind need to know.
    pub fn invocation(
        &self,
        head: &RequestHead<'_>,
        peer: Peer,
        request_id: Box<str>,
        release: &ReleaseTarget,
        rest: &str,
    ) -> Invocation {
        let trace = ids::given_trace(head);
        let mut rewritten = scratch::take();
        let edit = RequestEdit {
            drop: if trace.is_some() { &OURS[..OURS.len() - 1] } else { OURS },
            upgrade: upgrade::asked(head),
            trailers_ok: true,
            ..RequestEdit::default()
        };
        rewrite(&mut rewritten, head, edit);
        // Our lines go where the empty line was.
        rewritten.truncate(rewritten.len() - 2);
        let mut lines = Lines(&mut rewritten);
        lines.text("x-request-id", &request_id);
        match trace {
            Some(given) => lines.text("traceparent", given),
            None => lines.line("traceparent", ids::new_trace),
        }
        lines.text("x-forwarded-proto", if peer.is_encrypted { "https" } else { "http" });
        if let Some(address) = peer.address {
            lines.line("x-forwarded-for", |out| lines::address(out, address));
        }
        lines.text("hatchway-request-id", &request_id);
        lines.line("hatchway-deadline-ms", |out| lines::decimal(out, unix_ms(release.run_clock)));
        lines.text("hatchway-tenant", release.function.tenant());
        rewritten.extend_from_slice(b"\r\n");
        Invocation {
            function: release.function.clone(),
            version: release.version,
            asset: release.has_assets.then(|| asset_request(head, rest)).flatten(),
            request: Request::new(head, rewritten),
            request_id,
            timing: Timing::default(),
        }
    }
}

/// Rewrites the head, without whatever else a client says in the name of a proxy.
fn rewrite(out: &mut Vec<u8>, head: &RequestHead<'_>, edit: RequestEdit<'_>) {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    let mut names = head.names().filter(|name| {
        name.first_chunk().is_some_and(|start: &[u8; 12]| start.map(fold) == *FORWARDED)
    });
    let Some(first) = names.next() else { return write_request(out, head, &edit) };
    let forwarded: Vec<String> = std::iter::once(first)
        .chain(names)
        .map(|name| name.iter().map(|&byte| char::from(fold(byte))).collect())
        .collect();
    let drop: Vec<&str> =
        edit.drop.iter().copied().chain(forwarded.iter().map(String::as_str)).collect();
    write_request(out, head, &RequestEdit { drop: &drop, ..edit });
}

/// What a file of the version is asked for with, when the method can be answered by a file.
pub fn asset_request(head: &RequestHead<'_>, rest: &str) -> Option<AssetRequest> {
    let text = |name: &str| {
        head.field(name).and_then(|value| std::str::from_utf8(value).ok()).map(Into::into)
    };
    matches!(head.method, "GET" | "HEAD").then(|| AssetRequest {
        path: rest.into(),
        if_none_match: text("if-none-match"),
        range: text("range"),
    })
}

fn unix_ms(from_now: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let then = now.saturating_add(from_now);
    then.as_secs().saturating_mul(1000).saturating_add(then.subsec_millis().into())
}
