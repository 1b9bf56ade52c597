//! The end: what runs finishes, and nothing is left. Killed in the middle, nothing is left after the next start.

use hatchway_tests::{PUPPET, Project, Up, eventually, puppet};

fn project(lines: &str) -> Project {
    Project::new(&puppet("puppet", lines)).file("puppet.mjs", PUPPET)
}

#[test]
fn a_request_under_way_finishes_after_ctrl_c_and_new_ones_are_not_taken() {
    let project = project("");
    let up = Up::start(&project);
    let mut client = up.raw();
    client.post("/puppet", 2);
    up.admin.wait_in_flight("puppet", 1);
    up.interrupt();
    up.output().wait_for("draining");
    let closed = || up.client().request("GET", "/puppet", &[], b"").err();
    eventually("a closed door", closed);

    client.send("{}");
    let head = client.head();
    assert_eq!((head.status, head.field("connection")), (200, "close"));
    assert_eq!(up.wait(), Some(0));
}

#[test]
fn a_stream_under_way_goes_on_after_ctrl_c_to_its_end() {
    let project = project("max = 1");
    let up = Up::start(&project);
    let mut client = up.raw();
    client.get("/puppet?do=drip&count=20");
    assert_eq!(client.head().status, 200);
    client.chunk().expect("it has begun");
    up.interrupt();
    let mut events = 1;
    while !client.chunk().expect("a whole answer").is_empty() {
        events += 1;
    }
    assert_eq!(events, 20);
    assert_eq!(up.wait(), Some(0));
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let project = project("");
    let up = Up::start(&project);
    let mut used = up.raw();
    assert_eq!(used.get("/puppet").head().status, 200);
    let unused = up.raw();
    let mut half = up.raw();
    half.send("GET /puppet HTT");
    up.admin.wait_in_flight("puppet", 0);
    up.stop();
    drop((used, unused, half));
}

#[test]
fn what_does_not_finish_within_the_drain_is_ended_and_said() {
    let project = project("");
    let up = Up::start_with(&project, &["--drain-seconds", "1"]);
    let mut client = up.raw();
    client.get("/puppet?do=wait");
    up.admin.wait_in_flight("puppet", 1);
    up.interrupt();
    up.output().wait_for("requests were still running after 1 s of drain");
    assert_eq!(up.wait(), Some(1));
    drop(client);
}

#[test]
fn a_function_that_ignores_the_word_to_end_is_ended_all_the_same() {
    let manifest = "[function.stubborn]\nruntime = \"node\"\nmain = \"stubborn.js\"\nhttp = { path = \"/\" }\n";
    let stubborn = "process.on('SIGTERM', () => console.log('never'));
require('http').createServer((request, response) => response.end('here')).listen(3000);";
    let project = Project::new(manifest).file("stubborn.js", stubborn);
    let up = Up::start(&project);
    assert_eq!(up.get("/").text(), "here");
    up.stop();
}

#[test]
fn after_kill_9_its_sandboxes_end_by_themselves_and_the_next_start_clears_the_rest() {
    let project = project("min = 2\nmax = 4");
    let up = Up::start(&project);
    up.get("/puppet").ok();
    eventually("two sandboxes", || {
        let sandboxes = up.admin.sandboxes();
        (sandboxes.len() == 2 && sandboxes.iter().all(|one| one.pid.is_some())).then_some(())
    });
    let traces = up.kill();
    eventually("the end of every process and every socket", || {
        let found = traces.found();
        let is_alive = |trace: &String| {
            ["process", "listener", "mount"].iter().any(|kind| trace.starts_with(kind))
        };
        (!found.iter().any(is_alive)).then_some(())
    });

    let next = Up::start_again(&project);
    next.get("/puppet").ok();
    next.stop();
    traces.assert_none("after the next one has ended");
}

#[test]
fn after_kill_9_the_next_start_need_not_wait() {
    let project = project("min = 1");
    for _ in 0..3 {
        let up = Up::start_again(&project);
        up.get("/puppet").ok();
        up.kill();
    }
    let last = Up::start_again(&project);
    last.get("/puppet").ok();
    last.stop();
}

#[test]
fn a_second_one_over_the_same_state_is_refused_and_disturbs_nobody() {
    let project = project("");
    let up = Up::start(&project);
    let pid = up.get("/puppet").ok()["pid"].clone();
    let (code, output) = Up::refused(&project, &[]);
    assert_eq!(code, Some(78), "{output}");
    assert_eq!(up.get("/puppet").ok()["pid"], pid);
    up.stop();
}

#[test]
fn a_port_in_use_is_said_in_a_line_and_nothing_stays() {
    let (project, other) = (project(""), self::project(""));
    let up = Up::start(&project);
    let listen = up.address.to_string();
    let (code, output) = Up::refused(&other, &["--listen", &listen]);
    assert_eq!(code, Some(69), "{output}");
    assert_eq!(output.with(&format!("hatchway: cannot listen on {listen}")).len(), 1, "{output}");
    hatchway_tests::audit::Traces::of(&other).assert_none("after a start that failed");
    up.stop();
}
