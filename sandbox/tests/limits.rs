//! Limits that hold, whatever a function does.

mod common;

use std::time::Duration;

use common::House;
use hatchway_sandbox::{ExitKind, SandboxSpec, Step};

#[tokio::test]
async fn a_memory_hog_is_out_of_memory_and_not_just_killed() {
    let house = House::open();
    if !house.limits() {
        return;
    }
    // Fills a shell variable far past its limit of 64 MiB.
    let (exit, _) = house.run("x=x; while :; do x=$x$x; done").await;
    assert_eq!(exit.kind, ExitKind::OutOfMemory);
    house.spawner.stop().await.expect("stop");
}

#[tokio::test]
async fn a_helper_killed_for_memory_does_not_make_a_good_end_bad() {
    let house = House::open();
    if !house.limits() {
        return;
    }
    let (exit, _) = house.run("sh -c 'x=x; while :; do x=$x$x; done'; exit 0").await;
    assert_eq!(exit.kind, ExitKind::Code(0));
    assert!(exit.detail.contains("killed at the memory limit"), "{exit}");
}

#[tokio::test]
async fn what_lies_in_tmp_counts_as_memory() {
    let house = House::open();
    // Without a root of its own it would be the host's /tmp.
    if !house.limits() || !house.gives(&[Step::Root]) {
        return;
    }
    let spec =
        SandboxSpec { tmp_bytes: 1 << 30, ..house.script("exec head -c 1G /dev/zero > /tmp/x") };
    let (exit, _) = house.run_spec(spec).await;
    assert_eq!(exit.kind, ExitKind::OutOfMemory);
}

#[tokio::test]
async fn a_fork_bomb_stays_in_its_group_and_dies_with_it() {
    let house = House::open();
    if !house.limits() {
        return;
    }
    // The shell itself forks once: a shell that cannot fork ends. What it started goes on.
    let bomb = "b() { b | b & }; echo '{\"ready\":{}}' >&4; b & while :; do :; done";
    let spec = SandboxSpec { pids: 16, ..house.script(bomb) };
    let sandbox = house.hatch_spec(spec).await;
    sandbox.ready().await.expect("ready");
    // Its own limit, and our reaper.
    assert!(sandbox.usage().expect("usage").pids <= 17);
    sandbox.kill();
    sandbox.exited().await;
    // Its group is empty now, and soon gone.
    assert_eq!(sandbox.usage().map_or(0, |usage| usage.pids), 0);
}

#[tokio::test]
async fn a_busy_loop_gets_its_share_and_no_more() {
    let house = House::open();
    if !house.limits() {
        return;
    }
    let spec = SandboxSpec { cpu_millis: 200, ..house.script("while :; do :; done") };
    let sandbox = house.hatch_spec(spec).await;
    // By the group's own count of periods, not by our clock: it is held back in each of them.
    let usage = loop {
        let usage = sandbox.usage().expect("usage");
        if usage.throttled_periods >= 10 {
            break usage;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // A fifth of a core in each period, in the one that has begun, and one more by the burst.
    let periods = u32::try_from(usage.periods).expect("few");
    assert!(usage.cpu <= Duration::from_millis(20) * (periods + 3), "{usage:?}");
    assert!(usage.throttled > Duration::ZERO);
}

#[tokio::test]
async fn a_neighbour_lives_on_when_one_runs_out_of_memory() {
    let house = House::open();
    if !house.limits() {
        return;
    }
    let neighbour = house.hatch("echo '{\"ready\":{}}' >&4; sleep 600").await;
    neighbour.ready().await.expect("ready");
    let (exit, _) = house.run("x=x; while :; do x=$x$x; done").await;
    assert_eq!(exit.kind, ExitKind::OutOfMemory);
    let usage = neighbour.usage().expect("it lives");
    assert_eq!(usage.oom_kills, 0);
    assert!(usage.memory_bytes > 0 && usage.memory_bytes < 64 << 20, "{usage:?}");
}

#[tokio::test]
async fn a_share_can_be_changed_while_it_runs() {
    let house = House::open();
    if !house.limits() {
        return;
    }
    let spec = SandboxSpec { cpu_millis: 2000, ..house.script("while :; do :; done") };
    let sandbox = house.hatch_spec(spec).await;
    // Two cores are more than one loop can use; a tenth is held back at once, less than the
    // burst that came with the two.
    assert_eq!(sandbox.usage().expect("usage").throttled_periods, 0);
    sandbox.limit_cpu(100);
    while sandbox.usage().expect("usage").throttled_periods < 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
