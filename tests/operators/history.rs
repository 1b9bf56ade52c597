//! What was changed is known, and can be undone.

use serde_json::Value;

use crate::place::{Place, build, everywhere};

fn revision(told: &Value) -> i64 {
    told["revision"].as_i64().expect("a number")
}

/// Keys of one change, as `hatchway history --json` tells it.
fn keys(entry: &Value) -> Vec<&str> {
    let changes = entry["changes"].as_array().expect("a list");
    changes.iter().map(|change| change["key"].as_str().expect("a key")).collect()
}

/// Two changes: a project is applied, and a canary added to it.
fn with_a_canary(rules: &Place) -> (i64, i64) {
    let (stable, canary) = (build("stable"), build("canary"));
    let first = revision(&rules.apply(&stable, &["-m", "the first one"]));
    let folder = canary.folder().display().to_string();
    rules.json(&["release", "hello", "--add", &folder, "--share", "new=5%", "--as", "robot"]);
    (first, revision(&rules.json(&["history"])[0]))
}

fn every_change_says_who_when_why_and_what(rules: &Place) {
    let (first, second) = with_a_canary(rules);
    assert!(second > first);
    let known = rules.json(&["history"]);
    let [newest, oldest] = &known.as_array().expect("a list")[..] else { panic!("{known}") };
    let who = oldest["who"].as_str().expect("somebody");
    assert!(who.starts_with("ann@"), "{who}");
    assert_eq!((&oldest["why"], revision(oldest)), (&"the first one".into(), first));
    assert_eq!(
        (&newest["who"], &newest["why"]),
        (&"robot".into(), &"hatchway release hello".into())
    );
    let [version, release] = keys(newest)[..] else { panic!("{newest}") };
    assert!(version.starts_with("versions/"), "{version}");
    assert_eq!(release, "releases/local/hello");
    let differences = &newest["changes"][1]["differences"];
    assert_eq!(differences[0]["field"], "shares", "{differences}");
    assert_eq!(differences[0]["after"][0]["basis_points"], 500, "{differences}");

    assert_eq!(rules.json(&["history", "routes/local.hello.0"]).as_array().map(Vec::len), Some(1));
    assert_eq!(rules.json(&["history", "-n", "1"]).as_array().map(Vec::len), Some(1));
    let text = rules.says(&["history", "releases/hello"]);
    assert!(text.contains("robot") && text.contains("  shares: new, [{"), "{text}");
    let between = rules.json(&["diff", &first.to_string(), &second.to_string()]);
    assert_eq!(between.as_object().map(serde_json::Map::len), Some(2), "{between}");
    assert_eq!(rules.json(&["diff", &first.to_string()]), between, "nothing has come since");
}

fn what_was_is_made_so_again_and_that_is_undone_too(rules: &Place) {
    let (first, second) = with_a_canary(rules);
    let canary = rules.json(&["release", "hello"]);
    let told = rules.json(&["rollback", &first.to_string()]);
    assert_eq!(told["written"], 2, "{told}");
    let release = rules.json(&["release", "hello"])["release"].take();
    assert_eq!(release.get("shares"), None, "{release}");
    let why = rules.refuses(&["rollback", &second.to_string(), "releases/hello"]);
    assert!(why.contains("would lead to versions/"), "{why}");

    rules.says(&["rollback", &second.to_string(), "-m", "it was not the canary"]);
    assert_eq!(rules.json(&["release", "hello"]), canary);
    assert_eq!(rules.json(&["rollback", &second.to_string()])["written"], 0, "it is so already");
    let known = rules.json(&["history"]);
    assert_eq!(known[0]["why"], "it was not the canary");
    assert_eq!(known[1]["why"], format!("rollback to {first}").as_str());

    rules.says(&["release", "hello", "--no-shares"]);
    rules.says(&["rollback", &second.to_string(), "releases/hello"]);
    assert_eq!(rules.json(&["release", "hello"]), canary, "one object alone");
}

fn old_changes_are_forgotten_and_it_is_said(rules: &Place) {
    let (first, _) = with_a_canary(rules);
    for share in ["6", "7"] {
        let share = format!("--sticky=header:x-{share}");
        rules.says(&["release", "hello", &share, "--keep-history", "2"]);
    }
    assert_eq!(rules.json(&["history"]).as_array().map(Vec::len), Some(2));
    let why = rules.refuses(&["rollback", &first.to_string()]);
    assert!(why.contains("the history begins with"), "{why}");
}

everywhere! {
    every_change_says_who_when_why_and_what,
    what_was_is_made_so_again_and_that_is_undone_too,
    old_changes_are_forgotten_and_it_is_said,
}

/// etcd's own history is gone, and ours is not; a change by hand is seen as one.
#[test]
fn compaction_takes_nothing_and_what_nobody_recorded_is_not_guessed() {
    let rules = Place::etcd();
    let (first, second) = with_a_canary(&rules);
    rules.in_etcd().compact();
    rules.says(&["rollback", &first.to_string()]);
    rules.says(&["rollback", &second.to_string()]);
    let after = revision(&rules.json(&["history"])[0]);
    rules.in_etcd().put("routes/local.hello.0", r#"{"path":"/by-hand","function":"local/hello"}"#);
    let why = rules.refuses(&["rollback", &after.to_string()]);
    assert!(why.contains("routes/local.hello.0 was changed at revision"), "{why}");
    rules.says(&["rollback", &first.to_string(), "releases/hello"]);
}
