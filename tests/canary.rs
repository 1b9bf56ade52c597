//! A new version serves a growing part of the clients, then everybody, by rules that change under load.

use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use hatchway_tests::{Client, Pair, Project, eventually, program_path};
use serde_json::Value;

const MANIFEST: &str = "[function.hello]\nruntime = \"node\"\nhandler = \"hello.mjs#hello\"\n\
                        http = { path = \"/hello\" }\nmax = 2\n";

/// A project whose function says which build it is.
fn build(name: &str) -> Project {
    let code = format!("export const hello = () => ({{ build: '{name}' }});\n");
    Project::new(MANIFEST).file("hello.mjs", code)
}

/// `hatchway release hello`: the release as it is then.
fn release(project: &Project, arguments: &[&str]) -> Value {
    let mut command = Command::new(program_path("hatchway"));
    command
        .args(["release", "hello", "--json", "--catalog"])
        .arg(project.catalog())
        .args(arguments);
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    told["release"].clone()
}

/// Waits until the gateway goes by the release.
fn applied(pair: &Pair, revision: u64) {
    eventually("the rules at the gateway", || {
        let status = pair.gateway.admin.status();
        (status["catalog"]["revision"].as_u64()? > revision).then_some(())
    });
}

fn revision(pair: &Pair) -> u64 {
    pair.gateway.admin.status()["catalog"]["revision"].as_u64().expect("a number")
}

/// Which build serves a user.
fn build_of(client: &Client, user: usize) -> String {
    let user = format!("user-{user}");
    let answer = client.request("GET", "/hello", &[("x-user", &user)], &[]).expect("an answer");
    answer.ok()["build"].as_str().expect("it says so").to_owned()
}

fn builds(pair: &Pair) -> HashMap<usize, String> {
    (0..200).map(|user| (user, build_of(&pair.gateway, user))).collect()
}

fn count(builds: &HashMap<usize, String>, build: &str) -> usize {
    builds.values().filter(|one| *one == build).count()
}

/// Ends the load, also when a test fails before it would.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_canary_grows_under_load_and_nobody_is_refused_or_sent_back() {
    let (stable, canary) = (build("stable"), build("canary"));
    let pair = Pair::start(&stable);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (client, mut answers) = (Client::new(pair.gateway.address), 0);
            while !is_over.load(Ordering::Relaxed) {
                build_of(&client, answers);
                answers += 1;
            }
            answers
        });
        let until = Until(&is_over);
        let folder = canary.folder();
        let folder = folder.to_str().expect("the path is UTF-8");
        let (mut before, mut id) = (builds(&pair), String::new());
        assert_eq!(count(&before, "stable"), 200);
        for (percent, bounds) in [("10%", 4..=40), ("50%", 60..=140), ("100%", 200..=200)] {
            let known = revision(&pair);
            let share = if id.is_empty() { "new" } else { &id };
            let share = format!("{share}={percent}");
            let mut arguments = vec!["--share", &share, "--sticky", "header:x-user"];
            if id.is_empty() {
                arguments.extend(["--add", folder]);
            }
            let told = release(&stable, &arguments);
            id = told["shares"][0]["version"].as_str().expect("a version").to_owned();
            applied(&pair, known);
            let now = builds(&pair);
            assert!(
                bounds.contains(&count(&now, "canary")),
                "{percent}: {}",
                count(&now, "canary")
            );
            for (user, build) in &before {
                assert!(build == "stable" || now[user] == "canary", "user {user} was sent back");
            }
            before = now;
        }
        let known = revision(&pair);
        let told = release(&stable, &["--stable", &id]);
        assert_eq!(told.get("shares"), None);
        applied(&pair, known);
        assert_eq!(count(&builds(&pair), "canary"), 200);
        drop(until);
        assert!(load.join().expect("every request was answered well") > 0);
    });
}

#[test]
fn prometheus_sees_a_canary_by_its_version_for_as_long_as_there_is_one() {
    let stable = build("stable");
    let failing = Project::new(MANIFEST)
        .file("hello.mjs", "export const hello = () => { throw new Error('not yet'); };\n");
    let pair = Pair::start(&stable);
    let known = revision(&pair);
    let folder = failing.folder();
    let arguments = ["--add", folder.to_str().expect("UTF-8"), "--share", "new=50%"];
    let told = release(&stable, &[&arguments[..], &["--sticky", "header:x-user"]].concat());
    applied(&pair, known);
    let id = |told: &Value| told.as_str().expect("a version").to_owned();
    let (good, bad) = (id(&told["stable"]), id(&told["shares"][0]["version"]));
    let ask = |user: usize| {
        let user = format!("user-{user}");
        pair.gateway.request("GET", "/hello", &[("x-user", &user)], &[]).expect("an answer").status
    };
    let failed = (0..100).filter(|user| ask(*user) == 500).count() as f64;
    assert!((25.0..75.0).contains(&failed), "{failed}");

    let of = |name: &str, more: &str, version: &str| {
        let version = format!("version=\"{version}\"");
        pair.gateway.admin.metrics().sum(name, &["function=\"local/hello\"", &version, more])
    };
    eventually("every request by its version", || {
        let all = [&good, &bad].map(|version| of("gateway_version_requests_total", "", version));
        (all == [100.0 - failed, failed]).then_some(())
    });
    let served = of("gateway_version_requests_total", "class=\"2xx\"", &good);
    assert_eq!((served, of("gateway_version_errors_total", "", &good)), (100.0 - failed, 0.0));
    assert_eq!(of("gateway_version_errors_total", "", &bad), failed);
    assert_eq!(of("gateway_version_request_seconds_count", "", &bad), failed);

    let known = revision(&pair);
    release(&stable, &["--stable", &bad]);
    applied(&pair, known);
    let metrics = pair.gateway.admin.metrics();
    assert!(!metrics.text.contains(&good), "nobody names it any more");
    assert_eq!(metrics.sum("gateway_requests_total", &["local/hello"]), 100.0);
}

#[test]
fn a_version_is_tried_by_its_tag_before_it_serves_anybody() {
    let (stable, next) = (build("stable"), build("next"));
    let pair = Pair::start(&stable);
    let known = revision(&pair);
    let folder = next.folder();
    release(&stable, &["--add", folder.to_str().expect("UTF-8"), "--tag", "next=new"]);
    applied(&pair, known);
    let ask = |fields: &[(&str, &str)]| {
        pair.gateway.request("GET", "/hello", fields, &[]).expect("an answer")
    };
    assert_eq!(ask(&[]).ok()["build"], "stable");
    assert_eq!(ask(&[("x-hatchway-tag", "next")]).ok()["build"], "next");
    let none = ask(&[("x-hatchway-tag", "none")]);
    assert_eq!((none.status, none.problem().reason.as_str()), (404, "no-tag"));
}

#[test]
fn explain_says_which_bucket_chose_the_version() {
    let (stable, canary) = (build("stable"), build("canary"));
    let pair = Pair::start(&stable);
    let known = revision(&pair);
    let folder = canary.folder();
    let arguments = ["--add", folder.to_str().expect("UTF-8"), "--share", "new=50%", "--sticky"];
    release(&stable, &[&arguments[..], &["header:x-user"]].concat());
    applied(&pair, known);
    let mut said = BTreeMap::new();
    for user in 0..20 {
        let mut command = Command::new(program_path("hatchway"));
        let admin = format!("http://{}", pair.gateway.admin.address);
        command.args(["explain", "GET", "/hello", "--json", "--admin", &admin]);
        command.args(["-H", &format!("X-User: user-{user}")]);
        let output = command.output().expect("the program starts");
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let step = told["steps"]
            .as_array()
            .and_then(|steps| steps.iter().find(|s| s["stage"] == "release"));
        let step = step.expect("a step of the release").clone();
        assert!(
            step["because"].as_str().is_some_and(|text| text.contains("bucket is the client's")),
            "{step}"
        );
        let is_stable = step["decision"].as_str().is_some_and(|text| text.ends_with("(stable)"));
        let expected = if is_stable { "stable" } else { "canary" };
        assert_eq!(build_of(&pair.gateway, user), expected);
        *said.entry(expected).or_insert(0) += 1;
    }
    assert_eq!(said.len(), 2, "both were seen: {said:?}");
}
