//! A sandbox from its start to its end.

mod common;

use common::House;
use hatchway_sandbox::{Entry, ExitKind, Step};

#[tokio::test]
async fn a_program_runs_in_its_package_and_ends_with_its_code() {
    let house = House::open();
    let (exit, output) = house.run("pwd; cat hello.txt; exit 3").await;
    assert_eq!(exit.kind, ExitKind::Code(3));
    if house.gives(&[Step::Root]) {
        assert_eq!(output, "/app\nhello\n");
    } else {
        assert!(output.ends_with("/package\nhello\n"), "{output}");
    }
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

#[tokio::test]
async fn sigterm_reaches_the_function_itself_which_is_not_number_one() {
    let house = House::open();
    let sandbox = house
        .hatch("trap 'exit 7' TERM; echo '{\"ready\":{\"pid\":'$$'}}' >&4; while :; do sleep 0.01; done")
        .await;
    let report = sandbox.ready().await.expect("ready");
    if house.gives(&[Step::Process]) {
        assert_eq!(report.value["pid"], 2);
    }
    sandbox.terminate();
    assert_eq!(sandbox.exited().await.kind, ExitKind::Code(7));
}

#[tokio::test]
async fn the_end_is_told_to_everyone_who_asks_and_again() {
    let house = House::open();
    let sandbox = house.hatch("exit 5").await;
    let (one, two) = tokio::join!(sandbox.exited(), sandbox.exited());
    let again = sandbox.exited().await;
    assert_eq!(one.kind, ExitKind::Code(5));
    assert_eq!((&one, &one), (&two, &again));
}

#[tokio::test]
async fn a_daemon_that_left_its_parent_ends_with_the_function() {
    let house = House::open();
    // It holds the pipe open for as long as it lives: end of file means that it is gone.
    let (exit, output) = house.run("(setsid sh -c 'sleep 600' &) ; echo started").await;
    assert_eq!(exit.kind, ExitKind::Code(0));
    assert_eq!(output, "started\n");
}

#[tokio::test]
async fn a_dropped_handle_ends_its_sandbox() {
    let house = House::open();
    let sandbox = house.hatch("sleep 600").await;
    let (stdout, _) = sandbox.take_output().expect("output");
    drop(sandbox);
    let ended = tokio::task::spawn_blocking(|| common::read_all(stdout));
    assert_eq!(ended.await.expect("end of file"), "");
}

#[tokio::test]
async fn an_id_that_lives_is_not_given_twice() {
    let house = House::open();
    let first = house.hatch("sleep 600").await;
    let mut spec = house.script("true");
    spec.id = first.id();
    // Its socket is there already.
    spec.entry = Entry::Probed { port: 80 };
    let error = house.spawner.hatch(spec).await.expect_err("taken");
    assert!(error.to_string().contains("lives already"), "{error}");
    assert!(first.usage().is_ok() || !house.limits(), "the first one lives on");
}
