//! Load once, fork, park, go, collect, end.

use rustix::process::{Signal, test_kill_process};
use serde_json::json;

use crate::runtime_support::{Package, node_handler};

const HELLO: &str = "let loaded = 0;
loaded++;
let calls = 0;
console.log('loading');
export const hello = (ctx) => {
  console.log('called');
  return { loaded, calls: ++calls, pid: process.pid, sandbox: process.env.HATCHWAY_SANDBOX, zygote: process.ppid };
};";

fn hello() -> Package {
    Package::new(&[("h.mjs", HELLO)])
}

#[test]
fn a_handler_is_loaded_once_and_answers_in_processes_of_its_own() {
    let mut zygote = hello().zygote(&node_handler("h.mjs", "hello"));
    assert_eq!(zygote.log_line(), "loading\n");
    let mut children = [zygote.serve(), zygote.serve()];
    for child in &mut children {
        for calls in 1..3 {
            let expected = json!({
                "loaded": 1, "calls": calls, "pid": child.pid.as_raw_nonzero().get(),
                "sandbox": format!("sb-{}", child.number), "zygote": zygote.pid().as_raw_nonzero().get(),
            });
            assert_eq!(child.get("/").json(), expected);
            assert_eq!(child.log_line(), "\x1ereq-1 called\n", "its own log");
        }
        child.signal(Signal::TERM);
        assert_eq!(child.wait(), 0);
    }
}

#[test]
fn a_child_is_waited_for_when_the_spawner_says_so_and_not_before() {
    let mut zygote = hello().zygote(&node_handler("h.mjs", "hello"));
    let (first, second) = (zygote.serve(), zygote.serve());
    for child in [&second, &first] {
        child.signal(Signal::KILL);
        assert_eq!(child.wait(), 9);
    }
    zygote.collect(second.number);
    zygote.collect(second.number);
    // Orders are done in turn.
    let third = zygote.park();
    assert!(test_kill_process(second.pid).is_err(), "nothing is left of it");
    assert!(test_kill_process(first.pid).is_ok(), "nobody has asked for it");
    drop(third);
}

#[test]
fn a_parked_child_that_is_not_needed_ends_without_serving() {
    let mut zygote = hello().zygote(&node_handler("h.mjs", "hello"));
    let mut child = zygote.park().abandon();
    assert_eq!(child.wait(), 0);
    assert_eq!(child.rest_of_log(), "");
}

#[test]
fn children_outlive_their_zygote() {
    let mut zygote = hello().zygote(&node_handler("h.mjs", "hello"));
    let child = zygote.serve();
    assert!(zygote.dismiss().success());
    assert_eq!(child.get("/").json()["calls"], 1);
}
