//! What a client may say about itself, and what the gateway says in its place.

use super::kit::{Edge, Message, Recorder, Reply, fields};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The request as the node sees it when a client sends these fields.
fn forwarded(lines: &str) -> Message {
    let recorder = Recorder::start();
    let edge = Edge::before(&recorder);
    let mut client = edge.client();
    let answer = client.ask(format!("GET /a HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
    assert_eq!(answer.status(), 200, "{}", answer.head);
    recorder.request()
}

#[test]
fn our_own_words_are_removed_in_every_spelling() {
    let spellings =
        ["hatchway-function", "Hatchway_Function", "HATCHWAY-TENANT", "hatchway.version"];
    let lines: String = spellings.iter().map(|name| format!("{name}: evil\r\n")).collect();
    let nominated = format!("{lines}Connection: hatchway-function, hatchway-version\r\n");
    for lines in [lines, nominated] {
        let request = forwarded(&lines);
        assert!(!request.head.contains("evil"), "{}", request.head);
        assert_eq!(request.field("hatchway-function"), Some("local/a"));
        assert_eq!(request.field("hatchway-version"), Some("0123456789abcdef"));
        assert_eq!(request.field("hatchway-tenant"), Some("local"));
    }
}

#[test]
fn fields_of_the_hop_before_end_here_and_what_connection_names() {
    let request = forwarded(
        "Connection: keep-alive, X-Secret\r\nX-Secret: evil\r\nKeep-Alive: evil\r\n\
         Proxy-Connection: evil\r\nProxy-Authorization: evil\r\nTE: evil\r\nUpgrade: evil\r\n\
         HTTP2-Settings: evil\r\nX-Kept: 1\r\n",
    );
    assert!(!request.head.contains("evil"), "{}", request.head);
    assert_eq!(request.field("connection"), Some("te"));
    assert_eq!(request.field("te"), Some("trailers"));
    assert_eq!(request.field("x-kept"), Some("1"));
}

#[test]
fn who_the_client_is_is_said_by_us_who_see_its_address() {
    let names = [
        "X-Forwarded-For",
        "x_forwarded_for",
        "X-Forwarded-Proto",
        "X_FORWARDED_PROTO",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
        "X-Forwarded-Scheme",
        "X-Forwarded-Ssl",
        "X-Forwarded-By",
        "Forwarded",
        "X-Real-IP",
        "x_real_ip",
    ];
    let lines: String = names.iter().map(|name| format!("{name}: evil\r\n")).collect();
    let request = forwarded(&lines);
    assert!(!request.head.contains("evil"), "{}", request.head);
    assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.field("x-forwarded-proto"), Some("http"));
}

#[test]
fn a_sane_request_id_is_kept_and_another_is_made_anew() {
    assert_eq!(forwarded("X-Request-Id: mine-1\r\n").field("x-request-id"), Some("mine-1"));
    let long = format!("X-Request-Id: {}\r\n", "x".repeat(129));
    for lines in ["", "X-Request-Id:\r\n", "X-Request-Id: a b\r\n", "X-Request-Id: a\"b\r\n", &long]
    {
        let request = forwarded(lines);
        let id = request.field("x-request-id").expect("it has an id");
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        assert_eq!(request.field("hatchway-request-id"), Some(id));
    }
}

#[test]
fn the_answer_names_the_request_whatever_the_function_says() {
    let recorder = Recorder::answering(|_| {
        Reply::raw("HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\n\r\n")
    });
    let edge = Edge::before(&recorder);
    let answer = edge.client().ask("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: mine\r\n\r\n");
    assert_eq!(fields(&answer.head, "x-request-id"), ["mine"]);
}

#[test]
fn a_trace_is_continued_where_it_is_one_and_begun_where_it_is_not() {
    let lines = format!("Traceparent: {TRACE}\r\nTracestate: a=b\r\n");
    let request = forwarded(&lines);
    assert_eq!(request.field("traceparent"), Some(TRACE));
    assert_eq!(request.field("tracestate"), Some("a=b"));
    for bad in ["", "traceparent: nonsense\r\ntracestate: a=b\r\n"] {
        let request = forwarded(bad);
        let begun = request.field("traceparent").expect("a trace is begun");
        assert!(begun.len() == TRACE.len() && begun.starts_with("00-"), "{begun}");
        assert_eq!(request.field("tracestate"), None);
    }
}

#[test]
fn the_function_is_told_its_deadline() {
    let since_epoch = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.expect("the clock is after 1970").as_millis()
    };
    let before = since_epoch();
    let request = forwarded("");
    let deadline = request.field("hatchway-deadline-ms").expect("it has a deadline");
    let deadline: u128 = deadline.parse().expect("a deadline is a number");
    assert!((before + 300_000..=since_epoch() + 300_000).contains(&deadline));
}

#[test]
fn our_words_in_an_answer_do_not_reach_the_client() {
    let recorder = Recorder::answering(|_| {
        Reply::raw(
            "HTTP/1.1 200 OK\r\nHatchway-Node: n\r\nhatchway_start: cold\r\nConnection: x-hop\r\n\
             X-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n",
        )
    });
    let edge = Edge::before(&recorder);
    let head = edge.client().ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").head.to_lowercase();
    assert!(head.contains("x-kept: 1\r\n"), "{head}");
    for gone in ["hatchway", "x-hop", "keep-alive"] {
        assert!(!head.contains(gone), "{gone} is in {head}");
    }
}

#[test]
fn a_head_at_the_limit_passes_with_what_we_add() {
    let room = 60_000;
    let recorder = Recorder::answering(move |_| {
        let head = |padding: usize| {
            let padding = "y".repeat(padding);
            format!("HTTP/1.1 200 OK\r\nX-Large: {padding}\r\nContent-Length: 0\r\n\r\n")
        };
        // As large as the head of a function's answer may be.
        Reply::raw(head(65_536 - head(0).len()))
    });
    let edge = Edge::before(&recorder);
    let large = "x".repeat(room);
    let answer =
        edge.client().ask(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Large: {large}\r\n\r\n"));
    assert_eq!(answer.status(), 200);
    assert_eq!(recorder.request().field("x-large").map(str::len), Some(room));
}
