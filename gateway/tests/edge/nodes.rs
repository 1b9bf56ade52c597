//! Nodes and functions that fail: another one is asked while nothing was started, and the client sees what was cut.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::kit::recorder::Then;
use super::kit::{Edge, Recorder, Reply, Seen, catalog};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Where nobody listens.
fn gone() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("a listener has an address")
}

#[test]
fn a_node_that_refuses_connections_rests_and_another_one_is_asked() {
    let recorder = Recorder::start();
    // Whichever of these is the version's first choice, the one that listens answers.
    let nodes = vec![gone(), recorder.address, gone()];
    let edge = Edge::start(nodes, Default::default(), catalog());
    for _ in 0..5 {
        assert_eq!(edge.client().ask(GET).text(), "GET /");
    }
    let seen = recorder.drain();
    assert_eq!(seen.iter().filter(|seen| matches!(seen, Seen::Whole(_))).count(), 5);
}

#[test]
fn a_function_that_closes_after_each_answer_is_connected_to_again() {
    let recorder = Recorder::answering(|_| Reply::ok("ok").then(Then::Close));
    let edge = Edge::before(&recorder);
    let mut client = edge.client();
    for _ in 0..20 {
        assert_eq!(client.ask(GET).text(), "ok");
        recorder.request();
        assert_eq!(recorder.next(), Seen::Closed);
    }
}

#[test]
fn a_function_that_dies_in_its_answer_cuts_the_client_visibly() {
    for (answer, then) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Then::Close),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", Then::Reset),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Then::Close),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Then::Reset),
    ] {
        let recorder = Recorder::answering(move |_| Reply::raw(answer).then(then));
        let edge = Edge::before(&recorder);
        let mut client = edge.client();
        client.send(GET);
        let mut head = client.head();
        assert_eq!(head.status(), 200);
        assert_eq!(client.broken_body(&mut head), ErrorKind::UnexpectedEof);
        assert!(head.body == b"hello" || then == Then::Reset, "what came is passed on");
    }
}

#[test]
fn an_answer_that_is_cut_and_only_ends_with_its_connection_is_reset() {
    let recorder = Recorder::answering(|_| {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        Reply::raw(answer).then(Then::Close)
    });
    let edge = Edge::before(&recorder);
    let mut client = edge.client();
    client.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    client.head();
    let error = client.end_of_answer().expect_err("an end would look like a whole answer");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn bytes_behind_an_answer_never_become_the_answer_of_somebody_else() {
    let recorder = Recorder::answering(|request| {
        let target = request.words()[1].to_owned();
        let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
        let honest = Reply::ok(&target);
        Reply::raw([honest.bytes.as_slice(), forged.as_bytes()].concat())
    });
    let edge = Edge::before(&recorder);
    for number in 0..20 {
        let target = format!("/{number}");
        let answer = edge.client().ask(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(answer.text(), target);
    }
}

#[test]
fn nothing_is_in_flight_once_everybody_has_left() {
    let recorder = Recorder::answering(|_| Reply::raw("HTTP/1.1 103 Early Hints\r\n\r\n"));
    let edge = Edge::before(&recorder);
    let in_flight = r#"gateway_requests_in_flight{function="local/a"}"#;
    let mut clients: Vec<_> = (0..5).map(|_| edge.client()).collect();
    for client in &mut clients {
        client.send(GET);
        assert_eq!(client.head().status(), 103);
    }
    assert_eq!(edge.metric(in_flight), 5.0);
    for client in &mut clients {
        client.shutdown();
        client.is_closed();
    }
    assert_eq!(edge.metric(in_flight), 0.0);
    let left = r#"gateway_requests_total{class="left",function="local/a"}"#;
    assert_eq!(edge.metric(left), 5.0);
}
