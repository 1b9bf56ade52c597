//! Many requests at once: one start for all who wait, so many in a sandbox, so many sandboxes, so many in the queue.

use std::collections::HashSet;

use hatchway_tests::{PUPPET, Project, Raw, Up, eventually, puppet, together};

fn project(lines: &str) -> Project {
    Project::new(&puppet("puppet", lines)).file("puppet.mjs", PUPPET)
}

/// A request that runs until its body is sent: 2 bytes.
fn hold(up: &Up) -> Raw {
    let mut client = up.raw();
    client.post("/puppet", 2);
    client
}

fn let_go(mut client: Raw) {
    client.send("{}");
    assert_eq!(client.head().status, 200);
}

#[test]
fn two_hundred_at_once_on_a_cold_function_share_a_few_starts() {
    let project = project("concurrency = 16\nmax = 4");
    let up = Up::start(&project);
    let answers = together(200, |_| up.client().get("/puppet?do=work").ok());
    let peak = answers.iter().filter_map(|answer| answer["peak"].as_u64()).max();
    assert!(peak <= Some(16), "a sandbox of concurrency 16 had {peak:?} requests at once");
    let used: HashSet<_> = answers.iter().map(|answer| answer["sandbox"].to_string()).collect();
    assert!(used.len() <= 4, "{used:?}");
    let hatches = up.admin.hatches("puppet");
    assert!((1.0..=4.0).contains(&hatches), "{hatches} sandboxes were hatched");
    up.admin.wait_in_flight("puppet", 0);
    up.stop();
}

#[test]
fn a_hundred_at_once_that_fit_one_sandbox_hatch_one() {
    let project = project("concurrency = 200\nmax = 4");
    let up = Up::start(&project);
    let answers = together(100, |_| up.client().get("/puppet?do=work").ok());
    assert!(answers.iter().all(|answer| answer["pid"] == answers[0]["pid"]));
    assert_eq!(up.admin.hatches("puppet"), 1.0);
    up.stop();
}

#[test]
fn a_sandbox_of_concurrency_one_never_sees_two_requests() {
    let project = project("concurrency = 1\nmax = 2");
    let up = Up::start(&project);
    let answers = together(40, |_| up.client().get("/puppet?do=work").ok());
    assert!(answers.iter().all(|answer| answer["peak"] == 1), "{answers:?}");
    assert!(up.admin.hatches("puppet") <= 2.0);
    up.stop();
}

#[test]
fn a_full_queue_refuses_the_next_and_serves_those_who_wait() {
    let project = project("concurrency = 1\nmax = 1\nqueue = 2");
    let up = Up::start(&project);
    let running = hold(&up);
    up.admin.wait_in_flight("puppet", 1);
    let mut waiting = [up.raw(), up.raw()];
    for client in &mut waiting {
        client.get("/puppet");
    }
    up.admin.wait_queued("puppet", 2);

    let refused = up.get("/puppet");
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.proxy_error(), "connection_limit_reached");
    let problem = refused.problem();
    assert_eq!((problem.reason.as_str(), problem.component.as_str()), ("queue-full", "node"));
    assert!(problem.detail.contains("2 waiting requests"), "{}", problem.detail);

    let_go(running);
    for client in &mut waiting {
        assert_eq!(client.head().status, 200);
    }
    up.stop();
}

#[test]
fn the_queue_clock_is_named_when_it_runs_out_and_whoever_runs_goes_on() {
    let project = project("concurrency = 1\nmax = 1\ntimeouts = { queue = \"200ms\" }");
    let up = Up::start(&project);
    let running = hold(&up);
    up.admin.wait_in_flight("puppet", 1);

    let refused = up.get("/puppet");
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.proxy_error(), "connection_limit_reached");
    let problem = refused.problem();
    assert_eq!(problem.reason, "queue-clock");
    assert!(problem.detail.contains("queue clock"), "{}", problem.detail);

    let_go(running);
    up.get("/puppet").ok();
    up.stop();
}

#[test]
fn a_client_that_leaves_the_queue_gives_up_its_place_and_takes_no_slot() {
    let project = project("concurrency = 1\nmax = 1\nqueue = 1");
    let up = Up::start(&project);
    let running = hold(&up);
    up.admin.wait_in_flight("puppet", 1);
    let mut leaving = up.raw();
    leaving.get("/puppet");
    up.admin.wait_queued("puppet", 1);
    leaving.leave();
    up.admin.wait_queued("puppet", 0);

    let mut waiting = up.raw();
    waiting.get("/puppet");
    up.admin.wait_queued("puppet", 1);
    let_go(running);
    assert_eq!(waiting.head().status, 200);
    up.admin.wait_in_flight("puppet", 0);
    assert_eq!(up.admin.sandbox("puppet").requests, 2, "nobody served the one who had left");
    up.stop();
}

#[test]
fn clients_that_leave_during_a_cold_start_leave_no_slot_taken() {
    let project = project("concurrency = 2\nmax = 2");
    let up = Up::start(&project);
    for _ in 0..20 {
        let mut client = up.raw();
        client.get("/puppet?do=work");
        client.leave();
    }
    // Every slot has to be free for these four to run side by side.
    let held: Vec<_> = (0..4).map(|_| hold(&up)).collect();
    up.admin.wait_in_flight("puppet", 4);
    held.into_iter().for_each(let_go);
    eventually("nobody under way", || {
        let function = up.admin.function("puppet");
        (function["in_flight"] == 0 && function["queued"] == 0).then_some(())
    });
    up.admin.wait_in_flight("puppet", 0);
    assert!(up.admin.hatches("puppet") <= 2.0);
    up.stop();
}

#[test]
fn functions_do_not_wait_for_each_other() {
    let lines = "concurrency = 1\nmax = 1";
    let project = Project::new(&(puppet("puppet", lines) + &puppet("other", lines)))
        .file("puppet.mjs", PUPPET);
    let up = Up::start(&project);
    let running = hold(&up);
    up.admin.wait_in_flight("puppet", 1);
    up.get("/other").ok();
    let_go(running);
    up.stop();
}
