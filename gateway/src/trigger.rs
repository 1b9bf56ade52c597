//! Stage 2: a protocol's head becomes an invocation, the one form that everything behind works with.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hatchway_proto::http1::{RequestEdit, RequestHead, write_request};
use hatchway_wire::backend::{AssetRequest, Backend, Invocation, Timing};
use hatchway_wire::http1::{Peer, Request, upgrade};
use hatchway_wire::scratch;

use crate::catalog::ReleaseTarget;

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
const FORWARDED: &[u8] = b"x-forwarded-";

/// A client's own request id is kept up to this length, if it is visible ASCII without quotes.
const REQUEST_ID_BYTES: usize = 128;

/// Makes invocations, on one core.
#[derive(Debug, Default)]
pub struct Trigger(());

impl Trigger {
    /// Nothing is shared with other cores.
    pub fn new() -> Self {
        Self(())
    }

    /// The client's request id where it is a sane one, a new one otherwise.
    pub fn request_id(&self, head: &RequestHead<'_>) -> Box<str> {
        let is_sane = |id: &&str| {
            (1..=REQUEST_ID_BYTES).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        };
        head.field("x-request-id")
            .and_then(|id| std::str::from_utf8(id).ok())
            .filter(is_sane)
            .map_or_else(next_id, Into::into)
    }

    /// Rewrites the head for the function and keeps what the stages behind need to know.
    pub fn invocation<B: Backend>(
        &self,
        head: &RequestHead<'_>,
        peer: Peer,
        request_id: Box<str>,
        release: &ReleaseTarget,
        rest: &str,
    ) -> Invocation {
        let mut rewritten = scratch::take();
        let address = peer.address.map(|address| address.to_string());
        let deadline = unix_ms(release.run_clock);
        let given = head.field("traceparent").and_then(|value| std::str::from_utf8(value).ok());
        let given = given.filter(|value| is_traceparent(value));
        let begun = given.is_none().then(new_traceparent);
        let mut extra: Vec<(&str, &str)> = Vec::with_capacity(9);
        extra.push(("x-request-id", &request_id));
        extra.push(("traceparent", given.or(begun.as_deref()).unwrap_or_default()));
        extra.push(("x-forwarded-proto", "http"));
        if let Some(address) = &address {
            extra.push(("x-forwarded-for", address));
        }
        extra.push(("hatchway-request-id", &request_id));
        extra.push(("hatchway-deadline-ms", &deadline));
        extra.push(("hatchway-tenant", release.function.tenant()));
        if B::IS_REMOTE {
            extra.push(("hatchway-function", release.function.as_str()));
            extra.push(("hatchway-version", release.version.as_str()));
            extra.push(("hatchway-route-rest", rest));
        }
        let ours = if given.is_some() { &OURS[..OURS.len() - 1] } else { OURS };
        let forwarded = forwarded(head);
        let all: Vec<&str>;
        let drop = match forwarded.is_empty() {
            true => ours,
            false => {
                all = ours.iter().copied().chain(forwarded.iter().map(String::as_str)).collect();
                &all
            }
        };
        let edit = RequestEdit {
            extra: &extra,
            drop,
            upgrade: upgrade::asked(head),
            keep_internal: false,
            trailers_ok: true,
        };
        write_request(&mut rewritten, head, &edit);
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

/// Names of the client's `X-Forwarded-*` fields that [`OURS`] does not have, as a dropped name is given.
fn forwarded(head: &RequestHead<'_>) -> Vec<String> {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    let is_forwarded = |name: &&str| {
        name.len() > FORWARDED.len() && name.bytes().map(fold).zip(FORWARDED).all(|(a, b)| a == *b)
    };
    let names = head.fields().map(|field| field.name).filter(is_forwarded);
    names
        .map(|name| name.bytes().map(|byte| char::from(fold(byte))).collect::<String>())
        .filter(|name| !OURS.contains(&name.as_str()))
        .collect()
}

fn unix_ms(from_now: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now + from_now).as_millis().to_string()
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zero, no unknown version (W3C Trace Context, 3.2).
fn is_traceparent(value: &str) -> bool {
    let is_hex =
        |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
    let mut parts = value.split('-');
    let (Some(version), Some(trace), Some(parent), Some(flags), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    version == "00"
        && trace.len() == 32
        && parent.len() == 16
        && flags.len() == 2
        && is_hex(trace)
        && is_hex(parent)
        && is_hex(flags)
        && !is_zero(trace)
        && !is_zero(parent)
}

fn new_traceparent() -> String {
    format!("00-{:016x}{:016x}-{:016x}-00", draw(), draw() | 1, draw() | 1)
}

/// A new request id: 128 random bits in hex.
pub fn next_id() -> Box<str> {
    format!("{:016x}{:016x}", draw(), draw()).into()
}

/// SplitMix64 (Steele, Lea, Flood 2014), seeded per core: ids have to be unlike each other, not secret.
fn draw() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(std::thread::current().id()));
    }
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_only_with_a_parent_that_the_standard_allows() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
        assert!(is_traceparent(&new_traceparent()));
    }

    #[test]
    fn request_ids_do_not_repeat() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| next_id()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
