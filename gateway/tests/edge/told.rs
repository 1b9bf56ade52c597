//! Heads of answers that a node has told of: passed on as they are where the client may have them so, read where not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hatchway_proto::http1::Framing;
use hatchway_proto::link::{AnswerHead, Cancel, Frame, LoadSummary, Refusal};

use super::kit::script::{Peer, Said, play};
use super::kit::{Edge, catalog};

/// Written in a way that nobody who parses it would write again.
const HEAD: &str = "HTTP/1.1 200 Fine\r\nX-Odd:   as it came\r\nx-request-id: theirs\r\n";

fn edge(node: SocketAddr) -> Edge {
    Edge::start(vec![node], Default::default(), catalog())
}

fn tell(peer: &mut Peer, call: u64, framing: Framing, bytes: &str, end: bool) {
    let head_bytes = bytes.find("\r\n\r\n").expect("it has a head") + 4;
    let about = AnswerHead { status: 200, framing, head_bytes };
    peer.send(&[Frame::Answer { call, end, about, bytes: bytes.as_bytes() }]);
}

/// Answers every call with a body of two bytes.
fn node() -> SocketAddr {
    play(|peer| {
        while let Some(call) = peer.call() {
            let answer = format!("{HEAD}Content-Length: 2\r\n\r\nok");
            tell(peer, call, Framing::Length(2), &answer, true);
        }
    })
}

#[test]
fn a_client_whose_connection_stays_reads_what_the_node_has_written() {
    let edge = edge(node());
    let mut client = edge.client();
    for _ in 0..3 {
        let answer = client.ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(answer.head, format!("{HEAD}Content-Length: 2\r\n\r\n"));
        assert_eq!(answer.text(), "ok");
    }
    // A connection's next request is read once the one before is over.
    let counted = edge.metric("gateway_requests_total{class=\"2xx\",function=\"local/a\"}");
    assert!(counted >= 2.0, "{counted}");
}

#[test]
fn another_client_reads_what_is_right_for_it() {
    let edge = edge(node());
    for request in [
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    ] {
        let answer = edge.client().ask(request);
        assert!(answer.field("connection").is_some(), "{answer:?}");
        assert_eq!(answer.field("x-odd"), Some("as it came"));
        assert_ne!(answer.field("x-request-id"), Some("theirs"));
        assert_eq!(answer.text(), "ok");
    }
}

#[test]
fn what_follows_in_other_frames_belongs_to_it() {
    let edge = edge(play(|peer| {
        while let Some(call) = peer.call() {
            let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
            peer.send(&[Frame::Data { call, end: false, bytes: hints }]);
            let answer = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n");
            tell(peer, call, Framing::Chunked, &answer, false);
            peer.send(&[Frame::Data { call, end: false, bytes: b"a\r\n2\r" }]);
            peer.send(&[Frame::Data { call, end: true, bytes: b"\nbc\r\n0\r\nX-Sum: 3\r\n\r\n" }]);
        }
    }));
    let mut client = edge.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.head().status(), 103);
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text()), (200, "abc"));
}

#[test]
fn an_answer_that_ends_too_early_is_cut() {
    let edge = edge(play(|peer| {
        while let Some(call) = peer.call() {
            let answer = format!("{HEAD}Content-Length: 3\r\n\r\nok");
            tell(peer, call, Framing::Length(3), &answer, true);
        }
    }));
    let mut client = edge.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut answer = client.head();
    assert_eq!(answer.status(), 200);
    client.broken_body(&mut answer);
}

#[test]
fn a_second_one_ends_its_call_and_no_other() {
    let (report, reported) = std::sync::mpsc::channel();
    let edge = edge(play(move |peer| {
        while let Some(call) = peer.call() {
            let answer = format!("{HEAD}Content-Length: 99\r\n\r\nok");
            tell(peer, call, Framing::Length(99), &answer, false);
            tell(peer, call, Framing::Length(99), &answer, false);
            let said = peer.next();
            let _ = report.send(said == Some(Said::Cancel { call, reason: Cancel::Protocol }));
        }
    }));
    for _ in 0..2 {
        let mut client = edge.client();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut answer = client.head();
        client.broken_body(&mut answer);
        assert_eq!(reported.recv_timeout(Duration::from_secs(60)), Ok(true));
    }
}

#[test]
fn a_node_is_told_when_the_client_stops_waiting() {
    let (report, reported) = std::sync::mpsc::channel();
    let edge = edge(play(move |peer| {
        while let Some(Said::Call { call, deadline_ms, .. }) = peer.next() {
            let _ = report.send(deadline_ms);
            peer.answer(call, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    }));
    let ask = |fields: &str| {
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n{fields}\r\n");
        edge.client().ask(head);
        reported.recv_timeout(Duration::from_secs(60)).expect("a call came")
    };
    assert_eq!(ask(""), None);
    let grpc = "Content-Type: application/grpc\r\nTE: trailers\r\n";
    assert_eq!(ask(grpc), None);
    let left = ask(&format!("{grpc}grpc-timeout: 60S\r\n")).expect("the client has said so");
    assert!((1..=60_000).contains(&left.get()), "{left}");
}

#[test]
fn what_is_left_is_counted_anew_for_another_node() {
    let (report, reported) = std::sync::mpsc::channel();
    let is_first = Arc::new(AtomicBool::new(true));
    let node = || {
        let (report, is_first) = (report.clone(), Arc::clone(&is_first));
        play(move |peer| {
            while let Some(Said::Call { call, deadline_ms, .. }) = peer.next() {
                let _ = report.send(deadline_ms.expect("the client has said so"));
                if is_first.swap(false, Ordering::Relaxed) {
                    let refusal = Refusal { elsewhere: true, reason: "no-room", answer: b"" };
                    peer.send(&[Frame::Refused { call, refusal }]);
                } else {
                    peer.answer(call, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                }
            }
        })
    };
    let edge = Edge::start(vec![node(), node()], Default::default(), catalog());
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nTE: trailers\r\n\
                Content-Type: application/grpc\r\ngrpc-timeout: 60S\r\n\r\n";
    assert_eq!(edge.client().ask(head).status(), 200);
    let left: Vec<_> = reported.try_iter().collect();
    assert!(left.len() == 2 && left[0] >= left[1] && left[0].get() <= 60_000, "{left:?}");
}

#[test]
fn how_full_a_node_is_can_be_seen() {
    let node = play(|peer| {
        let load =
            LoadSummary { in_flight: 3, room: 5, waiting: 7, used_permille: 9, is_draining: false };
        peer.send(&[Frame::Load(load)]);
        while let Some(call) = peer.call() {
            peer.answer(call, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let edge = edge(node);
    edge.client().ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let of_node = |name: &str| edge.metric(&format!("gateway_node_{name}{{node=\"{node}\"}}"));
    let seen =
        ["up", "requests_in_flight", "room", "requests_waiting", "used_permille", "draining"]
            .map(of_node);
    assert_eq!(seen, [1.0, 3.0, 5.0, 7.0, 9.0, 0.0]);
}
