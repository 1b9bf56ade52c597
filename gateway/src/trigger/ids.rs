//! Names of requests and traces: continued where a client has given sane ones, drawn where not.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use hatchway_proto::http1::RequestHead;

use super::lines::hex;

/// A client's own request id is kept up to this length, if it is visible ASCII without quotes.
const REQUEST_ID_BYTES: usize = 128;

/// The client's request id where it is a sane one, a new one otherwise.
pub(super) fn request_id(head: &RequestHead<'_>) -> Box<str> {
    let is_sane = |id: &&[u8]| {
        (1..=REQUEST_ID_BYTES).contains(&id.len())
            && id.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"' && *byte != b'\\')
    };
    head.field("x-request-id")
        .filter(is_sane)
        .and_then(|id| std::str::from_utf8(id).ok())
        .map_or_else(next_id, Into::into)
}

/// A new request id: 128 random bits in hex.
pub fn next_id() -> Box<str> {
    let mut digits = [0; 32];
    digits[..16].copy_from_slice(&hex(draw()));
    digits[16..].copy_from_slice(&hex(draw()));
    std::str::from_utf8(&digits).expect("digits are ASCII").into()
}

/// The client's trace, when the standard allows it (W3C Trace Context, 3.2).
pub(super) fn given_trace<'b>(head: &RequestHead<'b>) -> Option<&'b str> {
    let value = head.field("traceparent")?;
    std::str::from_utf8(value).ok().filter(|value| is_traceparent(value))
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zero, no unknown version.
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

/// A trace that begins here, not sampled.
pub(super) fn new_trace(out: &mut Vec<u8>) {
    out.extend_from_slice(b"00-");
    out.extend_from_slice(&hex(draw()));
    out.extend_from_slice(&hex(draw() | 1));
    out.push(b'-');
    out.extend_from_slice(&hex(draw() | 1));
    out.extend_from_slice(b"-00");
}

/// Any number: SplitMix64 (Steele, Lea, Flood 2014), seeded per core. Numbers are unlike each other, not secret.
pub fn draw() -> u64 {
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
        let mut begun = Vec::new();
        new_trace(&mut begun);
        assert!(is_traceparent(std::str::from_utf8(&begun).unwrap()));
    }

    #[test]
    fn request_ids_do_not_repeat() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| next_id()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
