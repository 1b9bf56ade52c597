//! A rate limit that three gateways keep together, each by what it is asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hatchway_tests::{Client, Etcd, GatewayProgram, NodeProgram, Project, apply_to, eventually};

const RATE: f64 = 60.0;

const MANIFEST: &str = "[function.word]\nruntime = \"node\"\nhandler = \"word.mjs#word\"\nrate = 60\n\
                        http = { path = \"/word\" }\n";

/// What has come through a gateway, and how many requests a second it is asked for.
#[derive(Debug, Default)]
struct Load {
    per_second: AtomicU64,
    passed: AtomicU64,
    refused: AtomicU64,
}

/// Ends the load, also when a test fails before it would.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Load {
    fn run(&self, gateway: &GatewayProgram, is_over: &AtomicBool) {
        let (client, mut due) = (Client::new(gateway.address), Instant::now());
        while !is_over.load(Ordering::Relaxed) {
            let rate = self.per_second.load(Ordering::Relaxed);
            let pause = Duration::from_secs(1) / u32::try_from(rate.max(10)).expect("it is small");
            due = (due + pause).max(Instant::now());
            thread::sleep(due - Instant::now());
            if rate == 0 {
                continue;
            }
            match client.get("/word").status {
                200 => self.passed.fetch_add(1, Ordering::Relaxed),
                429 => self.refused.fetch_add(1, Ordering::Relaxed),
                other => panic!("{other} from a function that serves"),
            };
        }
    }
}

/// Requests a second that each has let pass, over some time from now on.
fn passed(loads: &[Load; 3], time: Duration) -> [f64; 3] {
    let read = || loads.each_ref().map(|load| load.passed.load(Ordering::Relaxed) as f64);
    let (begun, before) = (Instant::now(), read());
    thread::sleep(time);
    let (after, seconds) = (read(), begun.elapsed().as_secs_f64());
    [0, 1, 2].map(|n| (after[n] - before[n]) / seconds)
}

/// Waits until each of them has as much of what passes as it has of what is asked for, more or less.
#[track_caller]
fn is_shared(loads: &[Load; 3]) {
    let asked = loads.each_ref().map(|load| load.per_second.load(Ordering::Relaxed) as f64);
    eventually(&format!("shares as {asked:?}"), || {
        let passed = passed(loads, Duration::from_secs(2));
        let (all, of): (f64, f64) = (asked.iter().sum(), passed.iter().sum());
        let is_near = |n: usize| (passed[n] / of - asked[n] / all).abs() < 0.1;
        [0, 1, 2].into_iter().all(is_near).then_some(())
    });
}

fn assert_limit(loads: &[Load; 3], when: &str) {
    let passed = passed(loads, Duration::from_secs(8));
    let all: f64 = passed.iter().sum();
    assert!((0.95 * RATE..=1.05 * RATE).contains(&all), "{when}: {passed:?} are {all} a second");
}

fn ask(loads: &[Load; 3], per_second: [u64; 3]) {
    for (load, rate) in loads.iter().zip(per_second) {
        load.per_second.store(rate, Ordering::Relaxed);
    }
}

#[test]
fn three_gateways_keep_one_limit_wherever_requests_come_in_and_also_without_etcd() {
    let mut etcd = Etcd::start();
    let project =
        Project::new(MANIFEST).file("word.mjs", "export function word() { return 'word'; }\n");
    let rules = ["--etcd".to_owned(), etcd.url()];
    let node = NodeProgram::start_with(&project, &rules);
    apply_to(&project, &rules);
    let gateways = [1, 2, 3].map(|n| {
        let name = ["--name".to_owned(), format!("gateway-{n}")];
        let gateway =
            GatewayProgram::start_to(&project, &node.address, &[&rules[..], &name].concat());
        eventually("the function is served", || (gateway.get("/word").status == 200).then_some(()));
        gateway
    });
    let (loads, is_over): ([Load; 3], _) = Default::default();
    thread::scope(|scope| {
        for (load, gateway) in loads.iter().zip(&gateways) {
            let is_over = &is_over;
            scope.spawn(move || load.run(gateway, is_over));
        }
        let until = Until(&is_over);
        ask(&loads, [160, 40, 0]);
        is_shared(&loads);
        assert_limit(&loads, "with a load like that");
        ask(&loads, [0, 40, 160]);
        is_shared(&loads);
        assert_limit(&loads, "with the load elsewhere");
        etcd.kill();
        assert_limit(&loads, "without etcd");
        drop(until);
    });
    for gateway in gateways {
        gateway.stop();
    }
}
