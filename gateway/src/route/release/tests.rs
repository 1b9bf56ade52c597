use hatchway_proto::http1::{Limits, parse_request};

use super::*;

const STABLE: &str = "0000000000000000";
const CANARY: &str = "00000000000000aa";
const OTHER: &str = "00000000000000bb";

fn version(function: &str) -> Version {
    serde_json::from_value(serde_json::json!({
        "function": function, "package": {"root": "/", "digest": ""}, "runtime": {"kind": "command", "argv": ["a"]},
        "resources": {"cpu_millis": 1, "memory_bytes": 1, "pids": 1, "files": 1, "tmp_bytes": 1},
        "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "1s",
        "clocks": {"queue": "1s", "start": "1s", "first_byte": "1s", "idle": "1s", "run": "1s"}
    }))
    .unwrap()
}

fn compiled(release: &str) -> Result<Releases, String> {
    let release: Release = serde_json::from_str(release).unwrap();
    let (ours, foreign) = (version("shop"), version("other"));
    let name = FunctionName::parse("shop").unwrap();
    Releases::new(&name, &release, |id| match id.as_str() {
        STABLE | CANARY | OTHER => Some(&ours),
        "00000000000000ff" => Some(&foreign),
        _ => None,
    })
}

fn shares(first: u16, second: u16) -> Releases {
    compiled(&format!(
        r#"{{"stable": "{STABLE}", "sticky": {{"header": "x-user"}},
            "shares": [{{"version": "{CANARY}", "basis_points": {first}}},
                       {{"version": "{OTHER}", "basis_points": {second}}}]}}"#
    ))
    .unwrap()
}

fn chosen(
    releases: &Releases,
    request: &str,
    tag: Option<&str>,
    drawn: u64,
) -> Option<(String, String)> {
    let text = format!("{}\r\nHost: h\r\n\r\n", request.replace('\n', "\r\n"));
    let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
    let asked = Asked { head: &head, client: "10.0.0.7".parse().ok() };
    let chosen = releases.choose(asked, (tag, None), || drawn).ok()?;
    Some((chosen.target.version.to_string(), format!("{:?}", chosen.because)))
}

fn of_user(releases: &Releases, user: u32) -> String {
    chosen(releases, &format!("GET / HTTP/1.1\nX-User: user-{user}"), None, 0).unwrap().0
}

#[test]
fn nobody_leaves_a_share_that_grows() {
    let steps =
        [(0, 0), (100, 0), (500, 300), (500, 2000), (5000, 2000), (8000, 2000), (10_000, 0)];
    let steps: Vec<_> = steps.into_iter().map(|(first, second)| shares(first, second)).collect();
    for user in 0..10_000 {
        let mut before = of_user(&steps[0], user);
        assert_eq!(before, STABLE);
        for step in &steps[1..6] {
            let now = of_user(step, user);
            assert!(before == STABLE || before == now, "user {user} went from {before} to {now}");
            before = now;
        }
        assert_eq!(of_user(&steps[6], user), CANARY);
    }
}

#[test]
fn a_share_is_as_large_as_it_says() {
    for basis_points in [100_u16, 500, 5000] {
        let releases = shares(basis_points, 0);
        let users = 100_000;
        let count = (0..users).filter(|user| of_user(&releases, *user) == CANARY).count();
        let share = f64::from(basis_points) / f64::from(BASIS_POINTS);
        let expected = f64::from(users) * share;
        // Five standard deviations of a binomial: one run in two million would fail by chance, and these are fixed.
        let bound = 5.0 * (expected * (1.0 - share)).sqrt();
        assert!((count as f64 - expected).abs() < bound, "{count} at {basis_points}");
    }
}

#[test]
fn two_functions_do_not_choose_the_same_users() {
    let [a, b] = ["shop", "cart"].map(|name| FunctionName::parse(name).unwrap());
    let both = (0..10_000).filter(|user| {
        let key = format!("user-{user}");
        bucket(&a, &key) < 1000 && bucket(&b, &key) < 1000
    });
    assert!((50..150).contains(&both.count()), "independent: about 100");
}

#[test]
fn who_is_not_known_is_drawn() {
    let releases = shares(5000, 0);
    assert_eq!(chosen(&releases, "GET / HTTP/1.1", None, 0).unwrap().0, CANARY);
    assert_eq!(chosen(&releases, "GET / HTTP/1.1", None, u64::MAX).unwrap().0, STABLE);
    assert_eq!((reduce(0), reduce(u64::MAX), reduce(1 << 63)), (0, 9999, 5000));
}

#[test]
fn tags_come_before_rules_and_rules_before_shares() {
    let releases = compiled(&format!(
        r#"{{"stable": "{STABLE}", "tags": {{"next": "{OTHER}"}},
            "rules": [{{"when": {{"query": [{{"name": "beta"}}]}},
                        "shares": [{{"version": "{CANARY}", "basis_points": 10000}}]}}]}}"#
    ))
    .unwrap();
    let get = |line: &str, tag| chosen(&releases, line, tag, 7);
    assert_eq!(get("GET / HTTP/1.1", None).unwrap().0, STABLE);
    let (version, because) = get("GET /?beta HTTP/1.1", None).unwrap();
    assert_eq!(version, CANARY);
    assert!(because.contains("rule: Some(0)"), "{because}");
    assert_eq!(get("GET /?beta HTTP/1.1\nX-Hatchway-Tag: next", None).unwrap().0, OTHER);
    assert_eq!(get("GET /?beta HTTP/1.1", Some("NEXT")).unwrap().0, OTHER);
    assert!(get("GET / HTTP/1.1", Some("none")).is_none());
}

#[test]
fn versions_are_counted_where_there_are_several_and_through_a_change() {
    let one = compiled(&format!(r#"{{"stable": "{STABLE}"}}"#)).unwrap().counted(None);
    assert!(one.stable().tally.is_none());
    let two = shares(100, 0).counted(Some(&one));
    let tally = two.stable().tally.clone().unwrap();
    let grown = shares(500, 0).counted(Some(&two));
    assert!(std::sync::Arc::ptr_eq(&tally, grown.stable().tally.as_ref().unwrap()));
    assert!(!std::sync::Arc::ptr_eq(&tally, grown.targets()[1].tally.as_ref().unwrap()));
}

#[test]
fn a_lane_has_a_version_of_its_own_or_that_of_everybody() {
    let releases = compiled(&format!(
        r#"{{"stable": "{STABLE}", "lanes": {{"blue": "{OTHER}"}},
            "rules": [{{"when": {{"query": [{{"name": "beta"}}]}}, "lane": "blue", "shares": []}},
                      {{"when": {{"query": [{{"name": "new"}}]}}, "lane": "green",
                        "shares": [{{"version": "{CANARY}", "basis_points": 10000}}]}}]}}"#
    ))
    .unwrap();
    for (target, lane, expected) in [
        ("/", None, (STABLE, None)),
        ("/", Some("blue"), (OTHER, Some("blue"))),
        ("/", Some("red"), (STABLE, Some("red"))),
        ("/?beta", None, (OTHER, Some("blue"))),
        ("/?beta", Some("red"), (STABLE, Some("red"))),
        ("/?new", None, (CANARY, Some("green"))),
        ("/?new", Some("blue"), (OTHER, Some("blue"))),
    ] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        let asked = Asked { head: &head, client: None };
        let chosen = releases.choose(asked, (None, lane), || 7).unwrap();
        assert_eq!((chosen.target.version.as_str(), chosen.lane), expected, "{target} {lane:?}");
    }
    assert!(releases.knows_lanes() && !shares(1, 1).knows_lanes());
}

#[test]
fn what_leads_nowhere_is_refused_with_its_reason() {
    for (release, expected) in [
        (r#"{"stable": "0123456789abcdef"}"#, "there is no version 0123456789abcdef"),
        (r#"{"stable": "00000000000000ff"}"#, "version 00000000000000ff is one of local/other"),
        (
            r#"{"stable": "0000000000000000", "rules": [{"when": {"methods": ["get"]}, "shares": []}]}"#,
            "rules[0].when.methods: methods have case: \"get\" is not \"GET\"",
        ),
    ] {
        assert_eq!(compiled(release).unwrap_err(), expected);
    }
}

/// Clients rely on their bucket from one release of Hatchway to the next.
#[test]
fn buckets_are_the_same_in_every_build() {
    let name = FunctionName::parse("shop").unwrap();
    let buckets = ["", "a", "user-1", "user-2"].map(|key| bucket(&name, key));
    assert_eq!(buckets, [1929, 7985, 3077, 8143]);
}
