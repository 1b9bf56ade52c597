//! A record as the line that people and programs read.
//!
//! Escaping is that of JSON alone: a control byte, a quote or a line end in what a client has sent is written as JSON writes it, and
//! what is no UTF-8 becomes U+FFFD, so no value can end a line or begin a field.

use std::time::{Duration, SystemTime};

use hatchway_proto::trace_context::trace_digits;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::batch::Recorded;
use super::entry::Text;
use super::record::Ended;

/// Appends the line of one request.
pub(super) fn write(out: &mut Vec<u8>, recorded: Recorded<'_>) {
    put(out, &Line(recorded));
}

/// Appends a line that says how many requests have none.
pub(super) fn write_gap(out: &mut Vec<u8>, now: SystemTime, dropped: u64) {
    put(out, &Gap { now, dropped });
}

fn put(out: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *out, line).expect("texts and numbers are written to memory");
    out.push(b'\n');
}

struct Line<'r>(Recorded<'r>);

impl Serialize for Line<'_> {
    /// What is not known is left out.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let record = self.0.record;
        let account = record.account.as_ref();
        let mut line = Fields(to.serialize_map(None)?);
        // When the head of the request was complete: RFC 3339, UTC, milliseconds.
        line.put("time", &time(record.began))?;
        line.text("request_id", self.0, Text::RequestId)?;
        let trace = trace_digits(record.trace_id);
        line.known("trace_id", std::str::from_utf8(&trace).ok().filter(|_| record.trace_id != 0))?;
        // Behind proxies that are trusted, the one that they name. Absent on a Unix socket.
        line.known("client", record.client)?;
        line.known("protocol", record.protocol)?;
        line.put("tls", &record.is_encrypted)?;
        line.text("method", self.0, Text::Method)?;
        line.text("host", self.0, Text::Host)?;
        line.text("path", self.0, Text::Path)?;
        line.text("query", self.0, Text::Query)?;
        // Absent when the client left before it was sent one.
        line.known("status", Some(record.status).filter(|status| *status != 0))?;
        line.text("function", self.0, Text::Function)?;
        line.known("version", record.version.as_ref().map(|version| version.as_str()))?;
        // Where it is another program.
        line.text("node", self.0, Text::Node)?;
        line.known("sandbox", account.map(|account| account.sandbox))?;
        line.known("start", account.map(|account| account.start.map_or("warm", |_| "cold")))?;
        // Sent on to the function, its head as it was rewritten included.
        line.put("bytes_in", &record.bytes_in)?;
        // Sent to the client, the head included.
        line.put("bytes_out", &record.bytes_out)?;
        // From the whole head to the last byte of the answer, or to the end of a web socket.
        line.put("duration_ms", &millis(record.total))?;
        line.known("first_byte_ms", record.first_byte.map(millis))?;
        // Of that, waiting for a slot, and for a sandbox to start.
        line.known("queue_ms", account.map(|account| millis(account.queue)))?;
        line.known("start_ms", account.and_then(|account| account.start).map(millis))?;
        line.text("user_agent", self.0, Text::UserAgent)?;
        // Where the platform answered in place of the function: the error as in `Proxy-Status` (RFC 9209).
        line.text("error", self.0, Text::Error)?;
        // Why it did, or why the answer was cut.
        line.text("reason", self.0, Text::Reason)?;
        // Where the answer is not whole.
        line.known(
            "ended",
            match record.ended {
                Ended::Whole => None,
                Ended::ClientLeft => Some("client-left"),
                Ended::Cut => Some("cut"),
            },
        )?;
        line.0.end()
    }
}

/// Requests that have no line.
struct Gap {
    now: SystemTime,
    dropped: u64,
}

impl Serialize for Gap {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut line = Fields(to.serialize_map(None)?);
        line.put("time", &time(self.now))?;
        line.put("message", "requests before this have no line")?;
        line.put("dropped", &self.dropped)?;
        line.0.end()
    }
}

struct Fields<M>(M);

impl<M: SerializeMap> Fields<M> {
    fn put<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), M::Error> {
        self.0.serialize_entry(name, value)
    }

    fn known<T: Serialize>(
        &mut self,
        name: &'static str,
        value: Option<T>,
    ) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.put(name, &value))
    }

    fn text(&mut self, name: &'static str, of: Recorded<'_>, which: Text) -> Result<(), M::Error> {
        self.known(name, of.text(which).map(String::from_utf8_lossy))
    }
}

fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// To the microsecond.
#[expect(clippy::cast_precision_loss, reason = "microseconds of 285 years are exact")]
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use hatchway_proto::http1::{Limits, parse_request};
    use hatchway_proto::name::{FunctionName, VersionId};
    use hatchway_wire::account::Account;
    use hatchway_wire::http1::{Cause, Outcome, Peer};
    use serde_json::{Value, json};

    use super::super::batch::Batch;
    use super::super::entry::Entry;
    use super::super::record::Over;
    use super::*;

    fn entry(head: &[u8], with_query: bool) -> Entry {
        let head = parse_request(head, &Limits::default()).unwrap().unwrap();
        let address = Some("::ffff:192.0.2.7".parse().unwrap());
        Entry::new(&head, Peer { address, ..Peer::default() }, with_query)
    }

    fn written(over: &Over<'_>) -> String {
        let mut batch = Batch::default();
        batch.add(over, SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_265_307_947));
        let mut out = Vec::new();
        batch.records().for_each(|recorded| write(&mut out, recorded));
        String::from_utf8(out).unwrap()
    }

    fn refused<'a>(entry: &'a Entry, outcome: &'a Outcome) -> Over<'a> {
        Over { entry, request_id: "r", function: None, version: None, account: None, outcome }
    }

    #[test]
    fn a_line_says_all_that_is_known() {
        let head = b"GET /a?b=c HTTP/1.1\r\nHost: a.test:80\r\nUser-Agent: curl/8\r\n\
            Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
        let mut entry = entry(head, true);
        entry.node = Some("unix:/run/node.sock".into());
        let millis = Duration::from_millis;
        let outcome = Outcome {
            status: 200,
            request_bytes: 10,
            response_bytes: 20,
            first_byte: Duration::from_micros(1234),
            total: millis(947),
            ..Outcome::default()
        };
        let line = written(&Over {
            entry: &entry,
            request_id: "r-1",
            function: Some(&FunctionName::parse("local/a").unwrap()),
            version: Some(VersionId::parse("0123456789abcdef").unwrap()),
            account: Some(Account { sandbox: 7, queue: millis(0), start: Some(millis(2)) }),
            outcome: &outcome,
        });
        let all = json!({
            "time": "2026-11-21T12:48:27.000Z", "request_id": "r-1",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "client": "192.0.2.7",
            "protocol": "HTTP/1.1", "tls": false, "method": "GET", "host": "a.test:80",
            "path": "/a", "query": "b=c", "status": 200, "function": "local/a",
            "version": "0123456789abcdef", "node": "unix:/run/node.sock", "sandbox": 7,
            "start": "cold", "bytes_in": 10, "bytes_out": 20, "duration_ms": 947.0,
            "first_byte_ms": 1.234, "queue_ms": 0.0, "start_ms": 2.0, "user_agent": "curl/8",
        });
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), all);
        assert!(line.starts_with(r#"{"time":"2026"#), "in their order: {line}");
    }

    #[test]
    fn no_value_breaks_a_line() {
        let head = b"GET /\"},{\"a?x={\"b\":1} HTTP/1.1\r\nHost: a\r\n\
            User-Agent: \"}\t\xff\xfe\xe2\x80\xa8\x7f{\\u0000\r\n\r\n";
        // A tab is all of the control bytes that a head may hold.
        let head = head.iter().copied().filter(|byte| *byte != 0x7f).collect::<Vec<_>>();
        let outcome = Outcome { status: 404, is_ours: true, ..Outcome::default() };
        let entry = entry(&head, true);
        let line = written(&refused(&entry, &outcome));
        assert_eq!(line.lines().count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["path"], "/\"},{\"a");
        assert_eq!(value["query"], "x={\"b\":1}");
        assert_eq!(value["user_agent"], "\"}\t\u{fffd}\u{fffd}\u{2028}{\\u0000");
        assert_eq!(value["status"], 404);
    }

    #[test]
    fn a_query_can_be_left_out_and_a_long_field_is_cut() {
        let head = format!("GET /a?b HTTP/1.0\r\nUser-Agent: {}\r\n\r\n", "x".repeat(4000));
        let entry = entry(head.as_bytes(), false);
        let outcome = Outcome { broken: Some(Cause::ClientGone), ..Outcome::default() };
        let value: Value = serde_json::from_str(&written(&refused(&entry, &outcome))).unwrap();
        assert_eq!(value["user_agent"].as_str().unwrap().len(), 1024);
        assert_eq!(
            (&value["ended"], &value["protocol"]),
            (&json!("client-left"), &json!("HTTP/1.0"))
        );
        for absent in ["query", "status", "host", "error", "reason", "sandbox", "first_byte_ms"] {
            assert!(value.get(absent).is_none(), "{value}");
        }
    }

    #[test]
    fn an_answer_that_was_cut_says_why() {
        let outcome = Outcome { status: 200, broken: Some(Cause::IdleClock), ..Outcome::default() };
        let entry = Entry::without_head(Peer::default());
        let value: Value = serde_json::from_str(&written(&refused(&entry, &outcome))).unwrap();
        assert_eq!((&value["ended"], &value["reason"]), (&json!("cut"), &json!("idle-clock")));
    }

    #[test]
    fn a_gap_is_told_with_its_size() {
        let mut out = Vec::new();
        write_gap(&mut out, SystemTime::UNIX_EPOCH, 12);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            (&value["time"], &value["dropped"]),
            (&json!("1970-01-01T00:00:00.000Z"), &json!(12))
        );
    }
}
