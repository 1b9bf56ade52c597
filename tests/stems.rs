//! A start that cannot be a fork is made in a runtime that has booted in advance: the first one of a version, and every one
//! of code that cannot be forked.

use hatchway_tests::{Project, Up, eventually};
use serde_json::Value;

const MANIFEST: &str = r#"
[function.timed]
runtime = "node"
handler = "timed.mjs#main"
http = { path = "/timed" }
env = { GREETING = "hi" }
idle_timeout = "200ms"

[function.plain]
runtime = "python"
handler = "plain.py#main"
http = { path = "/plain" }
idle_timeout = "200ms"

[function.bound]
runtime = "node"
handler = "timed.mjs#main"
http = { path = "/bound" }
env = { NODE_OPTIONS = "--no-deprecation" }
idle_timeout = "200ms"
"#;

/// It cannot be forked.
const TIMED: &str = "
let ticks = 0;
setInterval(() => ticks++, 1);
export const main = () => ({ pid: process.pid, sandbox: process.env.HATCHWAY_SANDBOX, greeting: process.env.GREETING });
";

const PLAIN: &str = "
import os
def main(ctx):
    return {'pid': os.getpid(), 'sandbox': os.environ['HATCHWAY_SANDBOX']}
";

fn project() -> Project {
    Project::new(MANIFEST).file("timed.mjs", TIMED).file("plain.py", PLAIN)
}

/// True when this machine has stem cells; says aloud when it has not.
fn has_cells(up: &Up, test: &str) -> bool {
    let lacks = ["root", "process-id namespace"].into_iter().find(|part| up.admin.lacks(part));
    if let Some(part) = lacks {
        hatchway_tests::skipped(test, part);
    }
    lacks.is_none()
}

fn parked(up: &Up, runtime: &str) -> f64 {
    up.admin.metrics().sum("node_stem_cells", &[&format!("runtime=\"{runtime}\"")])
}

fn wait_for_a_cell(up: &Up, runtime: &str) {
    eventually("a stem cell that waits", || (parked(up, runtime) >= 1.0).then_some(()));
}

fn wait_until_reaped(up: &Up) {
    eventually("an idle sandbox is reaped", || up.admin.sandboxes().is_empty().then_some(()));
}

/// Calls, and gives the answer and what the one sandbox was started from.
fn call(up: &Up, path: &str) -> (Value, String) {
    let answer = up.get(path).ok();
    let rows: Vec<Value> = up.admin.get("/v1/sandboxes").json();
    (answer, rows[0]["start"]["kind"].as_str().expect("it has started").to_owned())
}

fn misses(up: &Up, reason: &str) -> f64 {
    let reason = format!("reason=\"{reason}\"");
    up.admin.metrics().sum("node_stem_cell_misses_total", &[&reason])
}

#[test]
fn code_that_cannot_be_forked_starts_in_a_stem_cell_each_time() {
    let project = project();
    let up = Up::start(&project);
    if !has_cells(&up, "code_that_cannot_be_forked_starts_in_a_stem_cell") {
        return;
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        wait_for_a_cell(&up, "node");
        let (answer, kind) = call(&up, "/timed");
        assert_eq!((kind.as_str(), &answer["greeting"]), ("stem", &"hi".into()));
        assert!(!seen.contains(&answer["sandbox"]), "each is used once");
        seen.push(answer["sandbox"].clone());
        wait_until_reaped(&up);
    }
    let labels = ["function=\"local/timed\"", "tier=\"stem\""];
    assert_eq!(up.admin.metrics().sum("node_starts_total", &labels), 3.0);
    up.stop();
}

#[test]
fn the_first_start_of_a_version_is_made_in_a_stem_cell() {
    let project = project();
    let up = Up::start(&project);
    if !has_cells(&up, "the_first_start_of_a_version") {
        return;
    }
    wait_for_a_cell(&up, "python");
    assert_eq!(call(&up, "/plain").1, "stem");
    up.stop();
}

#[test]
fn a_function_that_says_how_its_runtime_boots_has_a_process_of_its_own() {
    let project = project();
    let up = Up::start_with(&project, &["--starts", "stem"]);
    if !has_cells(&up, "a_function_that_says_how_its_runtime_boots") {
        return;
    }
    wait_for_a_cell(&up, "node");
    assert_ne!(call(&up, "/bound").1, "stem");
    wait_until_reaped(&up);
    assert_eq!(call(&up, "/timed").1, "stem");
    up.stop();
}

#[test]
fn with_starts_of_stem_nothing_is_forked_and_with_fresh_nothing_waits() {
    let project = project();
    let up = Up::start_with(&project, &["--starts", "stem"]);
    if !has_cells(&up, "with_starts_of_stem_nothing_is_forked") {
        return;
    }
    for _ in 0..2 {
        wait_for_a_cell(&up, "python");
        assert_eq!(call(&up, "/plain").1, "stem");
        wait_until_reaped(&up);
    }
    assert_eq!(up.admin.get("/v1/zygotes").json::<Vec<Value>>(), Vec::<Value>::new());
    up.stop();

    let project = crate::project();
    let up = Up::start_with(&project, &["--starts", "fresh"]);
    assert_ne!(call(&up, "/plain").1, "stem");
    assert_eq!((parked(&up, "python"), misses(&up, "none-parked")), (0.0, 0.0));
    up.stop();
}

#[test]
fn cells_that_do_not_fit_their_memory_are_not_made() {
    let project = project();
    let up = Up::start_with(&project, &["--starts", "stem", "--stem-memory-mib", "1"]);
    assert_ne!(call(&up, "/plain").1, "stem");
    assert_eq!(misses(&up, "none-parked"), 1.0);
    assert_eq!(up.admin.metrics().sum("node_stem_cells_made_total", &[]), 0.0);
    up.stop();
}
