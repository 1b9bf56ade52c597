//! Gateways say how far they have come, and operators wait for it.

use hatchway_tests::{GatewayProgram, Project, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::place::{Place, build};

pub(crate) fn gateway(project: &Project, rules: &Place, name: &str) -> GatewayProgram {
    let own = ["--name".to_owned(), name.to_owned()];
    GatewayProgram::start_with(project, &[&rules.words[..], &own].concat())
}

fn signal(gateway: &GatewayProgram, signal: Signal) {
    let pid = i32::try_from(gateway.pid()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process id is positive"), signal).expect("it is our child");
}

fn gateways(rules: &Place) -> Value {
    rules.json(&["status"])
}

fn moved(project: &Project, path: &str) {
    let manifest = format!(
        "[function.hello]\nruntime = \"node\"\nhandler = \"hello.mjs#hello\"\nhttp = {{ path = \"{path}\" }}\n"
    );
    project.write("hatchway.toml", manifest);
}

#[test]
fn apply_waits_for_all_gateways_and_names_those_that_are_behind() {
    let rules = Place::etcd();
    let project = build("stable");
    let told = rules.apply(&project, &["--wait"]);
    assert_eq!(told["gateways"], 0, "nobody is there yet");
    let (one, two) = (gateway(&project, &rules, "gw-1"), gateway(&project, &rules, "gw-2"));
    eventually("both have said something", || {
        let said = gateways(&rules);
        (said["gw-1"]["revision"].as_i64()? > 0 && said["gw-2"]["revision"].as_i64()? > 0)
            .then_some(())
    });
    moved(&project, "/moved");
    let told = rules.apply(&project, &["--wait"]);
    assert_eq!(told["gateways"], 2, "{told}");
    for gateway in [&one, &two] {
        // No wait: it is in force.
        let answer = gateway.get("/moved");
        assert_ne!(answer.status, 404, "the route leads to a node that is not there");
    }

    signal(&two, Signal::STOP);
    moved(&project, "/again");
    let folder = project.folder().display().to_string();
    let why = rules.refuses(&["apply", &folder, "--wait=1"]);
    signal(&two, Signal::CONT);
    assert!(why.contains("gw-2 has not applied it"), "{why}");
    assert!(!why.contains("gw-1"), "{why}");
    let told = rules.apply(&project, &["--wait"]);
    assert_eq!((&told["gateways"], &told["written"]), (&2.into(), &0.into()));

    // Who is dead is not waited for, once its lease has run out.
    two.kill();
    moved(&project, "/last");
    assert_eq!(rules.apply(&project, &["--wait"])["gateways"], 1);
}

#[test]
fn what_a_gateway_refuses_is_shown_with_its_reason() {
    let rules = Place::etcd();
    let project = build("stable");
    rules.apply(&project, &[]);
    let _gateway = gateway(&project, &rules, "gw-1");
    rules.in_etcd().put("routes/bad", r#"{"path":"bad","function":"local/hello"}"#);
    rules.in_etcd().put("routes/astray", r#"{"path":"/astray","function":"local/nobody"}"#);
    eventually("both are refused", || {
        let refused = gateways(&rules)["gw-1"]["refused"].take();
        let bad = refused["routes/bad"].as_str()?.contains("does not start with /");
        let astray =
            refused["routes/astray"].as_str()?.contains("there is no function local/nobody");
        (bad && astray).then_some(())
    });
    let text = rules.says(&["status"]);
    assert!(text.contains("gw-1 refuses routes/bad: path"), "{text}");

    // What was refused before is no failure of this change.
    moved(&project, "/moved");
    assert_eq!(rules.apply(&project, &["--wait"])["gateways"], 1);
}
