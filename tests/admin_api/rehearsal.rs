//! What a change would do to the requests of now is known before it is made.

use std::thread;

use hatchway_tests::Client;
use serde_json::{Value, json};

use crate::kit::{Site, function, hatchway, refuses, route, version};

/// One in four goes to `a`, in no order.
fn traffic(site: &Site) {
    thread::scope(|scope| {
        for client in 0..4_u64 {
            let address = site.gateway.address;
            scope.spawn(move || {
                let (client, mut drawn) = (Client::new(address), client + 1);
                for _ in 0..3000 {
                    drawn = drawn
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let path = if drawn >> 62 == 0 { "/a?token=s3cret" } else { "/b" };
                    let cookie = [("cookie", "session=s3cret")];
                    // The node is nowhere: what counts is where it would have gone.
                    client.request("GET", path, &cookie, &[]).expect("it is answered");
                }
            });
        }
    });
}

fn rehearse(site: &Site, changes: &Value) -> Value {
    let body = json!({ "at": 0, "changes": changes });
    let answer = site.ask("POST", "/v1/rehearsals", &[], &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains("s3cret"), "{}", answer.text());
    answer.json()
}

#[test]
fn a_route_that_moves_moves_the_share_of_its_requests() {
    let site = Site::start_and_announce(&[]);
    for name in ["a", "b"] {
        site.add_function_of(
            name,
            if name == "a" { "00000000000000aa" } else { "00000000000000bb" },
        );
    }
    let nothing = rehearse(&site, &json!([{ "key": "routes/a", "object": route("a") }]));
    assert_eq!(
        (&nothing["heads"], &nothing["percent"]),
        (&0.into(), &json!(0.0)),
        "nobody has come yet"
    );
    traffic(&site);
    let same = rehearse(&site, &json!([{ "key": "routes/a", "object": route("a") }]));
    assert_eq!(same["moved"], 0, "{same}");
    assert!(same["heads"].as_u64() > Some(10), "{same}");

    let to_b = json!({ "path": "/a", "function": "local/b" });
    let told = rehearse(&site, &json!([{ "key": "routes/a", "object": to_b }]));
    let percent = told["percent"].as_f64().expect("a number");
    assert!((5.0..=45.0).contains(&percent), "one in four: {told}");
    let [moved] = &told["moves"].as_array().expect("a list")[..] else { panic!("{told}") };
    assert_eq!(moved["before"], "local/a 00000000000000aa", "{told}");
    assert_eq!(moved["after"], "local/b 00000000000000bb", "{told}");
    assert_eq!(
        (&moved["route_before"], &moved["route_after"]),
        (&"a".into(), &"a".into()),
        "{told}"
    );
    assert!(moved["example"].as_str().is_some_and(|example| example.ends_with("/a")), "{told}");

    let gone = rehearse(&site, &json!([{ "key": "routes/a", "object": null }]));
    assert_eq!(
        (&gone["moves"][0]["after"], &gone["percent"]),
        (&"404 no-route".into(), &told["percent"])
    );
    // A version that is not there would be refused by this gateway.
    let astray = json!([{ "key": "releases/local/b", "object": { "stable": "00000000000000cc" } }]);
    let astray = rehearse(&site, &astray);
    assert_eq!(astray["refused"][0]["field"], "release local/b", "{astray}");

    // A canary by a cookie that no rule has looked at so far: those who have the same one go together, one way or the other.
    let canary = json!([
        { "key": "versions/00000000000000dd", "object": version("local/b") },
        { "key": "releases/local/b", "object": { "stable": "00000000000000bb", "sticky": { "cookie": "session" },
            "shares": [{ "version": "00000000000000dd", "basis_points": 5000 }] } },
    ]);
    let canary = rehearse(&site, &canary);
    let share = canary["percent"].as_f64().expect("a number");
    assert!(
        share == 0.0 || (share - (100.0 - percent)).abs() < 0.01,
        "all of b, or none: {canary}"
    );
    assert_eq!(site.get("/v1/routes/a"), route("a"), "nothing was written");

    // The command says the same, and writes nothing.
    let url = format!("http://{}", site.gateway.admin.address);
    let words = [
        "release",
        "b",
        "--stable",
        "00000000000000bb",
        "--tag",
        "x=00000000000000bb",
        "--rehearse",
        "--gateway",
        &url,
    ];
    let said = hatchway(&words, None);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.contains("nothing was written; of ") && said.contains(" 0.0 % would go elsewhere"),
        "{said}"
    );
    assert_eq!(site.get("/v1/releases/local/b").get("tags"), None);
}

#[test]
fn a_gateway_that_keeps_no_heads_says_so() {
    let site = Site::start(&["--keep-heads", "0B"]);
    let body = json!({ "at": 0, "changes": function("a") });
    refuses(&site.ask("POST", "/v1/rehearsals", &[], &body), 409, "--keep-heads");
}
