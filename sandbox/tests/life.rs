//! A sandbox from its start to its end.

mod common;

use common::House;
use hatchway_sandbox::ExitKind;

#[tokio::test]
async fn a_program_runs_in_its_package_and_ends_with_its_code() {
    let house = House::open();
    eprintln!("{}", house.grants);
    let (exit, output) = house.run("pwd; cat hello.txt; exit 3").await;
    assert_eq!(exit.kind, ExitKind::Code(3));
    assert_eq!(output, "/app\nhello\n");
    house.spawner.stop().await.expect("stop");
}

#[tokio::test]
async fn a_signal_is_told_apart_from_a_code() {
    let house = House::open();
    let (exit, _) = house.run("kill -USR1 $$").await;
    assert_eq!(exit.kind, ExitKind::Signal(10));
    house.spawner.stop().await.expect("stop");
}

#[tokio::test]
async fn a_memory_hog_is_out_of_memory_and_not_just_killed() {
    let house = House::open();
    // Fills a shell variable far past its limit of 64 MiB.
    let (exit, _) = house.run("x=x; while :; do x=$x$x; done").await;
    assert_eq!(exit.kind, ExitKind::OutOfMemory);
    house.spawner.stop().await.expect("stop");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named_by_the_step_that_failed() {
    let house = House::open();
    let mut spec = house.script("");
    spec.argv = vec!["no-such-program".into()];
    let error = house.spawner.hatch(spec).await.expect_err("nothing to run");
    assert_eq!(
        error.to_string(),
        "exec failed at no-such-program: No such file or directory (os error 2)"
    );
    house.spawner.stop().await.expect("stop");
}

#[tokio::test]
async fn one_that_ignores_sigterm_dies_by_kill() {
    let house = House::open();
    let sandbox =
        house.hatch("trap '' TERM; echo '{\"ready\":{}}' >&4; while :; do sleep 1; done").await;
    sandbox.ready().await.expect("ready");
    sandbox.terminate();
    sandbox.kill();
    assert_eq!(sandbox.exited().await.kind, ExitKind::Signal(9));
    house.spawner.stop().await.expect("stop");
}
