//! A function that tries to leave its sandbox, and is seen to fail: with the programs as they run, in the company of a
//! neighbour and the daemon.

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;

use hatchway_tests::{PUPPET, Project, Up, proc, puppet, skipped};
use serde_json::{Value, json};

const HOSTILE: &str = include_str!("functions/hostile.py");

fn hostile(name: &str, export: &str) -> String {
    format!(
        "[function.{name}]\nruntime = \"python\"\nhandler = \"hostile.py#{export}\"\n\
         http = {{ path = \"/{name}\" }}\n"
    )
}

fn project() -> Project {
    let neighbour = puppet("neighbour", "package = \"secret\"\n");
    Project::new(
        &(hostile("hostile", "run")
            + &hostile("one", "describe")
            + &hostile("two", "describe")
            + &neighbour),
    )
    .file("hostile.py", HOSTILE)
    .file("secret/puppet.mjs", PUPPET)
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

/// The address of this machine on its way to others, which is bound by no packet.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

#[test]
fn every_attempt_of_a_hostile_function_fails() {
    let project = project();
    let up = Up::start(&project);
    if !is_isolated(&up, "every_attempt_of_a_hostile_function_fails") {
        return;
    }
    let neighbour = up.get("/neighbour").ok();
    let daemon = up.pid();
    let pids: Vec<u32> =
        [daemon].into_iter().chain(proc::descendants(daemon).iter().map(|one| one.pid)).collect();
    let path = |path: std::path::PathBuf| path.display().to_string();
    let mut addresses = vec![
        up.address.to_string(),
        up.admin.address.to_string(),
        "169.254.169.254:80".to_owned(),
        "192.0.2.1:80".to_owned(),
    ];
    addresses.extend(own_address().map(|own| format!("{own}:{}", up.address.port())));
    let sockets: Vec<_> = fs::read_to_string("/proc/net/unix")
        .expect("proc is mounted")
        .lines()
        .filter_map(|line| line.split_whitespace().nth(7))
        .filter(|socket| socket.starts_with('/'))
        .map(str::to_owned)
        .collect();
    let targets = json!({
        "files": [
            path(project.folder().join("secret/puppet.mjs")),
            path(project.state().join("lock")),
            format!("/proc/{daemon}/environ"),
            format!("/proc/{daemon}/mem"),
            env!("CARGO_MANIFEST_DIR").to_owned() + "/Cargo.toml",
        ],
        "folders": [path(project.root().to_owned()), path(project.state()), "/home", "/var", "/boot", "/sys"],
        "pids": pids,
        "addresses": addresses,
        "sockets": sockets,
    });
    let mut found: BTreeMap<String, Value> = up.post("/hostile", &targets).json();
    let control = found.remove("read what it may");
    assert!(
        control.is_some_and(|read| read.is_string()),
        "attempts fail because they are badly made"
    );
    assert!(found.len() > 60, "only {} attempts were made", found.len());
    let successes: Vec<_> = found.iter().filter(|(_, result)| !result.is_null()).collect();
    assert!(successes.is_empty(), "{successes:#?}");

    assert_eq!(up.get("/neighbour").ok()["pid"], neighbour["pid"], "nobody was harmed");
    assert_eq!(up.pid(), daemon);
    up.stop();
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
    let kind = |link: &Value| {
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
