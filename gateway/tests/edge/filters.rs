//! What routes and rules do with a request and its answer, over a link.

use hatchway_gateway::accept::Door;
use serde_json::json;

use super::kit::{Edge, Message, Recorder, Reply, catalog, fields};

/// A gateway in which `/shop` has these filters, and requests with `X-Beta` have those of a rule.
fn edge(node: &Recorder, route: serde_json::Value, rule: serde_json::Value) -> Edge {
    let mut objects = serde_json::to_value(catalog()).expect("objects are JSON");
    objects["routes"]["shop"] = json!({"path": "/shop", "function": "local/a", "filters": route});
    objects["releases"]["local/a"]["rules"] =
        json!([{"when": {"headers": [{"name": "x-beta"}]}, "shares": [], "filters": rule}]);
    let objects = serde_json::from_value(objects).expect("the catalog is one");
    Edge::start(vec![node.address], Door::default(), objects)
}

fn ask(edge: &Edge, target: &str, lines: &str) -> Message {
    edge.client().ask(format!("GET {target} HTTP/1.1\r\nHost: h.example:81\r\n{lines}\r\n"))
}

#[test]
fn a_request_is_changed_by_its_route_and_then_by_its_rule() {
    let recorder = Recorder::start();
    let route = json!({
        "request_header_modifier": {
            "set": [{"name": "X-Team", "value": "route"}], "add": [{"name": "x-via", "value": "route"}],
            "remove": ["cookie"]
        },
        "url_rewrite": {"hostname": "inner", "path": {"replace_prefix_match": "/v2"}}
    });
    let rule = json!({"request_header_modifier": {"set": [{"name": "x-team", "value": "rule"}]}});
    let edge = edge(&recorder, route, rule);
    let lines = "X-Team: evil\r\nx_team: evil\r\nX-Via: client\r\nCookie: evil\r\n";

    assert_eq!(ask(&edge, "/shop/a?b=1", lines).text(), "GET /v2/a?b=1");
    let request = recorder.request();
    assert!(!request.head.contains("evil"), "{}", request.head);
    assert_eq!(request.field("x-team"), Some("route"));
    assert_eq!(fields(&request.head, "x-via"), ["client", "route"]);
    assert_eq!(fields(&request.head, "host"), ["inner"]);
    assert_eq!(request.field("x-forwarded-host"), Some("h.example:81"));

    assert_eq!(ask(&edge, "/shop", "X-Beta: 1\r\n").text(), "GET /v2");
    let request = recorder.request();
    assert_eq!(request.field("x-team"), Some("rule"));
    assert_eq!(request.field("x-via"), Some("route"));

    assert_eq!(ask(&edge, "/other", lines).text(), "GET /other");
    let request = recorder.request();
    assert_eq!(request.field("cookie"), Some("evil"));
    assert_eq!(fields(&request.head, "host"), ["h.example:81"]);
}

#[test]
fn an_answer_is_changed_and_a_failure_is_not() {
    let recorder = Recorder::answering(|request| match request.words()[1] {
        "/shop/early" => Reply::raw(
            "HTTP/1.1 103 Early Hints\r\nServer: f\r\n\r\nHTTP/1.1 200 OK\r\nServer: f\r\nContent-Length: 0\r\n\r\n",
        ),
        _ => Reply::raw(
            "HTTP/1.1 404 Not Found\r\nServer: f\r\nX-Old: 1\r\nContent-Length: 2\r\n\r\nno",
        ),
    });
    let filters = json!({"response_header_modifier": {
        "set": [{"name": "Cache-Control", "value": "no-store"}], "remove": ["server", "x-old"]}});
    let edge = edge(&recorder, filters, json!({}));
    let answer = ask(&edge, "/shop", "");
    assert_eq!((answer.status(), answer.text()), (404, "no"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!((answer.field("server"), answer.field("x-old")), (None, None));
    let mut client = edge.client();
    let interim = client.ask("GET /shop/early HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((interim.status(), interim.field("server")), (103, Some("f")));
    let answer = client.answer();
    assert_eq!((answer.status(), answer.field("server")), (200, None));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
}

#[test]
fn a_client_is_sent_elsewhere_without_a_call() {
    let recorder = Recorder::start();
    let route = json!({"request_redirect": {"scheme": "https", "status_code": 308,
                                            "path": {"replace_prefix_match": "/store"}}});
    let rule = json!({"request_redirect": {"hostname": "beta.example"}});
    let edge = edge(&recorder, route, rule);
    let answer = ask(&edge, "/shop/a?b", "X-Request-Id: mine\r\n");
    assert_eq!((answer.status(), answer.text()), (308, ""));
    assert_eq!(answer.field("location"), Some("https://h.example/store/a?b"));
    assert_eq!(answer.field("x-request-id"), Some("mine"));
    let answer = ask(&edge, "/", "X-Beta: 1\r\n");
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.field("location"), Some("http://beta.example:81/"));
    // A body that has come is read past, and the connection goes on.
    let mut client = edge.client();
    let post = "POST /shop HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(client.ask(post).status(), 308);
    assert_eq!(client.ask("GET /x HTTP/1.1\r\nHost: h\r\n\r\n").text(), "GET /x");
    assert_eq!(recorder.request().words()[1], "/x", "nothing else has reached the function");
    assert_eq!(edge.metric("gateway_requests_total{class=\"3xx\",function=\"local/a\"}"), 3.0);
}
