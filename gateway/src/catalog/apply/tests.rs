use std::collections::BTreeMap;
use std::time::Duration;

use hatchway_proto::http1::{Limits, parse_request};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::route::Asked;

fn applied(before: &Snapshot, objects: serde_json::Value) -> Snapshot {
    let objects = Arc::new(serde_json::from_value(objects).unwrap());
    apply(before, objects)
}

fn version(function: &str) -> serde_json::Value {
    json!({
        "function": function, "package": {"root": "/", "digest": ""}, "runtime": {"kind": "command", "argv": ["a"]},
        "resources": {"cpu_millis": 1, "memory_bytes": 1, "pids": 1, "files": 1, "tmp_bytes": 1},
        "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "1s",
        "clocks": {"queue": "1s", "start": "1s", "first_byte": "1s", "idle": "1s", "run": "1s"}
    })
}

/// The function and the stable version that a path leads to.
fn at(snapshot: &Snapshot, path: &str) -> String {
    let text = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
    let Some(found) = snapshot.resolve(Asked { head: &head, client: None }) else {
        return "none".to_owned();
    };
    let stable = found.target.releases.as_ref().map(|releases| releases.stable().version);
    format!("{} {}", found.target.name.name(), stable.map_or("-".into(), |id| id.to_string()))
}

fn target<'s>(snapshot: &'s Snapshot, name: &FunctionName) -> &'s Target {
    snapshot.targets.get(name).expect("it is known")
}

fn problems(snapshot: &Snapshot) -> Vec<String> {
    snapshot.problems.iter().map(|(object, why)| format!("{object}: {why}")).collect()
}

#[test]
fn what_leads_nowhere_is_named_and_the_rest_serves() {
    let after = applied(
        &Snapshot::default(),
        json!({
          "functions": {"local/a": {}, "local/b": {}}, "versions": {},
          "routes": {"r1": {"path": "/a", "function": "a"}, "r2": {"path": "/x", "function": "x"}},
          "releases": {"local/b": {"stable": "0123456789abcdef"}}
        }),
    );
    assert_eq!((at(&after, "/a").as_str(), at(&after, "/x").as_str()), ("a -", "none"));
    assert_eq!(
        problems(&after),
        [
            "release local/b: there is no version 0123456789abcdef",
            "route r2: there is no function local/x",
        ]
    );
}

#[test]
fn the_last_good_form_of_an_object_goes_on_serving() {
    let objects = |route: serde_json::Value, release: serde_json::Value| {
        json!({
          "functions": {"local/a": {}},
          "versions": {"00000000000000aa": version("a")},
          "routes": {"r": route, "other": {"path": "/other", "function": "a"}},
          "releases": {"local/a": release}
        })
    };
    let good = json!({"path": "/a", "function": "a"});
    let release = json!({"stable": "00000000000000aa"});
    let first = applied(&Snapshot::default(), objects(good.clone(), release.clone()));
    assert_eq!((at(&first, "/a").as_str(), problems(&first).len()), ("a 00000000000000aa", 0));

    let bad_route = json!({"path": "(", "path_match": "regex", "function": "a"});
    let bad_release = json!({"stable": "00000000000000bb"});
    let second = applied(&first, objects(bad_route, bad_release));
    assert_eq!(at(&second, "/a"), "a 00000000000000aa");
    assert_eq!(
        problems(&second),
        ["release local/a: there is no version 00000000000000bb", "route r: path: unclosed group"]
    );

    let third = applied(&second, objects(json!({"path": "/b", "function": "a"}), release));
    assert_eq!(
        (at(&third, "/a").as_str(), at(&third, "/b").as_str()),
        ("none", "a 00000000000000aa")
    );
    assert_eq!(problems(&third), Vec::<String>::new());
    assert_eq!(at(&second, "/a"), "a 00000000000000aa", "a request under way keeps its rules");
}

#[test]
fn a_route_waits_for_its_function_and_a_release_for_its_version() {
    let mut objects = json!({
        "functions": {}, "versions": {}, "routes": {"r": {"path": "/", "function": "a"}},
        "releases": {"local/a": {"stable": "00000000000000aa"}}
    });
    let first = applied(&Snapshot::default(), objects.clone());
    assert_eq!((at(&first, "/").as_str(), problems(&first).len()), ("none", 1));
    objects["functions"] = json!({"local/a": {}});
    let second = applied(&first, objects.clone());
    assert_eq!((at(&second, "/").as_str(), problems(&second).len()), ("a -", 1));
    objects["versions"] = json!({"00000000000000aa": version("a")});
    let third = applied(&second, objects.clone());
    assert_eq!((at(&third, "/").as_str(), problems(&third).len()), ("a 00000000000000aa", 0));
    objects["functions"] = json!({});
    let fourth = applied(&third, objects);
    assert_eq!((at(&fourth, "/").as_str(), problems(&fourth).len()), ("none", 1));
}

#[test]
fn a_route_moves_with_all_that_is_known_of_it() {
    let objects = |path: &str, function: &str| {
        json!({"functions": {"local/a": {}, "local/b": {}}, "versions": {}, "releases": {},
               "routes": {"r": {"path": path, "function": function}}})
    };
    let [a, b] = ["a", "b"].map(|name| FunctionName::parse(name).unwrap());
    let first = applied(&Snapshot::default(), objects("/a", "a"));
    assert_eq!((first.routes_of(&a).count(), first.routes_of(&b).count()), (1, 0));
    let second = applied(&first, objects("/a/", "b"));
    assert_eq!((second.routes_of(&a).count(), second.routes_of(&b).count()), (0, 1));
    assert_eq!(at(&second, "/a"), "b -");
    let none = json!({"functions": {}, "versions": {}, "releases": {}, "routes": {}});
    let third = applied(&second, none);
    assert_eq!((third.routes_of(&b).count(), at(&third, "/a").as_str()), (0, "none"));
    assert!(third.leading.is_empty() && third.targets.is_empty() && third.kept.is_empty());
}

#[test]
fn lanes_are_looked_for_while_somebody_knows_of_them() {
    let objects = |route: serde_json::Value, lanes: serde_json::Value| {
        json!({
          "functions": {"local/a": {}}, "versions": {"00000000000000aa": version("a")}, "routes": {"r": route},
          "releases": {"local/a": {"stable": "00000000000000aa", "lanes": lanes}}
        })
    };
    let plain = json!({"path": "/", "function": "a"});
    let blue = json!({"path": "/", "function": "a", "lane": "blue"});
    let lanes = json!({"blue": "00000000000000aa"});
    let mut snapshot = Snapshot::default();
    for (route, lanes, count) in [
        (&plain, json!({}), 0),
        (&blue, json!({}), 1),
        (&blue, lanes.clone(), 2),
        (&blue, lanes.clone(), 2),
        (&plain, lanes, 1),
        (&plain, json!({}), 0),
    ] {
        snapshot = applied(&snapshot, objects(route.clone(), lanes));
        assert_eq!(snapshot.lanes, count);
    }
    let known = applied(&snapshot, objects(blue, json!({"blue": "00000000000000aa"})));
    let none = json!({"functions": {}, "versions": {}, "releases": {}, "routes": {}});
    assert_eq!((known.lanes, applied(&known, none).lanes), (2, 0));
}

#[test]
fn a_change_of_the_rules_does_not_forget_what_was_used_of_a_rate() {
    let text = |queue| {
        json!({"functions": {"local/a": {"rate_per_second": 1, "queue_depth": queue}},
               "versions": {}, "routes": {}, "releases": {}})
    };
    let first = applied(&Snapshot::default(), text(1));
    let name = FunctionName::parse("a").unwrap();
    assert!(target(&first, &name).enter().is_ok());
    let second = applied(&first, text(2));
    assert!(target(&second, &name).enter().is_err());
    assert_eq!((second.revision, target(&second, &name).function.queue_depth), (2, 2));
}

/// The figure: `cargo test --release -p hatchway-gateway changes_cost -- --ignored --nocapture`.
#[test]
#[ignore = "a figure of an optimised build"]
fn changes_cost_what_they_change() {
    const MANY: usize = 100_000;
    let mut objects = Objects::default();
    let version: hatchway_proto::catalog::Version = serde_json::from_value(version("a")).unwrap();
    for n in 0..MANY {
        let name = FunctionName::parse(&format!("f{n}")).unwrap();
        let id = hatchway_proto::name::VersionId::parse(&format!("{n:016x}")).unwrap();
        let version =
            hatchway_proto::catalog::Version { function: name.clone(), ..version.clone() };
        let route = Route::prefix(None, format!("/f/{n}"), name.clone());
        objects.functions.insert(name.clone(), Arc::new(serde_json::from_str("{}").unwrap()));
        objects.versions.insert(id, Arc::new(version));
        objects.routes.insert(format!("r{n}").into(), Arc::new(route));
        let release = hatchway_proto::catalog::Release::of(id);
        objects.releases.insert(name, Arc::new(release));
    }
    let begun = std::time::Instant::now();
    let mut snapshot = apply(&Snapshot::default(), Arc::new(objects.clone()));
    println!("{MANY} routes, functions and versions applied in {:?}", begun.elapsed());
    let mut each = Vec::new();
    for n in 0..1000 {
        let name = FunctionName::parse(&format!("f{}", n * 97)).unwrap();
        let route = Route::prefix(None, format!("/g/{n}"), name);
        objects.routes.insert(format!("r{}", n * 97).into(), Arc::new(route));
        let begun = std::time::Instant::now();
        snapshot = apply(&snapshot, Arc::new(objects.clone()));
        each.push(begun.elapsed());
    }
    each.sort();
    println!("one change applied in {:?} (p50), {:?} (p99)", each[500], each[990]);
    assert_eq!(at(&snapshot, "/g/7").split(' ').next(), Some("f679"));
    assert!(each[500] < Duration::from_secs(1), "it does not look at everything");
}

/// Which functions are there, and in which form; and where each route leads.
type Drawn = (Vec<Option<u32>>, Vec<Option<usize>>);

fn drawn() -> impl Strategy<Value = Drawn> {
    let functions = proptest::collection::vec(proptest::option::weighted(0.8, 0..3_u32), 3);
    // Many lead to the first, so that they are now few and now too many.
    let leads = prop_oneof![Just(0_usize), Just(0), Just(0), 1..4_usize];
    let routes = proptest::collection::vec(proptest::option::weighted(0.8, leads), 26);
    (functions, routes)
}

fn of_drawn((functions, routes): &Drawn) -> serde_json::Value {
    let functions: BTreeMap<_, _> = (0..)
        .zip(functions)
        .filter_map(|(n, depth)| Some((format!("local/f{n}"), json!({"queue_depth": (*depth)?}))))
        .collect();
    let routes: BTreeMap<_, _> = (0..)
        .zip(routes)
        .filter_map(|(n, to)| {
            // Some have a host of their own, some share it.
            let host = (n % 3 != 0).then(|| format!("h{}", n / 2));
            let to = format!("f{}", (*to)?);
            Some((format!("r{n}"), json!({"host": host, "path": format!("/{n}"), "function": to})))
        })
        .collect();
    json!({"functions": functions, "routes": routes, "versions": {}, "releases": {}})
}

proptest! {
    #[test]
    fn whatever_changes_every_route_leads_to_its_function_as_it_is_now(
        steps in proptest::collection::vec(drawn(), 1..8),
    ) {
        let mut snapshot = Snapshot::default();
        for step in steps {
            snapshot = applied(&snapshot, of_drawn(&step));
            for (name, route) in snapshot.routes() {
                let host = route.host.as_deref().unwrap_or("elsewhere");
                let text = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n\r\n", route.path);
                let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
                let found = snapshot.resolve(Asked { head: &head, client: None });
                let expected = snapshot.targets.get(&route.function);
                prop_assert_eq!(found.is_some(), expected.is_some());
                if let (Some(found), Some(expected)) = (found, expected) {
                    prop_assert_eq!(found.route, &**name);
                    prop_assert!(Arc::ptr_eq(found.target, expected), "{} is what it was", name);
                }
            }
        }
    }
}
