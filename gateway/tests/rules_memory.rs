//! What the rules of a function cost in memory, counted to the byte: a budget, as the request path has one of instructions.

use std::alloc::System;
use std::sync::Arc;

use hatchway_gateway::catalog::Snapshot;
use hatchway_gateway::catalog::apply::apply;
use hatchway_proto::catalog::{Key, Object, Objects};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const COUNT: usize = 10_000;

/// For a function with a route, a version and a release, as asked of the allocator. What it rounds up, and what a source remembers
/// of the keys in etcd, are the rest of 1.5 KiB.
const BUDGET_BYTES: usize = 1250;

/// A function as people write them: names and paths of usual length, everything else by default.
fn put_function(objects: &mut Objects, n: usize) {
    let name = format!("team-{}/function-{n}", n % 100);
    let clocks = r#"{"queue":"10s","start":"10s","first_byte":"60s","idle":"60s","run":"300s"}"#;
    let version = format!(
        r#"{{"function":"{name}","package":{{"root":"/srv/functions/{n}","digest":"{n:064x}"}},
        "runtime":{{"kind":"node_handler","module":"src/main.mjs","export":"handle"}},
        "resources":{{"cpu_millis":1000,"memory_bytes":134217728,"pids":64,"files":1024,"tmp_bytes":67108864}},
        "concurrency":10,"min":0,"max":10,"idle_timeout":"5m","clocks":{clocks},"env":{{}}}}"#
    );
    let route = format!(r#"{{"host":"h{n}.example.com","path":"/{n}","function":"{name}"}}"#);
    for (key, json) in [
        (format!("functions/{name}"), "{}".to_owned()),
        (format!("releases/{name}"), format!(r#"{{"stable":"{n:016x}"}}"#)),
        (format!("routes/route-{n}"), route),
        (format!("versions/{n:016x}"), version),
    ] {
        let key = Key::parse(&key).expect("a key");
        objects.put(Object::parse(key, json.as_bytes()).expect("an object"));
    }
}

/// What `make` makes, and the bytes that it holds.
fn held<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let region = Region::new(ALLOCATOR);
    let made = make();
    let change = region.change();
    (made, change.bytes_allocated - change.bytes_deallocated)
}

#[test]
fn a_function_costs_what_it_may() {
    let (objects, of_objects) = held(|| {
        let mut objects = Objects::default();
        (0..COUNT).for_each(|n| put_function(&mut objects, n));
        Arc::new(objects.packed())
    });
    let (snapshot, of_snapshot) = held(|| apply(&Snapshot::default(), objects));
    assert_eq!((snapshot.targets.iter().count(), snapshot.problems.len()), (COUNT, 0));
    let each = (of_objects + of_snapshot) / COUNT;
    println!(
        "{} bytes of objects, {} of what is compiled",
        of_objects / COUNT,
        of_snapshot / COUNT
    );
    assert!(each <= BUDGET_BYTES, "{each} bytes a function, {BUDGET_BYTES} are allowed");
}
