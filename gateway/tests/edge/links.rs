//! What a gateway makes of what nodes say on their links.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;

use hatchway_gateway::forward::Node;
use hatchway_proto::link::cases;
use hatchway_proto::link::{Cancel, Frame, Refusal, Side};
use hatchway_wire::listen::Address;

use super::kit::script::{Peer, Said, play, play_at};
use super::kit::{Edge, Recorder, catalog};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

const REFUSAL: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 7\r\n\r\nrefused";

fn edge(nodes: &[SocketAddr]) -> Edge {
    Edge::start(nodes.to_vec(), Default::default(), catalog())
}

fn refuse(peer: &mut Peer, call: u64, elsewhere: bool) {
    let refusal = Refusal { elsewhere, reason: "no-room", answer: REFUSAL.as_bytes() };
    peer.send(&[Frame::Refused { call, refusal }]);
}

/// Refuses every call, and tells how often.
fn unwilling(elsewhere: bool) -> (SocketAddr, mpsc::Receiver<()>) {
    let (tell, told) = mpsc::channel();
    let address = play(move |peer| {
        while let Some(call) = peer.call() {
            refuse(peer, call, elsewhere);
            let _ = tell.send(());
        }
    });
    (address, told)
}

#[test]
fn a_node_that_dies_before_it_answers_is_502_and_nobody_else_is_asked() {
    let (tell, told) = mpsc::channel();
    let dying = || {
        let tell = tell.clone();
        play(move |peer| {
            if peer.call().is_some() {
                let _ = tell.send(());
            }
        })
    };
    let edge = edge(&[dying(), dying()]);
    let mut client = edge.client();
    // The request was whole, so its connection serves the next one.
    for _ in 0..3 {
        let answer = client.ask(GET);
        assert_eq!((answer.status(), answer.reason()), (502, "node-lost".to_owned()));
        assert_eq!(told.try_iter().count(), 1);
    }
}

#[test]
fn what_a_node_says_that_is_no_answer_is_502_and_its_link_goes_on() {
    for garbage in
        ["SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 101 A\r\n\r\n"]
    {
        let (tell, told) = mpsc::channel();
        let node = play(move |peer| {
            tell.send(()).expect("the test listens");
            while let Some(call) = peer.call() {
                peer.answer(call, garbage);
            }
        });
        let edge = edge(&[node]);
        let mut client = edge.client();
        for _ in 0..2 {
            let answer = client.ask(GET);
            assert_eq!((answer.status(), answer.reason()), (502, "bad-node-answer".to_owned()));
        }
        assert_eq!(told.try_iter().count(), 1, "one link served both");
    }
}

#[test]
fn a_refused_call_goes_to_another_node_with_all_of_its_body() {
    let recorder = Recorder::start();
    let (unwilling, refused) = unwilling(true);
    let body = "x".repeat(50_000);
    let request = format!("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n{body}");
    // Whichever is asked first: in one of these orders it is the unwilling one.
    for nodes in [[recorder.address, unwilling], [unwilling, recorder.address]] {
        let edge = edge(&nodes);
        let mut client = edge.client();
        for _ in 0..3 {
            assert_eq!(client.ask(&request).text(), "POST /a");
            assert!(recorder.request().body == body.as_bytes());
        }
    }
    // A node's place in the order is drawn from its address, so this may be none, but never half of a call.
    assert!(refused.try_iter().count() <= 6);
}

#[test]
fn when_all_refuse_the_last_answer_is_the_clients() {
    let nodes = [unwilling(true), unwilling(true), unwilling(true), unwilling(true)];
    let addresses: Vec<_> = nodes.iter().map(|(address, _)| *address).collect();
    let edge = edge(&addresses);
    let mut client = edge.client();
    let answer = client.ask(GET);
    assert_eq!((answer.status(), answer.text()), (503, "refused"));
    let asked: usize = nodes.iter().map(|(_, refused)| refused.try_iter().count()).sum();
    assert_eq!(asked, 3, "not all of four");
    assert_eq!(client.ask(GET).status(), 503, "the connection goes on");
}

#[test]
fn a_node_is_asked_to_refuse_rather_than_to_keep_waiting_while_there_are_others() {
    let (tell, told) = mpsc::channel();
    let unwilling = || {
        let tell = tell.clone();
        play(move |peer| {
            while let Some(said) = peer.next() {
                let Said::Call { call, is_choosy, .. } = said else { continue };
                let _ = tell.send(is_choosy);
                refuse(peer, call, true);
            }
        })
    };
    let choosy = |nodes: &[SocketAddr]| -> Vec<bool> {
        assert_eq!(edge(nodes).client().ask(GET).text(), "refused");
        told.try_iter().collect()
    };
    assert_eq!(choosy(&[unwilling(), unwilling()]), [true, false]);
    assert_eq!(choosy(&[unwilling(), unwilling(), unwilling()]), [true, true, false]);
    assert_eq!(choosy(&[unwilling()]), [false]);
}

#[test]
fn nodes_that_cannot_be_reached_do_not_count_as_asked() {
    let gone = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        listener.local_addr().expect("a listener has an address")
    };
    let recorder = Recorder::start();
    let edge = edge(&[gone(), gone(), gone(), gone(), recorder.address]);
    assert_eq!(edge.client().ask(GET).text(), "GET /");
}

#[test]
fn a_final_refusal_is_not_taken_to_another_node() {
    let nodes = [unwilling(false), unwilling(false)];
    let edge = edge(&[nodes[0].0, nodes[1].0]);
    let answer = edge.client().ask(GET);
    assert_eq!((answer.status(), answer.text()), (503, "refused"));
    let asked: usize = nodes.iter().map(|(_, refused)| refused.try_iter().count()).sum();
    assert_eq!(asked, 1);
}

#[test]
fn a_call_that_was_accepted_is_never_sent_again() {
    let recorder = Recorder::start();
    let accepting = play(|peer| {
        while let Some(call) = peer.call() {
            peer.send(&[Frame::Credit { call, bytes: 1 }]);
            refuse(peer, call, true);
        }
    });
    let edge = edge(&[accepting]);
    let answer = edge.client().ask(GET);
    assert_eq!((answer.status(), answer.reason()), (502, "node-lost".to_owned()));
    assert!(recorder.drain().is_empty());
}

#[test]
fn an_answer_that_is_cancelled_is_cut_and_the_link_goes_on() {
    let node = play(|peer| {
        while let Some(call) = peer.call() {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
            peer.send(&[
                Frame::Data { call, end: false, bytes: head },
                Frame::Cancel { call, reason: Cancel::Cut },
            ]);
        }
    });
    let edge = edge(&[node]);
    for _ in 0..2 {
        let mut client = edge.client();
        client.send(GET);
        let mut head = client.head();
        assert_eq!(head.status(), 200);
        assert_eq!(client.broken_body(&mut head), ErrorKind::UnexpectedEof);
        assert_eq!(head.body, b"hello", "what came is passed on");
    }
    let cut = r#"gateway_failures_total{function="local/a",reason="cut-short"}"#;
    assert_eq!(edge.metric(cut), 2.0);
}

#[test]
fn a_client_that_leaves_cancels_its_call_and_no_other() {
    let (tell, told) = mpsc::channel();
    let node = play(move |peer| {
        let first = peer.call().expect("the link is there once this is answered");
        peer.answer(first, "HTTP/1.1 204 No Content\r\n\r\n");
        let (first, second) = (peer.call().expect("one"), peer.call().expect("another"));
        tell.send(None).expect("the test listens");
        tell.send(peer.next()).expect("the test listens");
        peer.answer(second, "HTTP/1.1 204 No Content\r\n\r\n");
        assert!(first < second);
        assert_eq!(peer.next(), None);
    });
    let edge = edge(&[node]);
    let mut leaving = edge.client();
    assert_eq!(leaving.ask(GET).status(), 204);
    leaving.send(GET);
    // Counted once it is on its way.
    while edge.metric(r#"gateway_requests_in_flight{function="local/a"}"#) < 1.0 {
        std::thread::yield_now();
    }
    let mut staying = edge.client();
    staying.send(GET);
    assert_eq!(told.recv().expect("both are there"), None);
    drop(leaving);
    let said = told.recv().expect("the node hears of it");
    assert_eq!(said, Some(Said::Cancel { call: 2, reason: Cancel::Left }));
    assert_eq!(staying.answer().status(), 204);
}

#[test]
fn a_node_that_drains_finishes_its_calls_and_gets_no_more_on_that_link() {
    let (tell, told) = mpsc::channel();
    let node = play(move |peer| {
        let Some(call) = peer.call() else { return };
        peer.send(&[Frame::Drain { heir: false }]);
        peer.answer(call, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        // The gateway closes when its last call is over, and connects again for the next.
        tell.send(peer.next()).expect("the test listens");
    });
    let edge = edge(&[node]);
    let mut client = edge.client();
    for _ in 0..3 {
        assert_eq!(client.ask(GET).text(), "ok");
        assert_eq!(told.recv().expect("the link ends"), None);
    }
}

#[test]
fn what_a_node_refuses_that_hands_over_is_offered_to_the_process_that_takes_its_place() {
    let node = play(move |peer| {
        let Some(call) = peer.call() else { return };
        peer.answer(call, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let Some(call) = peer.call() else { return };
        peer.send(&[Frame::Drain { heir: true }]);
        refuse(peer, call, true);
        assert_eq!(peer.next(), None, "the gateway closes when its last call is over");
    });
    let edge = edge(&[node]);
    let mut client = edge.client();
    // Far more than may be offered again elsewhere.
    for _ in 0..300 {
        let answer = client.ask(GET);
        assert_eq!((answer.status(), answer.text()), (200, "ok"));
    }
}

#[test]
fn a_node_that_breaks_the_rules_is_told_which_and_the_next_link_is_a_good_one() {
    let cases: Vec<_> = cases::all().into_iter().filter(|case| case.to == Side::Gateway).collect();
    let count = cases.len();
    let (tell, told) = mpsc::channel();
    let number = std::sync::atomic::AtomicUsize::new(0);
    let node = play(move |peer| {
        let Some(call) = peer.call() else { return };
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let Some(case) = cases.get(number) else {
            return peer.answer(call, "HTTP/1.1 204 No Content\r\n\r\n");
        };
        // Its first frame is a greeting, which has been.
        let (_, greeting) = Frame::decode(&case.bytes).expect("it is sound").expect("it is whole");
        peer.send_raw(&case.bytes[greeting..]);
        let said = peer.next();
        let expected = Some(Said::Error { code: case.answer.code() });
        tell.send((case.claim, said == expected, peer.next().is_none())).expect("the test listens");
    });
    let edge = edge(&[node]);
    let mut client = edge.client();
    for _ in 0..count {
        let answer = client.ask(GET);
        assert_eq!((answer.status(), answer.reason()), (502, "node-lost".to_owned()));
        let (claim, is_told, is_closed) = told.recv().expect("the node hears of it");
        assert!(is_told && is_closed, "{claim}");
    }
    assert_eq!(client.ask(GET).status(), 204);
}

#[test]
fn a_link_from_before_it_was_known_who_is_meant_goes_when_that_is_somebody_else() {
    let node = play(|peer| {
        while let Some(call) = peer.call() {
            peer.answer(call, "HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let edge = edge(&[node]);
    let mut client = edge.client();
    assert_eq!(client.ask(GET).status(), 204);
    let somebody_else = Some(u128::MAX);
    edge.fleet.set(vec![Node { instance: somebody_else, ..Node::at(Address::Tcp(node)) }]);
    // Requests hear of it a moment later.
    loop {
        let answer = client.ask(GET);
        if answer.status() != 204 {
            return assert_eq!(answer.reason(), "no-node");
        }
    }
}

#[test]
fn a_node_of_which_more_becomes_known_while_it_is_connected_to_is_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("a listener has an address");
    let edge = edge(&[address]);
    let mut first = edge.client();
    first.send(GET);
    let (stream, _) = listener.accept().expect("the gateway connects, and waits for a greeting");
    edge.fleet.set(vec![Node { instance: Some(1), ..Node::at(Address::Tcp(address)) }]);
    // This one sees the change, and waits as well.
    let mut second = edge.client();
    second.send(GET);
    while edge.metric(r#"gateway_requests_in_flight{function="local/a"}"#) < 2.0 {
        std::thread::yield_now();
    }
    play_at(listener, Some(stream), |peer| {
        while let Some(call) = peer.call() {
            peer.answer(call, "HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    assert_eq!([first.answer().status(), second.answer().status()], [204, 204]);
}
