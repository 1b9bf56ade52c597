//! Copies of requests: what the shadow gets, and what its client does not notice.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use hatchway_gateway::accept::Door;
use serde_json::{Value, json};

use super::kit::{Edge, GUARD, Recorder, Reply, catalog};

const SHADOW: &str = "00000000000000aa";

/// A gateway in which `local/a` has a mirror.
fn edge(node: &Recorder, mirror: &Value) -> Edge {
    let mut objects = serde_json::to_value(catalog()).expect("objects are JSON");
    objects["versions"][SHADOW] = objects["versions"]["0123456789abcdef"].clone();
    objects["releases"]["local/a"]["mirror"] = mirror.clone();
    objects["functions"]["local/a"]["rate_per_second"] = json!(100);
    let objects = serde_json::from_value(objects).expect("the catalog is one");
    Edge::start(vec![node.address], Door::default(), objects)
}

/// Waits until so many copies have come to this end.
fn mirrored(edge: &Edge, result: &str, count: f64) {
    let series = format!("gateway_mirrored_total{{function=\"local/a\",result=\"{result}\"}}");
    let begun = Instant::now();
    while edge.metric(&series) < count {
        assert!(begun.elapsed() < GUARD, "{series} is {}", edge.metric(&series));
        std::thread::yield_now();
    }
    assert_eq!(edge.metric(&series), count, "{series}");
}

#[test]
fn a_shadow_gets_the_same_request_and_its_answer_is_thrown_away() {
    let recorder = Recorder::answering(|request| match request.field("hatchway-mirror") {
        None => Reply::ok("main"),
        Some(_) => Reply::raw("HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nshadow"),
    });
    let edge = edge(&recorder, &json!({"version": SHADOW}));
    let mut client = edge.client();
    for (framing, body) in [
        ("Content-Length: 3\r\n", "abc"),
        ("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n1\r\nc\r\n0\r\nx-sum: 1\r\n\r\n"),
        ("", ""),
    ] {
        let request =
            format!("POST /p?q HTTP/1.1\r\nHost: h\r\nX-Request-Id: mine\r\n{framing}\r\n{body}");
        assert_eq!(client.ask(request).text(), "main");
        let (main, shadow) = (recorder.request(), recorder.request());
        assert_eq!(main.field("hatchway-mirror"), None);
        assert_eq!(main.field("hatchway-version"), Some("0123456789abcdef"));
        assert_eq!(shadow.field("hatchway-mirror"), Some("1"));
        assert_eq!(shadow.field("hatchway-version"), Some(SHADOW));
        assert_eq!((shadow.words(), &shadow.body), (main.words(), &main.body));
        assert_eq!(
            (shadow.field("x-request-id"), &shadow.trailers),
            (Some("mine"), &main.trailers)
        );
        assert!(shadow.field("hatchway-deadline-ms").is_some(), "{}", shadow.head);
    }
    mirrored(&edge, "5xx", 3.0);
    assert_eq!(edge.metric(r#"gateway_requests_total{class="2xx",function="local/a"}"#), 3.0);
    assert_eq!(edge.metric(r#"gateway_requests_total{class="5xx",function="local/a"}"#), 0.0);
}

#[test]
fn a_body_beyond_the_bound_is_not_copied_and_arrives_all_the_same() {
    let recorder = Recorder::start();
    let edge = edge(&recorder, &json!({"version": SHADOW, "max_body_bytes": 1000}));
    let mut client = edge.client();
    let post = |length: usize| {
        let body = "x".repeat(length);
        format!("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    assert_eq!(client.ask(post(300_000)).text(), "POST /a");
    assert_eq!(recorder.request().body.len(), 300_000);
    mirrored(&edge, "too-long", 1.0);
    assert_eq!(client.ask(post(1000)).text(), "POST /a");
    mirrored(&edge, "2xx", 1.0);
    assert_eq!((recorder.request().body.len(), recorder.request().body.len()), (1000, 1000));
}

#[test]
fn a_shadow_that_hangs_loses_copies_and_nobody_waits_for_it() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let held = Arc::clone(&gate);
    let recorder = Recorder::answering(move |request| {
        if request.field("hatchway-mirror").is_some() {
            let (is_open, opened) = &*held;
            let is_open = is_open.lock().expect("nobody panics with it");
            drop(opened.wait_while(is_open, |is_open| !*is_open).expect("nobody panics with it"));
        }
        Reply::ok("done")
    });
    let edge = edge(&recorder, &json!({"version": SHADOW}));
    let mut client = edge.client();
    for _ in 0..70 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").text(), "done");
    }
    mirrored(&edge, "busy", 6.0);
    *gate.0.lock().expect("nobody panics with it") = true;
    gate.1.notify_all();
    mirrored(&edge, "2xx", 64.0);
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").text(), "done");
    mirrored(&edge, "2xx", 65.0);
}

#[test]
fn an_empty_share_makes_no_copies() {
    let recorder = Recorder::start();
    let edge = edge(&recorder, &json!({"version": SHADOW, "basis_points": 0}));
    let mut client = edge.client();
    for _ in 0..20 {
        client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(recorder.request().field("hatchway-mirror"), None);
    }
    assert!(recorder.drain().is_empty());
}
