//! A function that takes only so many calls at a time over one gateway.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use hatchway_gateway::accept::Door;
use serde_json::json;

use super::kit::{Edge, Recorder, Reply, Seen, catalog};

/// One call at a time, and one that waits. The function answers when it is told to.
fn edge(clock: &str) -> (Edge, Recorder, mpsc::Sender<()>) {
    let (go, may_go) = mpsc::channel();
    let may_go = Arc::new(Mutex::new(may_go));
    let recorder = Recorder::answering(move |_| {
        // The end of the test is as good.
        let _ = may_go.lock().expect("nobody panics with it").recv();
        Reply::ok("done")
    });
    let mut objects = serde_json::to_value(catalog()).expect("objects are JSON");
    objects["functions"]["local/a"] = json!({"max_in_flight": 1, "queue_depth": 1});
    objects["versions"]["0123456789abcdef"]["clocks"]["queue"] = json!(clock);
    let objects = serde_json::from_value(objects).expect("the catalog is one");
    (Edge::start(vec![recorder.address], Door::default(), objects), recorder, go)
}

/// The path of the next request that reaches the function.
fn asked(recorder: &Recorder) -> String {
    loop {
        if let Seen::Head(head) = recorder.next() {
            return head.split(' ').nth(1).expect("a head has a target").to_owned();
        }
    }
}

/// Waits until the gateway has so many under way: those that wait among them.
#[track_caller]
fn has_under_way(edge: &Edge, count: f64) {
    let begun = std::time::Instant::now();
    while edge.metric(r#"gateway_requests_in_flight{function="local/a"}"#) != count {
        assert!(begun.elapsed() < super::kit::GUARD, "there are never {count}");
        std::thread::yield_now();
    }
}

#[test]
fn calls_beyond_the_limit_wait_in_turn_and_beyond_the_queue_they_are_refused() {
    let (edge, recorder, go) = edge("60s");
    let (mut first, mut second, mut third) = (edge.client(), edge.client(), edge.client());
    first.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(asked(&recorder), "/first");
    second.send("GET /second HTTP/1.1\r\nHost: h\r\n\r\n");
    has_under_way(&edge, 2.0);
    third.send("GET /third HTTP/1.1\r\nHost: h\r\n\r\n");
    let refused = third.answer();
    assert_eq!((refused.status(), refused.field("retry-after")), (503, Some("1")));
    assert_eq!(refused.problem()["reason"], "queue-full");
    assert_eq!(recorder.drain(), [], "the second waits at the gateway");
    go.send(()).expect("the function listens");
    assert_eq!(first.answer().status(), 200);
    assert_eq!(asked(&recorder), "/second");
    go.send(()).expect("the function listens");
    assert_eq!(second.answer().status(), 200);
}

#[test]
fn a_client_that_leaves_gives_up_its_place_in_the_line() {
    let (edge, recorder, go) = edge("60s");
    let (mut first, mut second, mut third) = (edge.client(), edge.client(), edge.client());
    first.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(asked(&recorder), "/first");
    second.send("GET /second HTTP/1.1\r\nHost: h\r\n\r\n");
    has_under_way(&edge, 2.0);
    drop(second);
    has_under_way(&edge, 1.0);
    third.send("GET /third HTTP/1.1\r\nHost: h\r\n\r\n");
    has_under_way(&edge, 2.0);
    go.send(()).expect("the function listens");
    assert_eq!(first.answer().status(), 200);
    assert_eq!(asked(&recorder), "/third");
    go.send(()).expect("the function listens");
    assert_eq!(third.answer().status(), 200);
}

#[test]
fn nobody_waits_longer_than_the_queue_clock() {
    let (edge, recorder, go) = edge("50ms");
    let (mut first, mut second) = (edge.client(), edge.client());
    first.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(asked(&recorder), "/first");
    second.send("GET /second HTTP/1.1\r\nHost: h\r\n\r\n");
    let late = second.answer();
    assert_eq!((late.status(), &late.problem()["reason"]), (503, &json!("queue-clock")));
    go.send(()).expect("the function listens");
    assert_eq!(first.answer().status(), 200);
    assert_eq!(
        edge.metric(r#"gateway_failures_total{function="local/a",reason="queue-clock"}"#),
        1.0
    );
}
