//! A daemon is replaced while calls are under way, and no call notices.

use hatchway_tests::{NodeProgram, Pair, Project, apply, eventually, in_file};
use std::time::{Duration, Instant};

use crate::load::{Ended, Load};
use crate::{pids, project};

#[track_caller]
fn assert_unnoticed(ended: &Ended) {
    assert!(ended.cut == 0 && ended.other.is_empty() && ended.served > 0, "{ended:?}");
}

#[test]
fn a_daemon_is_replaced_under_load_without_a_failed_call_and_with_the_same_processes() {
    let project = project();
    let Pair { gateway, mut node } = Pair::start(&project);
    let (before, first) = (pids(&node), node.traces());
    let load = Load::start_strict(gateway.address, 4);
    for _ in 0..3 {
        load.served(100);
        node = node.replace(&project, &[]);
        load.served(100);
    }
    assert_unnoticed(&load.stop());
    assert_eq!(pids(&node), before);
    gateway.stop();
    node.stop();
    first.assert_none("after the end of the last daemon");
}

#[test]
fn what_is_under_way_goes_on_beside_the_next_daemon_and_its_sandbox_is_taken_by_nobody_else() {
    let project = project();
    let Pair { gateway, node } = Pair::start(&project);
    let before = pids(&node);
    // Both sandboxes of `one` are taken by a stream each.
    let mut streams = [(); 2].map(|()| gateway.raw());
    for stream in &mut streams {
        stream.get("/one?do=drip&count=40&ms=50");
        assert_eq!(stream.head().status, 200);
        stream.chunk().expect("it has begun");
    }
    let mut waiting = gateway.raw();
    waiting.get("/one?do=hello");
    eventually("one that waits for a slot", || {
        (node.admin.metrics().sum("node_queued_requests", &[]) == 1.0).then_some(())
    });
    let next = std::thread::scope(|scope| {
        let replacing = scope.spawn(|| node.replace(&project, &[]));
        for stream in &mut streams {
            let mut events = 1;
            while !stream.chunk().expect("a whole answer").is_empty() {
                events += 1;
            }
            assert_eq!(events, 40);
        }
        replacing.join().expect("it is replaced")
    });
    assert_eq!(waiting.head().status, 200);
    assert_eq!(pids(&next), before);
    next.admin.wait_in_flight("one", 0);
    gateway.stop();
    next.stop();
}

#[test]
fn a_daemon_that_could_not_serve_what_lives_is_refused_and_disturbs_nobody() {
    let project = project();
    let Pair { gateway, node } = Pair::start(&project);
    let before = pids(&node);
    for more in [["--listen", "127.0.0.1:0"], ["--isolation", "strict"], ["--adopt-seconds", "0"]] {
        let output = replace_in_vain(&project, &more);
        assert!(output.contains("cannot be replaced"), "{output}");
        assert_eq!(pids(&node), before);
        gateway.get("/many?do=hello").ok();
    }
    gateway.stop();
    node.stop();
}

/// Starts one that is to be refused; what it prints.
fn replace_in_vain(project: &Project, more: &[&str]) -> String {
    let listen = format!("unix:{}", project.state().join("node.sock").display());
    let words = ["--state", &project.state().display().to_string(), "--replace"];
    let mut command = std::process::Command::new(hatchway_tests::program_path("hatchway-node"));
    command.args(words).args(in_file(project)).args(["--admin", "127.0.0.1:0"]);
    command.args(["--packages", &std::env::temp_dir().display().to_string()]);
    for (option, default) in [("--listen", &*listen), ("--isolation", "best-effort")] {
        if !more.contains(&option) {
            command.args([option, default]);
        }
    }
    let output = command.args(more).output().expect("the program starts");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_a_daemon_there_is_nothing_to_replace_and_it_starts_as_ever() {
    let project = project();
    apply(&project);
    let words = [&in_file(&project)[..], &["--replace".to_owned()]].concat();
    let node = NodeProgram::start_with(&project, &words);
    pids(&node);
    node.stop();
}

/// `make upgrade-test`: replaced again and again for `UPGRADE_SECONDS`.
#[test]
#[ignore = "half a minute of load: make upgrade-test"]
fn for_half_a_minute() {
    let seconds = std::env::var("UPGRADE_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(30));
    let project = project();
    let Pair { gateway, mut node } = Pair::start(&project);
    let (before, mut count) = (pids(&node), 0);
    let load = Load::start_strict(gateway.address, 16);
    while Instant::now() < until {
        load.served(500);
        node = node.replace(&project, &[]);
        count += 1;
    }
    load.served(500);
    let ended = load.stop();
    println!(
        "{count} times replaced, {} calls served, {} failed",
        ended.served,
        ended.cut + ended.other.len()
    );
    assert_unnoticed(&ended);
    assert_eq!(pids(&node), before);
    gateway.stop();
    node.stop();
}
