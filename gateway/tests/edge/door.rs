//! Limits at the door, and its closing.

use hatchway_gateway::accept::Door;

use super::kit::{Client, Edge, Recorder, Reply, Seen, catalog};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// A connection that is served.
fn guest(edge: &Edge) -> Client {
    let mut client = edge.client();
    assert_eq!(client.ask(GET).status(), 200);
    client
}

/// A connection that is turned away: it is told why, and closed.
fn turned_away(edge: &Edge, reason: &str) {
    let mut client = edge.client();
    let answer = client.answer();
    assert_eq!((answer.status(), answer.reason()), (503, reason.to_owned()));
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(answer.field("retry-after"), Some("1"));
    let status = answer.field("proxy-status").expect("a failure says who failed");
    assert!(status.starts_with("hatchway; error=connection_limit_reached;"), "{status}");
    client.is_closed();
}

#[test]
fn a_connection_over_the_limit_is_told_so_and_closed() {
    let recorder = Recorder::start();
    let door = Door { connections_per_core: 2, ..Door::default() };
    let edge = Edge::start(vec![recorder.address], door, catalog());
    let mut guests = [guest(&edge), guest(&edge)];
    turned_away(&edge, "too-many-connections");
    turned_away(&edge, "too-many-connections");
    for guest in &mut guests {
        assert_eq!(guest.ask(GET).status(), 200, "those inside are served on");
    }
    let refusals = r#"gateway_refusals_total{reason="too-many-connections"}"#;
    assert_eq!(edge.metric(refusals), 2.0);
}

#[test]
fn a_place_that_becomes_free_is_taken() {
    let recorder = Recorder::start();
    let door = Door { connections_per_core: 1, ..Door::default() };
    let edge = Edge::start(vec![recorder.address], door, catalog());
    for _ in 0..10 {
        let mut guest = guest(&edge);
        let last = guest.ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_eq!(last.status(), 200);
        // Its end is sent when nobody is inside any more.
        guest.is_closed();
    }
}

#[test]
fn an_address_has_a_limit_of_its_own() {
    let recorder = Recorder::start();
    let door = Door { connections_per_address: 1, ..Door::default() };
    let edge = Edge::start(vec![recorder.address], door, catalog());
    let _guest = guest(&edge);
    turned_away(&edge, "too-many-connections-of-address");
}

#[test]
fn when_too_many_are_being_turned_away_the_next_one_is_closed_without_a_word() {
    let recorder = Recorder::start();
    let door = Door { connections_per_core: 1, turned_away: 2, ..Door::default() };
    let edge = Edge::start(vec![recorder.address], door, catalog());
    let _guest = guest(&edge);
    let mut crowd = [edge.client(), edge.client()];
    for client in &mut crowd {
        assert_eq!(client.answer().status(), 503);
    }
    edge.client().is_closed();
}

#[test]
fn a_drain_serves_what_has_come_and_ends() {
    let recorder = Recorder::answering(|request| Reply::ok(request.words()[1]));
    let edge = Edge::before(&recorder);
    let mut idle = guest(&edge);
    let mut late = guest(&edge);
    edge.drain();
    let answer = late.ask("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.text(), answer.field("connection")), ("/late", Some("close")));
    late.is_closed();
    idle.is_closed();
    drop((idle, late));
    edge.join();
}

/// A function that answers when it is told to.
fn held() -> (Recorder, std::sync::mpsc::Sender<()>) {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let recorder = Recorder::answering(move |_| {
        // The end of the test is an answer too.
        let _ = gone.lock().expect("nobody panics with it").recv();
        Reply::ok("late")
    });
    (recorder, go)
}

#[test]
fn a_request_over_the_limit_is_told_so_at_once_and_its_connection_stays() {
    let (recorder, go) = held();
    let door = Door { requests_per_core: 2, ..Door::default() };
    let edge = Edge::start(vec![recorder.address], door, catalog());
    let mut under_way = [edge.client(), edge.client()];
    for client in &mut under_way {
        client.send(GET);
        assert!(matches!(recorder.next(), Seen::Head(_)), "it reaches the function");
    }
    let mut third = edge.client();
    for _ in 0..2 {
        let answer = third.ask(GET);
        let reason = "too-many-requests-under-way".to_owned();
        assert_eq!((answer.status(), answer.reason()), (503, reason));
        assert_eq!(answer.field("retry-after"), Some("1"));
        assert_eq!(answer.field("connection"), None);
    }
    for client in &mut under_way {
        go.send(()).expect("the function waits");
        assert_eq!(client.answer().status(), 200);
    }
    drop(go);
    assert_eq!(third.ask(GET).status(), 200, "a place is free");
    let refusals = r#"gateway_refusals_total{reason="too-many-requests-under-way"}"#;
    assert_eq!(edge.metric(refusals), 2.0);
    assert_eq!(edge.metric("gateway_connections"), 3.0);
}

#[test]
fn a_gateway_that_is_too_large_turns_everybody_away() {
    let recorder = Recorder::start();
    let door = Door { memory_bytes: 1, ..Door::default() };
    let edge = Edge::start(vec![recorder.address], door, catalog());
    turned_away(&edge, "no-memory-left");
}
