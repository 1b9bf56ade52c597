//! Stage 2: a protocol's head becomes an invocation, the one form that everything behind works with.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hatchway_proto::http1::{RequestEdit, RequestHead, write_request};
use hatchway_wire::backend::{AssetRequest, Backend, Invocation, Timing};
use hatchway_wire::http1::{Peer, Request};
use hatchway_wire::scratch;

use crate::catalog::ReleaseTarget;

/// What a client may not say about itself: it is said anew by us, who see its address.
const OURS: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "traceparent",
];

/// The same, when the trace was begun by us: a state without its parent means nothing.
const OURS_AND_STATE: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "traceparent",
    "tracestate",
];

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
        let edit = RequestEdit {
            extra: &extra,
            drop: if given.is_some() { OURS } else { OURS_AND_STATE },
            upgrade: head.upgrade,
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
