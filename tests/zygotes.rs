//! The second cold start of a function is a fork of a process that has loaded its code; what cannot be forked starts as
//! before, and says why.

use hatchway_tests::{Answer, Project, Up, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const MANIFEST: &str = r#"
[function.forked]
runtime = "python"
handler = "forked.py#main"
http = { path = "/forked" }
server_timing = true
"#;

const CODE: &str = "
import os, random, secrets, uuid
loaded_by = os.getpid()
def main(ctx, query=None):
    return {'pid': os.getpid(), 'loaded_by': loaded_by, 'random': random.random(), 'uuid': str(uuid.uuid4()),
            'secret': secrets.token_hex(8), 'sandbox': os.environ['HATCHWAY_SANDBOX']}
";

const THREADED: &str = "
import threading
threading.Thread(target=threading.Event().wait, name='heart', daemon=True).start()
";

fn project(before: &str) -> Project {
    reaped_after("200ms", before)
}

fn reaped_after(idle: &str, before: &str) -> Project {
    let manifest = format!("{MANIFEST}idle_timeout = \"{idle}\"\n");
    Project::new(&manifest).file("forked.py", format!("{before}{CODE}"))
}

/// The row of a function among the zygotes.
fn zygote(up: &Up) -> Option<Value> {
    let rows: Vec<Value> = up.admin.get("/v1/zygotes").json();
    rows.into_iter().find(|row| row["function"] == "local/forked")
}

/// True when this machine can fork at all; says aloud when it cannot.
fn can_fork(up: &Up, test: &str) -> bool {
    let lacks =
        ["control group", "process-id namespace"].into_iter().find(|part| up.admin.lacks(part));
    if let Some(part) = lacks {
        hatchway_tests::skipped(test, part);
    }
    lacks.is_none()
}

fn wait_for(up: &Up, state: &str) -> Value {
    eventually(&format!("a zygote that is {state}"), || {
        zygote(up).filter(|row| row["state"] == state)
    })
}

fn wait_until_reaped(up: &Up) {
    eventually("an idle sandbox is reaped", || up.admin.sandboxes().is_empty().then_some(()));
}

/// Whether the sandbox of this answer, which waited for its start, was forked.
fn is_forked(answer: &Answer) -> bool {
    let timing = answer.header("server-timing");
    assert!(timing.contains("load;dur="), "{timing:?}");
    timing.contains("fork;dur=")
}

/// Waits until so many starts of a tier are counted, which is after the first answer of the last one at times.
#[track_caller]
fn wait_for_starts(up: &Up, tier: &str, count: u32) {
    let label = format!("tier=\"{tier}\"");
    let labels = ["function=\"local/forked\"", &label];
    eventually(&format!("{count} starts by {tier}"), || {
        let counted = up.admin.metrics().sum("node_starts_total", &labels);
        (counted == f64::from(count)).then_some(())
    });
}

#[track_caller]
fn wait_for_fallback(up: &Up, reason: &str) {
    let label = format!("reason=\"{reason}\"");
    eventually(&format!("a fallback for {reason}"), || {
        (up.admin.metrics().sum("node_start_fallbacks_total", &[&label]) >= 1.0).then_some(())
    });
}

/// Of a child of a zygote: the zygote.
fn parent(pid: u32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is alive");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("it has one");
    parent.trim().parse().expect("a number")
}

fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).expect("a process id is positive");
    kill_process(pid, Signal::KILL).expect("it is alive");
}

#[test]
fn the_second_cold_start_is_a_fork_with_random_numbers_of_its_own() {
    let project = project("");
    let up = Up::start(&project);
    if !can_fork(&up, "the_second_cold_start_is_a_fork") {
        return;
    }
    let first = up.get("/forked").ok();
    assert_eq!(first["pid"], first["loaded_by"]);
    wait_for(&up, "ready");
    let mut answers = vec![first];
    for count in 1..=3 {
        wait_until_reaped(&up);
        let answer = up.get("/forked");
        assert!(is_forked(&answer));
        let answer = answer.ok();
        assert_ne!(answer["pid"], answer["loaded_by"]);
        wait_for_starts(&up, "fork", count);
        answers.push(answer);
    }
    for name in ["random", "uuid", "secret", "sandbox"] {
        for (index, one) in answers.iter().enumerate() {
            assert!(answers[index + 1..].iter().all(|other| one[name] != other[name]), "{name}");
        }
    }
    assert_eq!(zygote(&up).expect("it is kept")["forks"], 3);
    up.stop();
}

#[test]
fn a_function_with_a_thread_starts_as_before_and_says_why() {
    let project = project(THREADED);
    let up = Up::start(&project);
    if !can_fork(&up, "a_function_with_a_thread_starts_as_before") {
        return;
    }
    up.get("/forked").ok();
    let row = wait_for(&up, "barred");
    assert_eq!(row["reason"], "threads");
    assert!(row["detail"].as_str().is_some_and(|detail| detail.contains("heart")), "{row}");
    wait_until_reaped(&up);
    assert!(!is_forked(&up.get("/forked")));
    wait_for_fallback(&up, "threads");
    up.stop();
}

#[test]
fn the_death_of_a_zygote_ends_no_sandbox_and_keeps_no_start_from_coming() {
    let project = reaped_after("2s", "");
    let up = Up::start(&project);
    if !can_fork(&up, "the_death_of_a_zygote_ends_no_sandbox") {
        return;
    }
    up.get("/forked").ok();
    wait_for(&up, "ready");
    wait_until_reaped(&up);
    let child = up.get("/forked").ok();
    kill(parent(up.admin.sandbox("forked").pid.expect("it runs")));
    let row = wait_for(&up, "barred");
    assert_eq!(row["reason"], "died", "{row}");
    assert_eq!(up.get("/forked").ok()["sandbox"], child["sandbox"]);
    wait_until_reaped(&up);
    assert!(!is_forked(&up.get("/forked")));
    wait_for_fallback(&up, "died");
    up.stop();
}

#[test]
fn starts_are_ordinary_ones_where_the_operator_says_so() {
    let project = project("");
    let up = Up::start_with(&project, &["--starts", "fresh"]);
    for _ in 0..2 {
        assert!(!is_forked(&up.get("/forked")));
        wait_until_reaped(&up);
    }
    assert_eq!(zygote(&up), None);
    up.stop();
}

#[test]
fn zygotes_that_do_not_fit_their_memory_are_let_go() {
    let project = project("");
    let up = Up::start_with(&project, &["--zygote-memory-mib", "1"]);
    if !can_fork(&up, "zygotes_that_do_not_fit") {
        return;
    }
    up.get("/forked").ok();
    eventually("an eviction", || {
        (up.admin.metrics().sum("node_zygotes_evicted_total", &[]) >= 1.0).then_some(())
    });
    up.get("/forked").ok();
    up.stop();
}

#[test]
fn a_new_version_has_a_zygote_of_its_own() {
    let project = project("");
    let up = Up::start(&project);
    if !can_fork(&up, "a_new_version_has_a_zygote_of_its_own") {
        return;
    }
    up.get("/forked").ok();
    let old = wait_for(&up, "ready");
    project.write("forked.py", format!("{CODE}\nNEW = True\n"));
    up.output().wait_for("forked is now ");
    up.get("/forked").ok();
    let is_new = |row: &Value| row["version"] != old["version"] && row["state"] == "ready";
    let new = eventually("the new version's zygote", || zygote(&up).filter(is_new));
    eventually("only one is kept", || {
        let rows: Vec<Value> = up.admin.get("/v1/zygotes").json();
        (rows.len() == 1).then_some(())
    });
    assert_eq!(new["function"], old["function"]);
    up.stop();
}

#[test]
fn a_killed_daemon_leaves_nothing_of_zygotes_and_their_children() {
    let project = project("");
    let up = Up::start(&project);
    if !can_fork(&up, "a_killed_daemon_leaves_nothing_of_zygotes") {
        return;
    }
    up.get("/forked").ok();
    wait_for(&up, "ready");
    wait_until_reaped(&up);
    up.get("/forked").ok();
    let traces = up.kill();
    let is_process = |trace: &String| trace.starts_with("process");
    eventually("no process is left", || (!traces.found().iter().any(is_process)).then_some(()));
    // Groups and files are for the next one to clear, which also stops well.
    let up = Up::start_again(&project);
    up.get("/forked").ok();
    up.stop();
}
