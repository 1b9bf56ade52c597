//! The five clocks: each ends what it is for, and is named. The queue's is in `concurrency.rs`, beside the queue.

use hatchway_tests::{Answer, PUPPET, Project, Up, eventually, puppet};

/// Shorter than what the tested clock ends, longer than a warm call.
const SHORT: &str = "\"300ms\"";

fn project(clock: &str, lines: &str) -> Project {
    let clocks = format!("timeouts = {{ {clock} = {SHORT} }}\n{lines}");
    Project::new(&puppet("puppet", &clocks)).file("puppet.mjs", PUPPET)
}

#[track_caller]
fn assert_timed_out(answer: &Answer, error: &str, reason: &str, words: &str) {
    assert_eq!((answer.status, answer.proxy_error()), (504, error), "{}", answer.text());
    let problem = answer.problem();
    assert_eq!((problem.component.as_str(), problem.reason.as_str()), ("sandbox", reason));
    assert!(problem.detail.contains(words), "{}", problem.detail);
}

#[test]
fn the_start_clock_ends_a_function_that_never_listens() {
    let manifest = format!(
        "[function.mute]\nruntime = \"node\"\nmain = \"mute.js\"\nhttp = {{ path = \"/\" }}\ntimeouts = {{ start = {SHORT} }}\n"
    );
    let project = Project::new(&manifest).file("mute.js", "setInterval(() => {}, 60_000)");
    let up = Up::start(&project);
    let answer = up.get("/");
    assert_timed_out(&answer, "connection_timeout", "start-clock", "start clock (300 ms)");
    assert_eq!(answer.header("retry-after"), "1");
    eventually("no sandbox", || up.admin.sandboxes().is_empty().then_some(()));
    up.stop();
}

#[test]
fn the_first_byte_clock_ends_a_call_and_the_function_learns_it() {
    let project = project("first_byte", "max = 1");
    let up = Up::start(&project);
    let pid = up.get("/puppet").ok()["pid"].clone();
    let answer = up.get("/puppet?do=wait");
    assert_timed_out(&answer, "http_response_timeout", "first-byte-clock", "first-byte clock");
    up.admin.wait_in_flight("puppet", 0);
    eventually("word of it in the function", || {
        (up.get("/puppet?do=seen").ok() == serde_json::json!(["waits", "left"])).then_some(())
    });
    assert_eq!(up.get("/puppet").ok()["pid"], pid, "others run in the same process: it stays");
    up.stop();
}

#[test]
fn a_function_that_runs_one_call_and_hangs_is_ended_with_it() {
    let project = project("first_byte", "concurrency = 1\nmax = 1");
    let up = Up::start(&project);
    assert_eq!(up.get("/puppet?do=wait").problem().reason, "first-byte-clock");
    up.get("/puppet").ok();
    assert_eq!(up.admin.hatches("puppet"), 2.0);
    up.stop();
}

#[test]
fn the_run_clock_ends_a_call_that_has_not_answered() {
    // A default of another clock gives way to a shorter run.
    let project = project("run", "");
    let up = Up::start(&project);
    let answer = up.get("/puppet?do=wait");
    assert_timed_out(&answer, "http_response_timeout", "run-clock", "run clock");
    up.stop();
}

/// The reason that the platform counts for an answer that it has cut.
fn cuts(up: &Up, reason: &str) -> f64 {
    up.admin.metrics().sum("gateway_failures_total", &[&format!("reason=\"{reason}\"")])
}

#[test]
fn the_run_clock_cuts_a_stream_visibly_however_busy_it_is() {
    let project = project("run", "");
    let up = Up::start(&project);
    let mut client = up.raw();
    client.get("/puppet?do=endless");
    assert_eq!(client.head().status, 200);
    let mut chunks = 0;
    let end = loop {
        match client.chunk() {
            Ok(chunk) if chunk.is_empty() => break None,
            Ok(_) => chunks += 1,
            Err(error) => break Some(error),
        }
    };
    assert!(end.is_some(), "the answer looks whole, and is not");
    assert!(chunks > 0, "nothing was streamed");
    assert_eq!(cuts(&up, "run-clock"), 1.0);
    up.stop();
}

#[test]
fn the_idle_clock_cuts_a_stream_that_has_stalled() {
    let project = project("idle", "");
    let up = Up::start(&project);
    let mut client = up.raw();
    client.get("/puppet?do=events&count=2");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk().expect("the first event"), b"data: {\"n\":0}\n\n");
    client.chunk().expect_err("no second one, and no end that looks like one");
    eventually("the reason", || (cuts(&up, "idle-clock") == 1.0).then_some(()));
    up.stop();
}

#[test]
fn the_idle_clock_ends_an_upload_that_has_stalled_and_names_the_client() {
    let project = project("idle", "");
    let up = Up::start(&project);
    let mut client = up.raw();
    client.post("/puppet", 10).send("12345");
    let head = client.head();
    assert_eq!(head.status, 408);
    assert!(head.field("proxy-status").contains("details=\"slow-body\""), "{head:?}");
    up.admin.wait_in_flight("puppet", 0);
    up.stop();
}

#[test]
fn a_slow_start_is_not_paid_from_the_functions_own_clocks() {
    let manifest = format!(
        "[function.slow]\nruntime = \"python\"\nhandler = \"slow.py#answer\"\nhttp = {{ path = \"/\" }}\n\
         timeouts = {{ queue = {SHORT}, first_byte = {SHORT}, run = {SHORT} }}\n"
    );
    // Each of the three clocks is shorter than this start.
    let slow = "import time\ntime.sleep(1)\n\ndef answer(ctx):\n    return 'at last'\n";
    let project = Project::new(&manifest).file("slow.py", slow);
    let up = Up::start(&project);
    let answer = up.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "at last"));
    up.stop();
}
