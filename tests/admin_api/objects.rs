//! Rules are read and changed, object by object, by those who have seen what they replace.

use hatchway_tests::eventually;
use serde_json::{Value, json};

use crate::kit::{NEW, Site, function, hatchway, refuses, route, version};

#[test]
fn a_function_comes_to_be_is_served_and_changes_by_the_api_alone() {
    let site = Site::start_and_announce(&[]);
    let made = site.add_function("hello");
    let made: Value = made.json();
    assert_eq!((&made["written"], &made["gateways"]), (&4.into(), &1.into()), "{made}");
    // No wait: the gateway has said that it serves by it. Its node is nowhere.
    assert_ne!(site.gateway.get("/hello").status, 404);
    let told = site.get("/v1/explain?url=/hello");
    assert_eq!(told["function"], "local/hello");

    let read = site.ask("GET", "/v1/routes/hello", &[], &Value::Null);
    let seen = read.headers["etag"].to_str().expect("a revision").to_owned();
    assert_eq!(seen, format!("\"{}\"", made["revision"]));
    let moved = json!({ "path": "/moved", "function": "local/hello" });
    let answer = site.put("/v1/routes/hello?wait=20&why=it+moves", &[("if-match", &seen)], &moved);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_ne!(site.gateway.get("/moved").status, 404);
    assert_eq!(site.gateway.get("/hello").status, 404);

    // Whoever has seen the first form only is told so, and by whom it was changed.
    refuses(
        &site.put("/v1/routes/hello", &[("if-match", &seen)], &moved),
        412,
        "was changed meanwhile",
    );
    refuses(&site.put("/v1/routes/hello", &[], &moved), 428, "as If-Match: ");
    refuses(&site.put("/v1/routes/hello", &[NEW], &moved), 412, "is there already");
    let stale = json!({ "at": made["revision"], "changes": [{ "key": "routes/hello", "object": route("hello") }] });
    refuses(
        &site.ask("POST", "/v1/changes", &[], &stale),
        409,
        "changed meanwhile by anonymous (it moves)",
    );
    assert_eq!(site.get("/v1/routes/hello"), moved);

    let known = site.get("/v1/history?limit=1&object=routes/hello");
    assert_eq!((&known[0]["why"], &known[0]["who"]), (&"it moves".into(), &"anonymous".into()));
    assert_eq!(known[0]["changes"][0]["differences"][0]["field"], "path", "{known}");
    let between = site.get(&format!("/v1/diff?from={}", made["revision"]));
    assert_eq!(between["objects"]["routes/hello"][0]["after"], "/moved", "{between}");
    let back = json!({ "revision": made["revision"] });
    let back = site.ask("POST", "/v1/rollback?who=ann", &[], &back);
    assert_eq!(back.status, 200, "{}", back.text());
    assert_eq!(site.get("/v1/routes/hello"), route("hello"));
    assert_eq!(site.get("/v1/history?limit=1")[0]["who"], "ann");
}

#[test]
fn a_patch_changes_what_it_names() {
    let site = Site::start_and_announce(&[]);
    site.add_function("hello");
    let next = json!({ "at": site.get("/v1/rules")["revision"],
        "changes": [{ "key": "versions/00000000000000bb", "object": version("local/hello") }] });
    assert_eq!(site.ask("POST", "/v1/changes", &[], &next).status, 200);
    let release = "/v1/releases/local/hello";
    let canary = json!({ "shares": [{ "version": "00000000000000bb", "basis_points": 500 }], "sticky": { "cookie": "id" } });
    let merge = [("content-type", "application/merge-patch+json")];
    let answer = site.ask("PATCH", release, &merge, &canary);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let now = site.get(release);
    assert_eq!(
        (&now["stable"], &now["shares"][0]["basis_points"]),
        (&"00000000000000aa".into(), &500.into())
    );
    let ended = site.ask("PATCH", release, &[], &json!({ "shares": null }));
    assert_eq!(ended.status, 200, "{}", ended.text());
    assert_eq!(
        site.get(release),
        json!({ "stable": "00000000000000aa", "sticky": { "cookie": "id" } })
    );
    let stale = [("if-match", answer.headers["etag"].to_str().expect("a revision"))];
    refuses(&site.ask("PATCH", release, &stale, &canary), 412, "was changed meanwhile");
    let lane = json!({ "lanes": { "blue": "00000000000000bb" } });
    assert_eq!(site.ask("PATCH", release, &[], &lane).status, 200);
    let lanes = site.get("/v1/lanes");
    assert_eq!(lanes["lanes"]["blue"]["versions"]["local/hello"], "00000000000000bb", "{lanes}");
}

#[test]
fn what_is_wrong_is_refused_with_its_field_and_what_would_be_right() {
    let site = Site::start_and_announce(&[]);
    site.add_function("hello");
    let bad = json!({ "path": "no-slash", "function": "local/hello", "host": "A.example" });
    let answer = site.put("/v1/routes/bad", &[NEW], &bad);
    refuses(&answer, 422, "path: \"no-slash\" does not start with /");
    let mistakes = answer.json::<Value>()["mistakes"].take();
    assert_eq!(
        (&mistakes[0]["field"], &mistakes[1]["field"]),
        (&"host".into(), &"path".into()),
        "{mistakes}"
    );
    let unknown = json!({ "path": "/", "function": "local/hello", "pathh": 1 });
    refuses(&site.put("/v1/routes/bad", &[NEW], &unknown), 422, "unknown field `pathh`");
    refuses(
        &site.put("/v1/routes/bad", &[NEW], &route("nobody")),
        409,
        "would lead to functions/local/nobody",
    );
    let deleted =
        site.ask("DELETE", "/v1/functions/local/hello", &[("if-match", "*")], &Value::Null);
    refuses(&deleted, 409, "leads there: delete that first");
    let other = version("local/hello").as_object().map(|fields| {
        let mut fields = fields.clone();
        fields.insert("max".to_owned(), 9.into());
        Value::from(fields)
    });
    let put =
        site.put("/v1/versions/00000000000000aa", &[("if-match", "*")], &other.expect("an object"));
    refuses(&put, 409, "a version never changes");
    refuses(&site.put("/v1/routes/hello?wiat=3", &[], &route("hello")), 400, "did you mean wait?");
    refuses(&site.ask("GET", "/v1/route", &[], &Value::Null), 404, "GET /openapi.json");
    refuses(&site.ask("DELETE", "/v1/status", &[], &Value::Null), 405, "this takes GET");
    let gone = json!({ "at": 1_u64 << 40, "changes": function("hello") });
    refuses(&site.ask("POST", "/v1/changes", &[], &gone), 400, "there is no revision");
    assert_eq!(
        site.get("/v1/history").as_array().map(Vec::len),
        Some(1),
        "nothing of it was written"
    );
}

#[test]
fn what_was_deleted_meanwhile_does_not_come_back_unknowingly() {
    let site = Site::start_and_announce(&[]);
    let made: Value = site.add_function("hello").json();
    let path = "/v1/routes/hello";
    refuses(&site.ask("DELETE", path, &[], &Value::Null), 428, "If-Match");
    let answer = site.ask("DELETE", path, &[("if-match", "*")], &Value::Null);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(site.ask("GET", path, &[], &Value::Null).status, 404);
    let stale = json!({ "at": made["revision"], "changes": [{ "key": "routes/hello", "object": route("hello") }] });
    refuses(&site.ask("POST", "/v1/changes", &[], &stale), 409, "was changed meanwhile");
}

#[test]
fn without_etcd_the_gateway_still_says_what_it_serves() {
    let mut site = Site::start_and_announce(&[]);
    site.add_function("hello");
    site.etcd.kill();
    refuses(&site.ask("GET", "/v1/rules", &[], &Value::Null), 503, "the rules cannot be read");
    refuses(&site.put("/v1/routes/b", &[NEW], &route("hello")), 503, "the rules cannot be read");
    assert_eq!(site.get("/v1/explain?url=/hello")["function"], "local/hello");
    eventually("the status says that etcd is lost", || {
        (site.get("/v1/status")["catalog"]["link"]["state"] == "lost").then_some(())
    });
}

#[test]
fn what_a_gateway_has_kept_explains_where_requests_went() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().display().to_string();
    let site = Site::start_and_announce(&["--state", &state]);
    site.add_function("hello");
    let words = ["explain", "GET", "/hello/x?y=1", "--state", &state, "--json"];
    let explained = eventually("the gateway has kept it on disk", || {
        let output = hatchway(&words, None);
        serde_json::from_slice::<Value>(&output.stdout)
            .ok()
            .filter(|told| told["outcome"] == "function")
    });
    let mut live = site.get("/v1/explain?url=http://localhost/hello/x?y=1");
    // How nodes stand is known to nobody but a gateway that runs.
    let steps = live["steps"].as_array_mut().expect("steps");
    assert_eq!(steps.pop().expect("a step")["stage"], "place");
    assert_eq!(explained, live, "as the gateway says");
    drop(site);
    assert_eq!(hatchway(&words, None).status.code(), Some(0), "without gateway and etcd");
    let nowhere = hatchway(&["explain", "GET", "/", "--state", "/nowhere"], None);
    assert_eq!(nowhere.status.code(), Some(78));
}
