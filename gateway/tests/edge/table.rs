//! Every row of the table of raw requests, sent to the real gateway: nothing ambiguous reaches the node, nothing
//! is served twice, and the next request on a connection that survives gets its own answer.

use hatchway_proto::http1::cases::{self, Case};
use hatchway_proto::http1::{BodyDecoder, Limits, parse_request};

use super::kit::reader::ambiguities;
use super::kit::{Client, Edge, Message, Recorder, Seen, fields};

/// What the gateway adds, and with what it replaces what a client has sent under these names.
const OURS: [&str; 5] =
    ["connection", "te", "hatchway-function", "hatchway-request-id", "hatchway-version"];

#[test]
fn every_row_of_the_table() {
    let recorder = Recorder::start();
    let edge = Edge::before(&recorder);
    for case in cases::read(cases::REQUESTS) {
        Row { case: &case, edge: &edge, recorder: &recorder, client: edge.client() }.run();
    }
    // Nothing was on its way to the node while a row was thought to be over.
    edge.client().ask("GET /the-end HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(recorder.request().words()[1], "/the-end");
    assert!(recorder.drain().is_empty());
}

struct Row<'t> {
    case: &'t Case,
    edge: &'t Edge,
    recorder: &'t Recorder,
    client: Client,
}

impl Row<'_> {
    fn name(&self) -> String {
        format!("line {}, {}", self.case.line, self.case.claim)
    }

    fn run(mut self) {
        // Shown when the row fails.
        println!("{}", self.name());
        match self.case.word(0) {
            "more" => self.more(),
            "body" => self.body_refused(),
            "ok" if self.case.word(2) == "*" => self.refused(404, "no-route", true),
            "ok" => self.taken(),
            _ if self.case.word(1) == "http2-preface" => self.other_version(),
            status => {
                let status = status.parse().expect("a row begins with a status");
                let reason = self.case.word(1).to_owned();
                self.refused(status, &reason, false);
            }
        }
        let left = self.recorder.drain();
        assert!(left.is_empty(), "{}: the node has seen {left:?}", self.name());
    }

    /// Neither whole nor wrong: nothing is answered, nothing is forwarded.
    fn more(&mut self) {
        self.client.send(&self.case.bytes);
        self.client.shutdown();
        assert_eq!(self.client.rest(), b"", "{}", self.name());
    }

    /// The newer version is offered on the same port. Its preface alone is no request.
    fn other_version(&mut self) {
        self.client.send(&self.case.bytes);
        self.client.shutdown();
        assert!(!self.client.rest().starts_with(b"HTTP/1"), "{}", self.name());
    }

    fn refused(&mut self, status: u16, reason: &str, stays: bool) {
        // The gateway may have answered and closed before all of a large head is sent.
        let _ = self.client.try_send(&self.case.bytes);
        let answer = self.client.answer();
        let told = (answer.status(), answer.reason());
        assert_eq!(told, (status, reason.to_owned()), "{}", self.name());
        let status = answer.field("proxy-status").expect("a failure says who failed");
        assert!(status.contains(&format!("details=\"{reason}\"")), "{}: {status}", self.name());
        assert!(answer.field("x-request-id").is_some(), "{}", self.name());
        if !stays {
            assert_eq!(answer.field("connection"), Some("close"), "{}", self.name());
            assert_eq!(self.client.rest(), b"", "{}", self.name());
        }
    }

    /// The node never sees the end of the body, and nothing at all when head and error came in one piece.
    fn body_refused(&mut self) {
        let forwarded = || self.edge.metric(r#"gateway_request_bytes_total{function="local/a"}"#);
        // Whatever came before is over and counted once the gateway's only core answers this.
        self.client.ask("GET /unreleased HTTP/1.1\r\nHost: a\r\n\r\n");
        let before = forwarded();
        let _ = self.client.try_send(&self.case.bytes);
        let answer = self.client.answer();
        let told = (answer.status().to_string(), answer.reason());
        let said = (self.case.word(1).to_owned(), self.case.word(2).to_owned());
        assert_eq!(told, said, "{}", self.name());
        assert_eq!(answer.field("connection"), Some("close"), "{}", self.name());
        assert_eq!(self.client.rest(), b"", "{}", self.name());
        // Counted before the connection ends, which has been seen.
        if forwarded() > before {
            let begun = [self.recorder.next(), self.recorder.next()];
            let [Seen::Head(head), Seen::Cut(_)] = &begun else {
                panic!("{}: the node has seen {begun:?}", self.name())
            };
            assert_eq!(ambiguities(head), [""; 0], "{}", self.name());
        }
    }

    fn taken(&mut self) {
        let bytes = &self.case.bytes;
        let head = parse_request(bytes, &Limits::default());
        let head = head.expect("the row is ok").expect("and whole");
        let mut body = BodyDecoder::new(head.framing);
        let used = body.advance(&bytes[head.len..]).expect("the row is ok");
        let has_more = bytes.len() > head.len + used;
        self.client.send(bytes);
        if self.case.says("continue") {
            assert_eq!(self.client.answer().status(), 100, "{}", self.name());
            let is_chunked = self.case.word(4) == "chunked";
            self.client.send(if is_chunked { "5\r\nhello\r\n0\r\n\r\n" } else { "hello" });
        } else if !body.is_done() {
            return self.left_in_the_middle();
        }
        let request = self.recorder.request();
        self.compare(&request);
        let answer = self.client.answer();
        let target = format!("{} {}", self.case.word(1), self.case.word(2));
        assert_eq!((answer.status(), answer.text()), (200, target.as_str()), "{}", self.name());
        self.afterwards(&answer, has_more);
    }

    /// The client leaves before its body is whole: the node sees that.
    fn left_in_the_middle(&mut self) {
        let Seen::Head(head) = self.recorder.next() else {
            panic!("{}: a request without a head", self.name())
        };
        self.client.shutdown();
        assert_eq!(self.client.rest(), b"", "{}", self.name());
        let Seen::Cut(message) = self.recorder.next() else {
            panic!("{}: a body that never ended is whole", self.name())
        };
        assert_eq!(head, message.head);
        self.compare(&message);
    }

    /// What the node has seen is what the row says, and plain.
    fn compare(&self, request: &Message) {
        let case = self.case;
        assert_eq!(ambiguities(&request.head), [""; 0], "{}", self.name());
        let words = [case.word(1), case.word(2), "HTTP/1.1"];
        assert_eq!(request.words(), words, "{}", self.name());
        let host = if case.word(3) == "-" { "" } else { case.word(3) };
        assert_eq!(request.field("host"), Some(host), "{}", self.name());
        if !case.says("continue") {
            let data = case.value("data").unwrap_or_default();
            assert_eq!(request.body, data, "{}", self.name());
        }
        let trailers = case.value("trailers").unwrap_or_default();
        assert_eq!(request.trailers.as_bytes(), trailers, "{}", self.name());
        for shown in &case.shown {
            let line: String = shown.iter().copied().map(char::from).collect();
            let line = format!("{line}\r\n");
            let has =
                request.head.starts_with(&line) || request.head.contains(&format!("\r\n{line}"));
            let is_empty =
                line.strip_suffix(":\r\n").is_some_and(|name| request.field(name) == Some(""));
            assert!(has || is_empty, "{}: {line:?} is not in {}", self.name(), request.head);
        }
        for hidden in &case.hidden {
            let found = fields(&request.head, hidden);
            let is_ours = OURS.contains(&hidden.as_str()) && found.len() == 1;
            assert!(
                found.is_empty() || is_ours,
                "{}: {hidden} is in {}",
                self.name(),
                request.head
            );
        }
        assert_eq!(request.field("hatchway-function"), Some("local/a"), "{}", self.name());
        let asked = if case.value("upgrade") == Some(b"websocket") { "upgrade, te" } else { "te" };
        assert_eq!(request.field("connection"), Some(asked), "{}", self.name());
    }

    /// The connection ends where it should, and where it does not, the next request gets its own answer.
    fn afterwards(&mut self, answer: &Message, has_more: bool) {
        let is_upgrade = self.case.value("upgrade") == Some(b"websocket");
        let closes = self.case.says("close") || (is_upgrade && has_more);
        // A client of 1.0 closes unless it is told otherwise.
        let is_10 = self.case.bytes.windows(8).any(|eight| eight == b"HTTP/1.0");
        let told = match (is_10, closes) {
            (true, false) => Some("keep-alive"),
            (false, true) => Some("close"),
            (true, true) | (false, false) => None,
        };
        assert_eq!(answer.field("connection"), told, "{}", self.name());
        if closes || has_more {
            // What follows is the beginning of another request, which never ends.
            self.client.shutdown();
            let rest = self.client.rest();
            assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}: {rest:?}", self.name());
            return;
        }
        let next = format!("/next-{}", self.case.line);
        let answer = self.client.ask(format!("GET {next} HTTP/1.1\r\nHost: next\r\n\r\n"));
        assert_eq!(answer.text(), format!("GET {next}"), "{}", self.name());
        assert_eq!(self.recorder.request().words()[1], next, "{}", self.name());
    }
}
