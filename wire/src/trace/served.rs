//! What a node does with a request, as spans: the same whether it is another program or in memory.

use std::time::SystemTime;

use hatchway_proto::hex;
use hatchway_proto::trace_context::TraceParent;
use tokio::time::Instant;

use super::span::{Kind, Moments, Span, Value};
use crate::backend::Timing;

/// Names the gateway's own span in the head of a request that is sampled: the parent of what the node does. `traceparent` beside it
/// is for the function, and names the span that calls it. Always the last line of the head.
pub const PARENT_START: &str = "hatchway-parent-span: ";

/// The span that [`PARENT_START`] names; one look at the end of the head.
pub fn parent_field(head: &[u8]) -> Option<u64> {
    let (rest, digits) = head.strip_suffix(b"\r\n\r\n")?.split_last_chunk::<16>()?;
    let name = rest.strip_suffix(PARENT_START.as_bytes())?;
    if !name.ends_with(b"\r\n") {
        return None;
    }
    hex::parse(digits).filter(|id| *id != 0)
}

/// The spans of a request that a sandbox was asked for at `asked` under the span `parent`, and which was over at `end`. The last
/// is that of the function, which `trace` names. `draw` makes ids.
pub fn served(
    (trace, parent): (TraceParent, u64),
    timing: &Timing,
    (asked, end): (Instant, Instant),
    moments: &Moments,
    mut draw: impl FnMut() -> u64,
) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut part = |parent, name: String, times: (SystemTime, SystemTime)| {
        let id = draw().max(1);
        spans.push(Span::internal(trace.trace_id, (id, parent), name, times));
        id
    };
    let mut at = asked;
    if !timing.queue.is_zero() {
        part(parent, "queue".to_owned(), moments.since(at, timing.queue));
        at += timing.queue;
    }
    if let Some(start) = &timing.start {
        let started = part(parent, "start".to_owned(), moments.since(at, start.total));
        at += start.total;
        // A hatch may have begun for another request, before this one came: what is known is when it was done.
        let whole = start.phases.iter().map(|(_, spent)| *spent).sum();
        let mut begun = at.checked_sub(whole).unwrap_or(at);
        for (name, spent) in start.phases.iter() {
            part(started, format!("hatch {name}"), moments.since(begun, *spent));
            begun += *spent;
        }
    }
    let Some(sandbox) = timing.sandbox else { return spans };
    let times = (moments.time(at), moments.time(end));
    let mut function = Span::internal(trace.trace_id, (trace.span_id, parent), "function", times);
    function.kind = Kind::Client;
    let sandbox = i64::try_from(sandbox).unwrap_or(i64::MAX);
    function.attributes = vec![
        ("hatchway.sandbox", Value::Number(sandbox)),
        ("faas.coldstart", Value::from(if timing.start.is_some() { "true" } else { "false" })),
    ];
    spans.push(function);
    spans
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backend::Start;

    #[test]
    fn the_parent_is_read_where_it_belongs_and_nowhere_else() {
        let head = |last: &str| format!("GET / HTTP/1.1\r\nhost: a\r\n{last}\r\n\r\n");
        let parent = |last: &str| parent_field(head(last).as_bytes());
        assert_eq!(parent("hatchway-parent-span: 00f067aa0ba902b7"), Some(0x00f0_67aa_0ba9_02b7));
        for other in [
            "hatchway-parent-span: 0000000000000000",
            "hatchway-parent-span: 00f067aa0ba902b",
            "hatchway-parent-span: 00f067aa0ba902bX",
            "x-hatchway-parent-span: 00f067aa0ba902b7",
            "hatchway-parent-span: 00f067aa0ba902b7\r\nx: y",
            "x: 00f067aa0ba902b7",
        ] {
            assert_eq!(parent(other), None, "{other}");
        }
        assert_eq!(parent_field(b"\r\n\r\n"), None);
    }

    #[test]
    fn a_cold_start_is_told_in_its_phases_and_ends_where_the_function_begins() {
        let trace = TraceParent::new(7, 99, true);
        let millis = Duration::from_millis;
        let phases = vec![("isolate", millis(3)), ("load", millis(5))];
        let start = Start { total: millis(6), phases: phases.into() };
        let timing = Timing { queue: millis(1), start: Some(start), sandbox: Some(4) };
        let (moments, asked) = (Moments::now(), Instant::now());
        let mut ids = 10..;
        let draw = || ids.next().expect("there are more");
        let spans = served((trace, 5), &timing, (asked, asked + millis(20)), &moments, draw);
        let at = |duration| moments.time(asked) + duration;
        let told: Vec<_> =
            spans.iter().map(|s| (&*s.name, s.span_id, s.parent_id, s.start, s.end)).collect();
        assert_eq!(
            told,
            [
                ("queue", 10, 5, at(millis(0)), at(millis(1))),
                ("start", 11, 5, at(millis(1)), at(millis(7))),
                // Begun for somebody else.
                ("hatch isolate", 12, 11, at(millis(0)) - millis(1), at(millis(2))),
                ("hatch load", 13, 11, at(millis(2)), at(millis(7))),
                ("function", 99, 5, at(millis(7)), at(millis(20))),
            ]
        );
        assert!(spans.iter().all(|span| span.trace_id == 7));
    }

    #[test]
    fn a_call_that_found_no_sandbox_has_no_function() {
        let (moments, asked) = (Moments::now(), Instant::now());
        let timing = Timing { queue: Duration::from_secs(1), ..Timing::default() };
        let trace = TraceParent::new(1, 2, true);
        let spans = served((trace, 5), &timing, (asked, asked), &moments, || 9);
        assert_eq!(spans.len(), 1);
    }
}
