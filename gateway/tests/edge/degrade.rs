//! What clients get in the place of a failure.

use std::net::SocketAddr;
use std::sync::mpsc;

use hatchway_gateway::accept::Door;
use hatchway_proto::link::{Frame, Refusal};
use serde_json::{Value, json};

use super::kit::script::{Said, play};
use super::kit::{Answer, Edge, Recorder, catalog};

const SPARE: &str = "00000000000000aa";

/// A gateway in which `local/a` and `local/limited` have `degrade`, and `local/spare` may take their place.
fn edge(node: SocketAddr, degrade: &Value) -> Edge {
    let mut objects = serde_json::to_value(catalog()).expect("objects are JSON");
    let mut version = objects["versions"]["0123456789abcdef"].clone();
    version["function"] = json!("local/spare");
    objects["versions"][SPARE] = version;
    objects["functions"]["local/spare"] = json!({});
    objects["releases"]["local/spare"] = json!({"stable": SPARE});
    for function in ["local/a", "local/limited", "local/unreleased"] {
        objects["functions"][function]["degrade"] = degrade.clone();
    }
    let objects = serde_json::from_value(objects).expect("the catalog is one");
    Edge::start(vec![node], Door::default(), objects)
}

fn sorry() -> Value {
    json!({"status": 503, "content_type": "text/html", "body": "<p>sorry"})
}

/// Took the place of this failure.
fn stands_for(answer: &Answer, reason: &str) {
    let expected = format!("hatchway; error=proxy_internal_response; details=\"{reason}\"");
    assert_eq!(answer.field("proxy-status"), Some(expected.as_str()), "{}", answer.head);
    assert!(!answer.head.contains("hatchway-"), "{}", answer.head);
}

/// A node that refuses calls of every version but the spare one, tells that it failed where the path says so, and tells
/// which versions it was asked for.
fn failing() -> (SocketAddr, mpsc::Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let address = play(move |peer| {
        while let Some(said) = peer.next() {
            let Said::Call { call, version, head, .. } = said else { continue };
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let _ = tell.send(version.clone());
            let failure = |reason: &str| {
                format!(
                    "HTTP/1.1 503 No\r\nhatchway-failure: {reason}\r\ncontent-length: 2\r\n\r\nno"
                )
            };
            if version == SPARE {
                let ok = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
                peer.answer(call, &ok);
            } else if path == "/crash" {
                peer.answer(call, &failure("crashed begun"));
            } else {
                let answer = failure("no-room");
                let refusal =
                    Refusal { elsewhere: true, reason: "no-room", answer: answer.as_bytes() };
                peer.send(&[Frame::Refused { call, refusal }]);
            }
        }
    });
    (address, told)
}

#[test]
fn a_static_answer_takes_the_place_of_a_refusal_by_the_gateway() {
    let recorder = Recorder::start();
    let edge = edge(recorder.address, &json!([{"on": ["rate-limited"], "answer": sorry()}]));
    let mut client = edge.client();
    let get = "GET /limited HTTP/1.1\r\nHost: h\r\nX-Request-Id: mine\r\n\r\n";
    assert_eq!(client.ask(get).status(), 200);
    let answer = client.ask(get);
    assert_eq!((answer.status(), answer.text()), (503, "<p>sorry"));
    assert_eq!(answer.field("content-type"), Some("text/html"));
    assert_eq!(answer.field("x-request-id"), Some("mine"));
    stands_for(&answer, "rate-limited");
    let answer = client.ask("GET /unreleased HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.status(), answer.reason().as_str()), (404, "no-release"), "not asked for");
    let series = r#"gateway_degraded_total{function="local/limited",reason="rate-limited"}"#;
    assert_eq!(edge.metric(series), 1.0);
}

#[test]
fn another_function_gets_the_request_with_its_body_before_a_node_was_asked() {
    let recorder = Recorder::start();
    let edge = edge(recorder.address, &json!([{"on": ["any"], "function": "local/spare"}]));
    let mut client = edge.client();
    let post = "POST /limited?a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(client.ask(post).field("proxy-status"), None);
    recorder.request();
    let answer = client.ask(post);
    assert_eq!((answer.status(), answer.text()), (200, "POST /limited?a"));
    stands_for(&answer, "rate-limited");
    let request = recorder.request();
    assert_eq!(request.field("hatchway-version"), Some(SPARE));
    assert_eq!(request.body, b"abc");
    let answer = client.ask("GET /unreleased HTTP/1.1\r\nHost: h\r\n\r\n");
    stands_for(&answer, "no-release");
}

#[test]
fn another_function_gets_a_request_without_body_that_no_node_has_taken() {
    let (node, asked) = failing();
    let both =
        json!([{"on": ["no-room", "crashed"], "function": "local/spare", "answer": sorry()}]);
    let edge = edge(node, &both);
    let mut client = edge.client();
    let answer = client.ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.status(), answer.text()), (200, "/x"));
    stands_for(&answer, "no-room");
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), ["0123456789abcdef", SPARE]);
    // A body is on its way to the node already.
    let post = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    let answer = client.ask(post);
    assert_eq!((answer.status(), answer.text()), (503, "<p>sorry"));
    stands_for(&answer, "no-room");
    // Whoever has begun with a request may have done its work.
    let answer = client.ask("GET /crash HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.status(), answer.text()), (503, "<p>sorry"));
    stands_for(&answer, "crashed");
    assert_eq!(asked.try_iter().filter(|version| version == SPARE).count(), 0);
    assert_eq!(client.ask("GET /y HTTP/1.1\r\nHost: h\r\n\r\n").text(), "/y");
}

#[test]
fn what_a_node_tells_is_passed_on_where_nothing_takes_its_place() {
    let (node, _asked) = failing();
    let edge = edge(node, &json!([{"on": ["crashed"], "answer": sorry()}]));
    let mut client = edge.client();
    let answer = client.ask("GET /crash HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.status(), answer.text()), (503, "<p>sorry"));
    stands_for(&answer, "crashed");
    let answer = client.ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answer.status(), answer.text()), (503, "no"));
    assert!(!answer.head.contains("hatchway-failure"), "{}", answer.head);
}

#[test]
fn a_client_of_grpc_is_told_the_failure() {
    let (node, _asked) = failing();
    let edge = edge(node, &json!([{"on": ["rate-limited", "no-release"], "answer": sorry()}]));
    let request = "POST /unreleased HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\n\r\n";
    let answer = edge.client().ask(request);
    assert_eq!(answer.field("content-type"), Some("application/grpc"));
    assert!(answer.field("grpc-status").is_some(), "{}", answer.head);
}
