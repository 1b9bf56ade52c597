//! Stage 2: a protocol's head becomes an invocation, the one form that everything behind works with.
//!
//! Here the head is made; [`rewrite`] copies what goes on of the client's, [`ids`] names requests and traces, [`lines`] writes
//! what we say, [`origin`] finds the client behind proxies that are trusted.

mod ids;
mod lines;
mod origin;
mod rewrite;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hatchway_proto::hex;
use hatchway_proto::http1::{RequestEdit, RequestHead};
use hatchway_wire::backend::{AssetRequest, Invocation, Timing};
use hatchway_wire::http1::{Peer, Request, upgrade};
use hatchway_wire::scratch;
use hatchway_wire::trace::PARENT_START;

use crate::catalog::ReleaseTarget;
use crate::place::Group;
use crate::route::Applied;
use crate::trace::Place;

pub use hatchway_wire::random::draw;
pub(crate) use ids::given_trace;
pub use ids::next_id;
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
    // Said of certificates by whoever has seen them (RFC 9440 section 2.4).
    "client-cert",
    "client-cert-chain",
    "traceparent",
    "tracestate",
];

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct Received<'h> {
    /// Its head.
    pub head: &'h RequestHead<'h>,
    /// Who has sent it to us.
    pub sender: Peer<'h>,
    /// Who asks: the sender, or the client that a trusted proxy speaks for.
    pub client: Peer<'h>,
    /// Its trace.
    pub place: Place,
}

/// What becomes of a head on its way to the function.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'r> {
    /// What route and rule change.
    pub filters: Applied<'r>,
    /// What follows the prefix of the route.
    pub rest: &'r str,
    /// The lane of the request, where there are lanes.
    pub lane: Option<Option<&'r str>>,
}

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

    /// Finds out who asks, behind the proxies that are trusted, and in which trace: the client's where the standard allows that,
    /// or one that begins here and is not sampled.
    pub fn receive<'h>(&self, head: &'h RequestHead<'h>, sender: Peer<'h>) -> Received<'h> {
        let given = ids::given_trace(head);
        let place = Place { given, here: given.unwrap_or_else(ids::new_trace), parent: None };
        Received { head, sender, client: self.trusted.origin(head, sender), place }
    }

    /// Whether what a peer says of others is believed.
    pub fn trusts(&self, peer: Peer<'_>) -> bool {
        self.trusted.includes(peer.address)
    }

    /// The client's request id where it is a sane one, a new one otherwise.
    pub fn request_id(&self, head: &RequestHead<'_>) -> Box<str> {
        ids::request_id(head)
    }

    /// Rewrites the head for the function and keeps what the stages behind need to know.
    pub fn invocation(
        &self,
        received: &Received<'_>,
        request_id: Box<str>,
        release: &ReleaseTarget,
        rewrite: Rewrite<'_>,
    ) -> Invocation {
        let Received { head, client, place, .. } = received;
        let Rewrite { filters, rest, lane } = rewrite;
        let mut rewritten = scratch::take();
        let edit = RequestEdit {
            drop: if place.given.is_some() { &OURS[..OURS.len() - 1] } else { OURS },
            upgrade: upgrade::asked(head),
            trailers_ok: true,
            ..RequestEdit::default()
        };
        match lane {
            None => rewrite::write(&mut rewritten, head, edit, filters, rest),
            Some(lane) => rewrite::with_lane(&mut rewritten, head, edit, (filters, rest), lane),
        }
        // Our lines go where the empty line was.
        rewritten.truncate(rewritten.len() - 2);
        let mut lines = Lines(&mut rewritten);
        lines.text("x-request-id: ", &request_id);
        lines.line("traceparent: ", |out| place.here.write(out));
        lines.text("x-forwarded-proto: ", if client.is_encrypted { "https" } else { "http" });
        if let Some(address) = client.address {
            lines.line("x-forwarded-for: ", |out| lines::address(out, address));
        }
        if let Some(credential) = client.credential {
            lines.text("client-cert: ", &credential.client_cert);
            lines.text("x-forwarded-client-cert: ", &credential.forwarded);
        }
        lines.text("hatchway-request-id: ", &request_id);
        lines.line(DEADLINE, |out| lines::decimal(out, unix_ms(release.run_clock)));
        lines.text("hatchway-tenant: ", release.function.tenant());
        if let Some(parent) = place.parent {
            // The last: a node looks for it at the end of the head.
            lines.line(PARENT_START, |out| out.extend_from_slice(&hex::digits(parent)));
        }
        rewritten.extend_from_slice(b"\r\n");
        Invocation {
            function: release.function.clone(),
            version: release.version,
            lane: lane.flatten().map_or(0, |lane| Group::lane(lane).key()),
            asset: release.has_assets.then(|| asset_request(head, rest)).flatten(),
            request: Request::new(head, rewritten),
            is_choosy: false,
            request_id,
            trace: Some(place.here),
            timing: Timing::default(),
        }
    }
}

/// How the line begins that tells a function when nobody waits any more.
const DEADLINE: &str = "hatchway-deadline-ms: ";

/// The head of a copy: marked, and without a deadline, for it will be sent at another time.
pub fn mirrored(head: &[u8]) -> Vec<u8> {
    let mut copy = scratch::take();
    // With what ends the line before: no value can hold that.
    let line = format!("\r\n{DEADLINE}");
    match head.windows(line.len()).position(|window| window == line.as_bytes()) {
        None => copy.extend_from_slice(&head[..head.len() - 2]),
        Some(at) => {
            let rest = &head[at + 2..head.len() - 2];
            let end =
                rest.windows(2).position(|two| two == b"\r\n").map_or(rest.len(), |at| at + 2);
            copy.extend_from_slice(&head[..at + 2]);
            copy.extend_from_slice(&rest[end..]);
        }
    }
    Lines(&mut copy).text("hatchway-mirror: ", "1");
    copy.extend_from_slice(b"\r\n");
    copy
}

/// Tells a function that somebody waits for this long from now on.
pub fn deadline(request: &mut Request, run_clock: Duration) {
    let head = &mut request.head;
    head.truncate(head.len() - 2);
    Lines(head).line(DEADLINE, |out| lines::decimal(out, unix_ms(run_clock)));
    head.extend_from_slice(b"\r\n");
    request.head_bytes = head.len();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_marked_and_has_no_deadline_of_its_request() {
        for (head, expected) in [
            (
                "GET / HTTP/1.1\r\nhatchway-deadline-ms: 17\r\na: b\r\n\r\n",
                "GET / HTTP/1.1\r\na: b\r\nhatchway-mirror: 1\r\n\r\n",
            ),
            (
                "GET / HTTP/1.1\r\na: hatchway-deadline-ms: 17\r\nhatchway-deadline-ms: 18\r\n\r\n",
                "GET / HTTP/1.1\r\na: hatchway-deadline-ms: 17\r\nhatchway-mirror: 1\r\n\r\n",
            ),
            ("GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nhatchway-mirror: 1\r\n\r\n"),
        ] {
            assert_eq!(String::from_utf8(mirrored(head.as_bytes())).unwrap(), expected);
        }
    }
}
