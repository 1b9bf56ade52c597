//! Ends: of a child, of the zygote, of everything. Nothing is left of any.

use std::path::Path;
use std::time::{Duration, Instant};

use hatchway_sandbox::{ExitKind, Sandbox};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::unique;
use crate::kit::{LONG, Nursery, call, child, json, park, within};

const MORTAL: &str = "
import os, subprocess
def main(ctx, query=None):
    if query is None:
        return os.getpid()
    if 'exit' in query:
        os._exit(int(query['exit']))
    if 'signal' in query:
        os.kill(os.getpid(), int(query['signal']))
    if 'daemon' in query:
        child = subprocess.Popen(['sleep', '600'], start_new_session=True)
        return child.pid
";

/// Waits for something of which the kernel tells by files only.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}: not within {LONG:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Every process in our groups.
fn members(nursery: &Nursery) -> Vec<i32> {
    let mut found = Vec::new();
    let mut folders = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            folders.push(entry.path());
            if entry.path().parent().is_some_and(|dir| dir.ends_with(&nursery.house.cgroup_name)) {
                let procs = std::fs::read_to_string(entry.path().join("cgroup.procs"));
                found.extend(procs.unwrap_or_default().lines().flat_map(str::parse::<i32>));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

async fn ask_and_die(child: &Sandbox, query: &str) -> ExitKind {
    let mut connection = child.connect().await.unwrap();
    let request = format!("GET /?{query} HTTP/1.1\r\nhost: tested\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut connection, request.as_bytes()).await.unwrap();
    within("its end", child.exited()).await.kind
}

#[tokio::test]
async fn how_a_child_ended_is_told_and_touches_no_sibling() {
    let Some(nursery) = Nursery::open(MORTAL) else { return };
    let zygote = nursery.zygote().await;
    let bystander = child(&zygote).await;
    let pid = json(&bystander, "/").await;
    for (query, expected) in [
        ("exit=0", ExitKind::Code(0)),
        ("exit=3", ExitKind::Code(3)),
        ("signal=9", ExitKind::Signal(9)),
        ("signal=6", ExitKind::Signal(6)),
    ] {
        let child = child(&zygote).await;
        assert_eq!(ask_and_die(&child, query).await, expected, "{query}");
    }
    assert_eq!(json(&bystander, "/").await, pid);
}

#[tokio::test]
async fn a_child_that_is_told_to_end_does() {
    let Some(nursery) = Nursery::open(MORTAL) else { return };
    let zygote = nursery.zygote().await;
    let (gentle, forced, dropped) =
        (child(&zygote).await, child(&zygote).await, child(&zygote).await);
    gentle.terminate();
    assert_eq!(within("SIGTERM", gentle.exited()).await.kind, ExitKind::Code(0));
    forced.kill();
    assert_eq!(within("SIGKILL", forced.exited()).await.kind, ExitKind::Signal(9));
    let pid = dropped.pid;
    drop(dropped);
    wait_until("a dropped child", || !is_alive(pid));
    let next = child(&zygote).await;
    json(&next, "/").await;
}

#[tokio::test]
async fn what_a_child_has_left_running_ends_with_it() {
    let Some(nursery) = Nursery::open(MORTAL) else { return };
    let zygote = nursery.zygote().await;
    let child = child(&zygote).await;
    call(&child, "/?daemon=1").await;
    let before = members(&nursery);
    child.terminate();
    within("its end", child.exited()).await;
    let zygote_and_nests = before.len() - 2;
    wait_until("the daemon", || members(&nursery).len() <= zygote_and_nests);
}

#[tokio::test]
async fn a_zygote_that_dies_takes_what_is_parked_and_leaves_what_serves() {
    let Some(nursery) = Nursery::open(MORTAL) else { return };
    let zygote = nursery.zygote().await;
    let (serving, parked) = (child(&zygote).await, park(&zygote).await);
    let pid = json(&serving, "/").await;
    kill_process(Pid::from_raw(zygote.pid()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(within("its end", zygote.exited()).await.kind, ExitKind::Signal(9));
    within("the parked one's end", parked.exited()).await;
    let error = within("another", zygote.park(unique())).await.unwrap_err();
    assert!(error.to_string().contains("zygote is gone"), "{error}");
    assert_eq!(json(&serving, "/").await, pid);
    drop(zygote);
    assert_eq!(json(&serving, "/").await, pid);
    serving.terminate();
    assert_eq!(within("its end", serving.exited()).await.detail, "was told to end");
}

#[tokio::test]
async fn a_nest_ends_with_the_last_of_a_dropped_zygotes_children() {
    let Some(nursery) = Nursery::open(MORTAL) else { return };
    let quiet = || members(&nursery).len();
    wait_until("two nests are parked", || quiet() == 4);
    let zygote = nursery.zygote().await;
    let (one, other) = (child(&zygote).await, child(&zygote).await);
    let numbers = [zygote.pid(), one.pid, other.pid];
    drop(zygote);
    wait_until("the zygote", || !is_alive(numbers[0]));
    drop(one);
    wait_until("one child", || !is_alive(numbers[1]));
    json(&other, "/").await;
    drop(other);
    wait_until("only nests are left", || quiet() == 4);
}

#[tokio::test]
async fn a_stopped_spawner_leaves_nothing_of_zygotes_and_children() {
    let Some(nursery) = Nursery::open(MORTAL) else { return };
    let zygote = nursery.zygote().await;
    let (serving, parked) = (child(&zygote).await, park(&zygote).await);
    call(&serving, "/?daemon=1").await;
    let before = members(&nursery);
    assert!(before.len() >= 5, "{before:?}");
    within("the stop", nursery.house.spawner.clone().stop()).await.unwrap();
    within("the child", serving.exited()).await;
    within("the parked one", parked.exited()).await;
    within("the zygote", zygote.exited()).await;
    assert_eq!(members(&nursery), Vec::<i32>::new());
    assert!(before.iter().all(|pid| !is_alive(*pid)));
    drop((serving, parked));
    let left = std::fs::read_dir(nursery.house.dir.path().join("run")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_hundred_children_leave_nothing_behind() {
    let Some(nursery) = Nursery::open(MORTAL) else { return };
    let zygote = nursery.zygote().await;
    let descriptors = || {
        let spawner = format!("/proc/{}/fd", nursery.house.spawner.pid());
        std::fs::read_dir(spawner).unwrap().count()
    };
    wait_until("two nests and the zygote's", || members(&nursery).len() == 6);
    let before = descriptors();
    for _ in 0..100 {
        let child = child(&zygote).await;
        child.kill();
        within("its end", child.exited()).await;
    }
    wait_until("none is left", || members(&nursery).len() == 6);
    wait_until("no descriptor is left", || descriptors() <= before);
    // The zygote has waited for each: what is left of them counts as a process of its group.
    wait_until("no zombie is left", || zygote.usage().unwrap().pids == 2);
}
