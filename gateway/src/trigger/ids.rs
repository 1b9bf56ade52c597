//! Names of requests and traces: continued where a client has given sane ones, drawn where not.

use hatchway_proto::hex;
use hatchway_proto::http1::RequestHead;
use hatchway_proto::trace_context::TraceParent;
use hatchway_wire::random::draw;

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
    digits[..16].copy_from_slice(&hex::digits(draw()));
    digits[16..].copy_from_slice(&hex::digits(draw()));
    std::str::from_utf8(&digits).expect("digits are ASCII").into()
}

/// The client's trace, when the standard allows it (W3C Trace Context, section 3.2). Two parents are none.
pub(crate) fn given_trace(head: &RequestHead<'_>) -> Option<TraceParent> {
    let parent = TraceParent::parse(head.field("traceparent")?)?;
    let mut all = head.names().filter(|name| name.eq_ignore_ascii_case(b"traceparent"));
    (all.next().is_some() && all.next().is_none()).then_some(parent)
}

/// A trace that begins here, not sampled.
pub(super) fn new_trace() -> TraceParent {
    TraceParent::new(u128::from(draw()) << 64 | u128::from(draw()), draw(), false)
}

#[cfg(test)]
mod tests {
    use hatchway_proto::http1::{Limits, parse_request};

    use super::*;

    #[test]
    fn a_trace_goes_on_with_one_parent_and_not_with_two() {
        let given = |lines: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            let head = parse_request(head.as_bytes(), &Limits::default()).unwrap().unwrap();
            given_trace(&head).map(|parent| parent.span_id)
        };
        let line = "TraceParent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
        assert_eq!(given(line), Some(0x00f0_67aa_0ba9_02b7));
        assert_eq!(given(&line.repeat(2)), None);
        assert_eq!(given(""), None);
    }

    #[test]
    fn request_ids_do_not_repeat() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| next_id()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
