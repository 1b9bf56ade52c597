use hatchway_proto::http1::{Limits, parse_request};
use proptest::prelude::*;

use super::*;

fn table(routes: &[(&str, &str)]) -> Table {
    let mut table = Table::default();
    for (name, text) in routes {
        let route: Route = serde_json::from_str(text).unwrap();
        assert_eq!(route.mistakes(), []);
        table.insert(&Arc::from(*name), &Arc::new(route), None).unwrap();
    }
    table
}

/// The route's name, what is left of the path, and the tag.
fn at(table: &Table, host: &str, target: &str, more: &str) -> String {
    let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n");
    let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
    let asked = Asked { head: &head, client: None };
    match table.resolve(asked) {
        None => "none".to_owned(),
        Some(found) => {
            let tag = found.tag.map(|tag| format!(" {tag}")).unwrap_or_default();
            format!("{} {}{tag}", found.route, found.rest)
        }
    }
}

#[test]
fn the_longest_prefix_in_whole_segments_wins() {
    let table = table(&[
        ("root", r#"{"path": "/", "function": "f"}"#),
        ("a", r#"{"path": "/a", "function": "f"}"#),
        ("ab", r#"{"path": "/a/b/", "function": "f"}"#),
    ]);
    for (path, expected) in [
        ("/a", "a /"),
        ("/a/", "a /"),
        ("/a/c", "a /c"),
        ("/ab", "root /ab"),
        ("/a/b", "ab /"),
        ("/a/b/c/d", "ab /c/d"),
        ("/a/bc", "a /bc"),
        ("/", "root /"),
        ("//", "root //"),
    ] {
        assert_eq!(at(&table, "x", path, ""), expected, "{path}");
    }
}

#[test]
fn the_most_particular_host_wins_whatever_its_case_and_port() {
    let table = table(&[
        ("any", r#"{"path": "/", "function": "f"}"#),
        ("below", r#"{"host": "*.example.com", "path": "/", "function": "f"}"#),
        ("deeper", r#"{"host": "*.eu.example.com", "path": "/", "function": "f"}"#),
        ("shop", r#"{"host": "shop.example.com", "path": "/a", "function": "f"}"#),
        ("six", r#"{"host": "[::1]", "path": "/", "function": "f"}"#),
    ]);
    for (host, path, expected) in [
        ("SHOP.example.com:8080", "/a/x", "shop /x"),
        ("shop.example.com", "/b", "below /b"),
        ("a.b.example.com", "/", "below /"),
        ("x.eu.example.com", "/", "deeper /"),
        ("eu.example.com", "/", "below /"),
        ("example.com", "/", "any /"),
        ("[::1]:8080", "/", "six /"),
        ("next--shop.example.com", "/a", "shop / next"),
        ("next--shop.example.com", "/b", "below /b"),
    ] {
        assert_eq!(at(&table, host, path, ""), expected, "{host}{path}");
    }
}

#[test]
fn exact_paths_win_over_expressions_and_these_over_prefixes() {
    let table = table(&[
        ("prefix", r#"{"path": "/u", "function": "f"}"#),
        ("number", r#"{"path": "/u/[0-9]+", "path_match": "regex", "function": "f"}"#),
        ("long", r#"{"path": "/u/[0-9]+/(a|b)", "path_match": "regex", "function": "f"}"#),
        ("exact", r#"{"path": "/u/1", "path_match": "exact", "function": "f"}"#),
    ]);
    for (path, expected) in [
        ("/u/1", "exact /u/1"),
        ("/u/12", "number /u/12"),
        ("/u/12/b", "long /u/12/b"),
        ("/u/12/c", "prefix /12/c"),
        ("/v/u/12", "none"),
    ] {
        assert_eq!(at(&table, "x", path, ""), expected, "{path}");
    }
}

#[test]
fn more_conditions_win_then_the_name_and_what_fails_falls_through() {
    let table = table(&[
        ("plain", r#"{"path": "/a", "function": "f"}"#),
        ("root", r#"{"path": "/", "function": "f"}"#),
        (
            "two",
            r#"{"path": "/a", "function": "f",
                    "when": {"headers": [{"name": "x"}, {"name": "y"}]}}"#,
        ),
        ("one", r#"{"path": "/a", "function": "f", "when": {"headers": [{"name": "x"}]}}"#),
        ("only", r#"{"path": "/a/b", "function": "f", "when": {"methods": ["POST"]}}"#),
        ("zz", r#"{"path": "/", "function": "f"}"#),
    ]);
    assert_eq!(at(&table, "h", "/a", ""), "plain /");
    assert_eq!(at(&table, "h", "/a", "X: 1\r\n"), "one /");
    assert_eq!(at(&table, "h", "/a", "X: 1\r\nY: 2\r\n"), "two /");
    assert_eq!(at(&table, "h", "/a/b", "X: 1\r\n"), "one /b", "another method is asked for");
    assert_eq!(at(&table, "h", "/", ""), "root /");
}

#[test]
fn what_was_put_in_can_be_taken_out() {
    let texts = [
        ("a", r#"{"host": "*.b", "path": "/", "function": "f"}"#),
        ("b", r#"{"host": "b", "path": "/x", "path_match": "exact", "function": "f"}"#),
        ("c", r#"{"path": "/[a-z]", "path_match": "regex", "function": "f"}"#),
        ("d", r#"{"path": "/", "function": "f", "when": {"methods": ["GET"]}}"#),
        ("e", r#"{"path": "/", "function": "f"}"#),
    ];
    let before = table(&texts);
    let mut after = before.clone();
    for (name, text) in texts {
        after.remove(name, &serde_json::from_str(text).unwrap());
    }
    for (host, path) in [("a.b", "/"), ("b", "/x"), ("h", "/a"), ("h", "/")] {
        assert_ne!(at(&before, host, path, ""), "none", "a clone is not changed");
        assert_eq!(at(&after, host, path, ""), "none");
    }
    assert!(after.hosts.is_empty() && after.below.is_empty() && after.any_host.is_empty());
}

proptest! {
    #[test]
    fn a_route_that_is_alone_leads_where_it_would_among_others(
        path in "(/[ab]{0,2}){1,3}", asked in "(/[ab]{0,2}){1,4}", is_exact: bool,
    ) {
        let path_match = if is_exact { PathMatch::Exact } else { PathMatch::Prefix };
        let function = FunctionName::parse("f").unwrap();
        let route = Route { path_match, ..Route::prefix(Some("h".into()), path, function) };
        let mut alone = Table::default();
        alone.insert(&Arc::from("r"), &Arc::new(route), None).unwrap();
        let mut among = alone.clone();
        let other = r#"{"host": "h", "path": "/other", "function": "f"}"#;
        among.insert(&Arc::from("other"), &Arc::new(serde_json::from_str(other).unwrap()), None).unwrap();
        prop_assert!(matches!(alone.hosts.get("h"), Some(Host::One(_))));
        prop_assert!(matches!(among.hosts.get("h"), Some(Host::Many(_))));
        prop_assert_eq!(at(&alone, "h", &asked, ""), at(&among, "h", &asked, ""));
        among.remove("other", &serde_json::from_str(other).unwrap());
        prop_assert!(matches!(among.hosts.get("h"), Some(Host::One(_))));
    }
}

#[test]
fn every_kind_of_route_can_be_pointed_elsewhere_and_its_clone_is_not() {
    let texts = [
        ("one", r#"{"host": "*.b", "path": "/", "function": "f"}"#),
        ("exact", r#"{"host": "b", "path": "/x", "path_match": "exact", "function": "f"}"#),
        (
            "two",
            r#"{"host": "b", "path": "/x", "path_match": "exact", "function": "f", "when": {"methods": ["PUT"]}}"#,
        ),
        ("regex", r#"{"host": "b", "path": "/[a-z]", "path_match": "regex", "function": "f"}"#),
        ("any", r#"{"path": "/", "function": "f"}"#),
    ];
    let before = table(&texts);
    let mut after = before.clone();
    let target = Arc::new(Target::bare(FunctionName::parse("f").unwrap()));
    for (name, text) in texts {
        after.point(name, &serde_json::from_str(text).unwrap(), Some(Arc::clone(&target)));
    }
    for (host, target_text, name) in
        [("a.b", "/", "one"), ("b", "/x", "exact"), ("b", "/y", "regex"), ("h", "/", "any")]
    {
        let text = format!("GET {target_text} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        let asked = Asked { head: &head, client: None };
        let [was, is] = [&before, &after].map(|table| table.resolve(asked).unwrap());
        assert_eq!((was.route, is.route), (name, name));
        assert!(was.target.0.is_none());
        assert!(is.target.0.is_some_and(|is| Arc::ptr_eq(is, &target)), "{name}");
    }
}
