//! Lanes: who may say one, which version serves it, and that it goes on with the call.

use hatchway_gateway::accept::Door;
use hatchway_gateway::trigger::Trusted;
use serde_json::json;

use super::kit::{Edge, Message, Recorder, catalog, fields};

const STABLE: &str = "0123456789abcdef";
const BLUE: &str = "00000000000000aa";

/// A gateway in which `/blue` puts requests into a lane, `/open` believes everybody, and a rule knows another lane.
fn edge(node: &Recorder, trusted: &[&str]) -> Edge {
    let mut objects = serde_json::to_value(catalog()).expect("objects are JSON");
    objects["versions"][BLUE] = objects["versions"][STABLE].clone();
    objects["routes"]["blue"] = json!({"path": "/blue", "function": "local/a", "lane": "blue"});
    objects["routes"]["open"] =
        json!({"path": "/open", "function": "local/a", "accepts_lane": true});
    objects["releases"]["local/a"]["lanes"] = json!({"blue": BLUE});
    objects["releases"]["local/a"]["rules"] =
        json!([{"when": {"headers": [{"name": "x-green"}]}, "shares": [], "lane": "green"}]);
    let objects = serde_json::from_value(objects).expect("the catalog is one");
    let networks: Vec<_> = trusted.iter().map(|text| text.parse().expect("a network")).collect();
    let door = Door { trusted: Trusted::from(&networks[..]), ..Door::default() };
    Edge::start(vec![node.address], door, objects)
}

/// The version that was asked, and the `baggage` that it read.
fn served(edge: &Edge, node: &Recorder, path: &str, lines: &str) -> (String, Vec<String>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    assert_eq!(edge.client().ask(request).status(), 200);
    let seen: Message = node.request();
    let version = seen.field("hatchway-version").expect("the node was told").to_owned();
    let baggage = fields(&seen.head, "baggage").into_iter().map(str::to_owned).collect();
    (version, baggage)
}

#[test]
fn a_lane_is_given_by_a_route_or_a_rule_and_travels_with_the_call() {
    let recorder = Recorder::start();
    let edge = edge(&recorder, &[]);
    let ask = |path, lines| served(&edge, &recorder, path, lines);
    let one = |version: &str, baggage: &str| (version.to_owned(), vec![baggage.to_owned()]);
    assert_eq!(ask("/x", ""), (STABLE.to_owned(), vec![]));
    assert_eq!(ask("/blue", ""), one(BLUE, "hatchway-lane=blue"));
    assert_eq!(
        ask("/blue", "baggage: user=ada\r\nBaggage: a=b;p=1\r\n"),
        one(BLUE, "hatchway-lane=blue,user=ada,a=b;p=1")
    );
    // The function has no version for that one: everybody's serves, and the lane goes on.
    assert_eq!(ask("/x", "X-Green: 1\r\n"), one(STABLE, "hatchway-lane=green"));
}

#[test]
fn a_client_says_its_lane_only_where_that_is_allowed() {
    let recorder = Recorder::start();
    let says = "baggage: hatchway-lane=blue, user=ada\r\n";
    let (closed, trusting) = (edge(&recorder, &[]), edge(&recorder, &["127.0.0.0/8"]));
    let kept = |version: &str, baggage: &str| (version.to_owned(), vec![baggage.to_owned()]);
    assert_eq!(served(&closed, &recorder, "/x", says), kept(STABLE, "user=ada"));
    let believed = kept(BLUE, "hatchway-lane=blue,user=ada");
    assert_eq!(served(&closed, &recorder, "/open", says), believed);
    assert_eq!(served(&trusting, &recorder, "/x", says), believed);
    let odd = "baggage: hatchway-lane=Blue%20, user=ada\r\n";
    assert_eq!(served(&trusting, &recorder, "/x", odd), kept(STABLE, "user=ada"));
    // Who is in a lane stays in it, whatever its next route would give it.
    let green = "baggage: hatchway-lane=green\r\n";
    assert_eq!(served(&trusting, &recorder, "/blue", green), kept(STABLE, "hatchway-lane=green"));
}
