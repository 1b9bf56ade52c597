//! The access log as an operator reads it: a line of JSON for every request, whatever came of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hatchway_tests::{GatewayProgram, NodeProgram, PUPPET, Project, Up, apply, eventually, puppet};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn project(lines: &str) -> Project {
    Project::new(&puppet("puppet", lines)).file("puppet.mjs", PUPPET)
}

/// In a folder where anybody may write: the program gives its privileges up before it opens the file.
fn log_of(project: &Project) -> PathBuf {
    let folder = project.root().join("log");
    fs::create_dir(&folder).expect("own folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("own folder");
    folder.join("access.log")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// Waits until there are so many.
#[track_caller]
fn wait_lines(path: &Path, count: usize) -> Vec<Value> {
    eventually("all lines are written", || (lines(path).len() >= count).then_some(()));
    let lines = lines(path);
    assert_eq!(lines.len(), count, "{lines:#?}");
    lines
}

fn hang_up(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("it is not 0");
    kill_process(pid, Signal::HUP).expect("it runs");
}

#[test]
fn every_request_has_a_line_whatever_came_of_it() {
    let project = project("concurrency = 1\nmax = 1\ntimeouts = { first_byte = \"300ms\" }");
    let log = log_of(&project);
    let up = Up::start_with(&project, &["--access-log", &log.display().to_string()]);
    up.get("/puppet?name=Ada").ok();
    up.get("/puppet").ok();
    up.get("/nowhere");
    let agent = "\"}\\\t{\"status\":200";
    let traced = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("user-agent", agent), ("traceparent", traced), ("x-request-id", "mine")];
    up.request("GET", "/puppet?do=wait", &headers, b"").expect("it is answered");
    let mut raw = up.raw();
    raw.send("GET / HTTP/1.1\r\nHost: a\r\nbad line\r\n\r\n");
    assert_eq!(raw.head().status, 400);
    let mut raw = up.raw();
    raw.get("/puppet?do=endless");
    assert_eq!(raw.head().status, 200);
    raw.chunk().expect("it has begun");
    raw.leave();
    let curl = |argument: &str| {
        let url = format!("http://{}/puppet", up.address);
        let mut curl = Command::new("curl");
        let status = curl.args(["-s", argument, &url]).stdout(Stdio::null()).status();
        assert!(status.expect("curl is installed").success());
    };
    wait_lines(&log, 6);
    curl("--http2-prior-knowledge");
    curl("--http1.0");
    let lines = wait_lines(&log, 8);

    let cold = &lines[0];
    assert_eq!(
        [&cold["method"], &cold["path"], &cold["query"], &cold["client"], &cold["protocol"]],
        ["GET", "/puppet", "name=Ada", "127.0.0.1", "HTTP/1.1"]
    );
    assert_eq!((&cold["status"], &cold["start"]), (&json!(200), &json!("cold")));
    assert_eq!((&cold["function"], &cold["tls"]), (&json!("local/puppet"), &json!(false)));
    for number in ["start_ms", "first_byte_ms", "duration_ms", "bytes_in", "bytes_out", "sandbox"] {
        assert!(cold[number].as_f64().is_some_and(|number| number > 0.0), "{number}: {cold}");
    }
    assert!(cold["time"].as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 24));
    assert_eq!(cold["trace_id"].as_str().map(str::len), Some(32));
    let warm = &lines[1];
    assert_eq!((&warm["start"], &warm["sandbox"]), (&json!("warm"), &cold["sandbox"]));
    assert!(warm.get("start_ms").is_none() && warm.get("query").is_none(), "{warm}");
    let none = &lines[2];
    assert_eq!((&none["status"], &none["reason"]), (&json!(404), &json!("no-route")));
    assert_eq!(none["error"], "destination_not_found");
    let late = &lines[3];
    assert_eq!((&late["status"], &late["reason"]), (&json!(504), &json!("first-byte-clock")));
    assert_eq!(
        (&late["error"], &late["request_id"]),
        (&json!("http_response_timeout"), &json!("mine"))
    );
    assert_eq!((&late["user_agent"], &late["trace_id"]), (&json!(agent), &json!(&traced[3..35])));
    let bad = &lines[4];
    assert_eq!((&bad["status"], &bad["error"]), (&json!(400), &json!("http_request_error")));
    assert_eq!((&bad["client"], bad.get("path")), (&json!("127.0.0.1"), None));
    let left = &lines[5];
    assert_eq!((&left["status"], &left["ended"]), (&json!(200), &json!("client-left")));
    assert!(left["bytes_out"].as_u64() > Some(1024), "{left}");
    assert_eq!(
        (&lines[6]["protocol"], &lines[7]["protocol"]),
        (&json!("HTTP/2"), &json!("HTTP/1.0"))
    );
    up.stop();
}

#[test]
fn a_log_that_was_renamed_goes_on_in_a_new_file_and_its_end_is_not_lost() {
    let project = project("");
    let log = log_of(&project);
    let path = log.display().to_string();
    let up = Up::start_with(&project, &["--access-log", &path, "--access-log-without-query"]);
    up.get("/puppet?secret=1").ok();
    assert!(wait_lines(&log, 1)[0].get("query").is_none());
    let old = log.with_extension("log.1");
    fs::rename(&log, &old).expect("own folder");
    hang_up(up.pid());
    eventually("a new file is begun", || log.exists().then_some(()));
    up.get("/puppet").ok();
    // The end of the program writes what still waits.
    up.stop();
    assert_eq!((lines(&log).len(), lines(&old).len()), (1, 1));
    let mode = fs::metadata(&log).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn a_disk_that_is_full_loses_lines_and_no_request() {
    let project = project("");
    let up = Up::start_with(&project, &["--access-log", "/dev/full"]);
    for _ in 0..20 {
        up.get("/puppet").ok();
    }
    let dropped = || up.admin.metrics().sum("gateway_access_log_dropped_total", &[]);
    eventually("all are counted", || (dropped() >= 20.0).then_some(()));
    assert_eq!(dropped(), 20.0);
    let warned = "the access log cannot be written";
    up.output().wait("a warning", |line| line.contains(warned).then_some(()));
    assert_eq!(up.output().to_string().matches(warned).count(), 1, "said once");
    up.stop();
}

#[test]
fn a_file_that_cannot_be_written_is_told_at_the_start() {
    let project = project("");
    apply(&project);
    let output = Command::new(hatchway_tests::program_path("hatchway-gateway"))
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--node", "unix:/nowhere"])
        .args(["--access-log", "/nowhere/access.log"])
        .arg("--catalog")
        .arg(project.catalog())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("--access-log: cannot write to /nowhere/access.log"), "{said}");
}

#[test]
fn a_gateway_learns_from_its_node_who_has_served() {
    let project = project("concurrency = 1\nmax = 1\ntimeouts = { first_byte = \"300ms\" }");
    apply(&project);
    let node = NodeProgram::start(&project);
    let log = log_of(&project);
    let rules = ["--catalog", &project.catalog().display().to_string()].map(str::to_owned);
    let words = ["--access-log", &log.display().to_string()].map(str::to_owned);
    let gateway = GatewayProgram::start_with(&project, &[rules, words].concat());
    let cold = gateway.get("/puppet");
    cold.ok();
    assert_eq!(cold.header("hatchway-served"), "", "it is between the two");
    gateway.get("/puppet").ok();
    let sandbox = node.admin.sandbox("puppet").id;
    // Its only sandbox is ended with it.
    let late = gateway.get("/puppet?do=wait");
    assert_eq!((late.status, late.header("hatchway-failure")), (504, ""));
    let lines = wait_lines(&log, 3);
    assert_eq!((&lines[0]["start"], &lines[1]["start"]), (&json!("cold"), &json!("warm")));
    assert!(lines[0]["start_ms"].as_f64() > Some(0.0), "{}", lines[0]);
    for line in &lines[..2] {
        assert!(line["node"].as_str().is_some_and(|node| node.ends_with("node.sock")), "{line}");
        assert_eq!(line["sandbox"], sandbox, "{line}");
    }
    assert_eq!(lines[2]["error"], "http_response_timeout");
    assert_eq!(lines[2]["reason"], "first-byte-clock");
    gateway.stop();
    node.stop();
}
