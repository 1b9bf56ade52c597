//! A sandbox is used again while it is wanted, and ended when it is not.

use hatchway_tests::{PUPPET, Project, Up, eventually, proc, puppet};

fn project(lines: &str) -> Project {
    Project::new(&puppet("puppet", lines)).file("puppet.mjs", PUPPET)
}

#[test]
fn an_idle_sandbox_is_reaped_and_the_next_request_hatches_another() {
    let project = project("idle_timeout = \"200ms\"");
    let up = Up::start(&project);
    up.get("/puppet").ok();
    let pid = up.admin.sandbox("puppet").pid.expect("it runs");
    let process = proc::Process::with_id(pid);
    up.output().wait_for("reaped  puppet sb-1 (idle)");
    assert!(process.is_none_or(|process| !process.is_alive()), "it is still there");
    assert_eq!(up.admin.sandboxes(), []);
    assert_eq!(up.admin.metrics().sum("node_reaps_total", &["why=\"idle\""]), 1.0);

    up.get("/puppet").ok();
    assert_eq!(up.admin.hatches("puppet"), 2.0);
    up.stop();
}

#[test]
fn a_busy_sandbox_is_not_reaped_however_short_its_idle_timeout_is() {
    let lines = "idle_timeout = \"50ms\"";
    let manifest = puppet("puppet", lines) + &puppet("other", lines);
    let project = Project::new(&manifest).file("puppet.mjs", PUPPET);
    let up = Up::start(&project);
    let mut client = up.raw();
    client.post("/puppet", 2);
    up.admin.wait_in_flight("puppet", 1);
    // A whole life of another sandbox, idle timeout and all.
    up.get("/other").ok();
    up.output().wait_for("reaped  other ");
    client.send("{}");
    assert_eq!(client.head().status, 200);
    up.stop();
}

#[test]
fn what_is_kept_as_a_minimum_is_not_reaped() {
    let lines = "idle_timeout = \"100ms\"";
    let manifest = puppet("kept", &format!("{lines}\nmin = 1")) + &puppet("other", lines);
    let project = Project::new(&manifest).file("puppet.mjs", PUPPET);
    let up = Up::start(&project);
    let first = up.get("/kept").ok();
    for round in 1..=3 {
        up.get("/other").ok();
        eventually("a reap of the other", || {
            (up.output().with("reaped  other ").len() == round).then_some(())
        });
    }
    assert_eq!(up.get("/kept").ok()["pid"], first["pid"]);
    assert_eq!(up.admin.hatches("kept"), 1.0);
    up.stop();
}

#[test]
fn no_request_meets_a_sandbox_that_is_being_reaped() {
    let project = project("idle_timeout = \"1ms\"");
    let up = Up::start(&project);
    for round in 0..100 {
        assert_eq!(up.get("/puppet").status, 200, "round {round}");
        // Pauses of many lengths around that of the idle timeout: some requests come just before a reap, some after.
        for _ in 0..round % 50 {
            up.admin.sandboxes();
        }
    }
    assert!(up.admin.hatches("puppet") > 1.0, "no sandbox was reaped between two requests");
    up.stop();
}

#[test]
fn growth_ends_when_the_crowd_has_left() {
    let project = project("concurrency = 1\nmax = 4\nidle_timeout = \"200ms\"");
    let up = Up::start(&project);
    let mut crowd: Vec<_> = (0..4).map(|_| up.raw()).collect();
    for client in &mut crowd {
        client.post("/puppet", 2);
    }
    up.admin.wait_in_flight("puppet", 4);
    assert_eq!(up.admin.sandboxes_of("puppet").len(), 4);
    for client in &mut crowd {
        client.send("{}");
        assert_eq!(client.head().status, 200);
    }
    eventually("no sandbox", || up.admin.sandboxes().is_empty().then_some(()));
    up.stop();
}

#[test]
fn a_life_of_a_sandbox_costs_the_daemon_no_descriptor() {
    let project = project("idle_timeout = \"1ms\"");
    let up = Up::start(&project);
    let spawner = proc::descendants_named(up.pid(), "hatchway-spawner")[0].pid;
    // What is prepared for the next starts grows with their number: two processes and four descriptors each.
    let count = || {
        let open = proc::descriptors(up.pid()).len() + proc::descriptors(spawner).len();
        open.saturating_sub(2 * proc::descendants(spawner).len())
    };
    let live_once = |round: usize| {
        // A connection of its own, closed after it.
        let answer = up.client().request("GET", "/puppet", &[("connection", "close")], b"");
        assert_eq!(answer.expect("an answer").status, 200);
        eventually("a reap", || (up.output().with("reaped  puppet ").len() == round).then_some(()));
    };
    const LIVES: usize = 30;
    live_once(1);
    let before = count();
    (2..=LIVES).for_each(live_once);
    // A leak would be one for each life.
    eventually(&format!("about {before} descriptors, as before"), || {
        (count() < before + LIVES / 2).then_some(())
    });
    up.stop();
}
