//! Every answer that the gateway makes itself says who failed, why, and for which request.

use std::sync::Arc;

use super::kit::{Answer, Edge, Recorder};

/// What every failure carries.
fn check(answer: &Answer, status: u16, error: &str, reason: &str) {
    assert_eq!(answer.status(), status, "{}", answer.head);
    let expected = format!("hatchway; error={error}; details=\"{reason}\"");
    assert_eq!(answer.field("proxy-status"), Some(expected.as_str()));
    let problem = answer.problem();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["reason"], reason);
    assert_eq!(problem["component"], "gateway");
    assert_eq!(problem["instance"].as_str(), answer.field("x-request-id"));
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
}

#[test]
fn no_route_is_404_and_the_connection_goes_on() {
    let recorder = Recorder::start();
    let mut objects = super::kit::catalog();
    objects.routes = std::iter::once("elsewhere")
        .map(|name| (Arc::from(name), objects.routes[name].clone()))
        .collect();
    let edge = Edge::start(vec![recorder.address], Default::default(), objects);
    let mut client = edge.client();
    for target in ["/", "/a", "/a/../b", "/%61", "//a"] {
        let answer =
            client.ask(format!("GET {target} HTTP/1.1\r\nHost: h\r\nX-Request-Id: i\r\n\r\n"));
        check(&answer, 404, "destination_not_found", "no-route");
        assert_eq!(answer.field("x-request-id"), Some("i"));
    }
    let answer = client.ask("GET /a HTTP/1.1\r\nHost: only-a.example\r\n\r\n");
    assert_eq!(answer.text(), "GET /a");
    assert_eq!(edge.metric(r#"gateway_refusals_total{reason="no-route"}"#), 5.0);
}

#[test]
fn no_release_is_404() {
    let recorder = Recorder::start();
    let edge = Edge::before(&recorder);
    let answer = edge.client().ask("GET /unreleased HTTP/1.1\r\nHost: h\r\n\r\n");
    check(&answer, 404, "destination_not_found", "no-release");
}

#[test]
fn over_the_rate_is_429_and_says_when_to_try_again() {
    let recorder = Recorder::start();
    let edge = Edge::before(&recorder);
    let mut client = edge.client();
    let request = "GET /limited HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(client.ask(request).status(), 200);
    let answer = client.ask(request);
    check(&answer, 429, "http_request_denied", "rate-limited");
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_eq!(client.ask("GET /other HTTP/1.1\r\nHost: h\r\n\r\n").status(), 200);
}

#[test]
fn without_a_node_it_is_503_and_says_when_to_try_again() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let edge = Edge::start(vec![gone], Default::default(), super::kit::catalog());
    let mut client = edge.client();
    for _ in 0..2 {
        let answer = client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        check(&answer, 503, "destination_unavailable", "no-node");
        assert_eq!(answer.field("retry-after"), Some("1"));
    }
    let failures = r#"gateway_failures_total{function="local/a",reason="no-node"}"#;
    assert_eq!(edge.metric(failures), 2.0);
}

#[test]
fn to_head_a_failure_is_its_head_alone() {
    let recorder = Recorder::start();
    let edge = Edge::before(&recorder);
    let mut client = edge.client();
    client.send("HEAD /unreleased HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status(), 404);
    assert_ne!(head.field("content-length"), Some("0"));
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n").text(), "GET /");
}

#[test]
fn a_failure_before_the_body_was_read_ends_the_connection() {
    let recorder = Recorder::start();
    let edge = Edge::before(&recorder);
    let mut client = edge.client();
    client.send(
        "POST /unreleased HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nGET / HTTP/1.1\r\n",
    );
    let answer = client.answer();
    check(&answer, 404, "destination_not_found", "no-release");
    assert_eq!(answer.field("connection"), Some("close"));
    client.is_closed();
    assert!(recorder.drain().is_empty());
}

#[test]
fn a_malformed_head_is_named_and_counted() {
    let recorder = Recorder::start();
    let edge = Edge::before(&recorder);
    let mut client = edge.client();
    let answer = client.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    check(&answer, 400, "http_request_error", "repeated-host");
    client.is_closed();
    assert_eq!(edge.metric("gateway_bad_heads_total"), 1.0);
}
