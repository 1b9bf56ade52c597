//! What a function finds when it looks around in its sandbox, without any effort; `hostile/` makes an effort.

use std::fs;

use hatchway_tests::{Project, Up, skipped};
use serde_json::json;

fn project() -> Project {
    let function = |name: &str| {
        format!(
            "[function.{name}]\nruntime = \"python\"\nhandler = \"describe.py#describe\"\n\
             http = {{ path = \"/{name}\" }}\n"
        )
    };
    Project::new(&(function("one") + &function("two")))
        .file("describe.py", include_str!("functions/describe.py"))
}

/// Whether everything is isolated here, limits apart; says so where it is not.
fn is_isolated(up: &Up, test: &str) -> bool {
    let status = up.admin.status();
    let missing = status["isolation"]["missing"].as_array().expect("a list");
    let walls: Vec<_> = missing.iter().filter(|one| one["what"] != "control group").collect();
    if !walls.is_empty() {
        skipped(test, &format!("{walls:?}"));
    }
    walls.is_empty()
}

#[test]
fn a_function_has_no_rights_no_inheritance_and_an_identity_of_its_own() {
    let project = project();
    let up = Up::start(&project);
    if !is_isolated(&up, "a_function_has_no_rights_no_inheritance_and_an_identity_of_its_own") {
        return;
    }
    let (one, two) = (up.get("/one").ok(), up.get("/two").ok());
    assert_ne!(one["uid"], 0);
    assert_ne!(one["uid"], two["uid"], "two sandboxes have the same user");
    assert_eq!(one["groups"], json!([]));
    let none = "0000000000000000";
    assert_eq!(
        one["status"],
        json!({ "CapEff": none, "CapPrm": none, "CapBnd": none, "NoNewPrivs": "1", "Seccomp": "2" })
    );
    assert_eq!((&one["tmp"], &one["shm"]), (&json!(["mine"]), &json!([])), "of another");
    assert_eq!(one["interfaces"], json!(["lo"]));
    let own_host = fs::read_to_string("/proc/sys/kernel/hostname").expect("proc is mounted");
    assert_ne!(one["host"], own_host.trim());

    let environment = one["environment"].as_object().expect("a table");
    for (name, value) in environment {
        let is_known = ["HOME", "LANG", "PATH", "TMPDIR", "PORT"].contains(&name.as_str())
            || name.starts_with("HATCHWAY_")
            || name.starts_with("PYTHON");
        assert!(is_known, "{name}={value} came from somewhere");
    }
    assert_eq!(environment["TMPDIR"], "/tmp");

    let files = one["descriptors"].as_object().expect("a table");
    let kind = |link: &serde_json::Value| {
        let link = link.as_str().unwrap_or_default();
        link.split([':', '(']).next().unwrap_or_default().to_owned()
    };
    let sockets = files.values().filter(|link| kind(link) == "socket").count();
    assert!(sockets <= 2, "its listener and this call: {files:?}");
    for link in files.values().filter(|link| kind(link).starts_with('/')) {
        let is_harmless =
            link == "/dev/null" || link.as_str().is_some_and(|l| l.starts_with("/proc/"));
        assert!(is_harmless, "{link} is open in {files:?}");
    }
    up.stop();
}
