//! Four real gateways that follow a real etcd.

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use hatchway_tests::{Etcd, GatewayProgram, PATIENCE, Project, Raw, eventually};

use crate::catalog::{PREFIX, answered, connect, runtime};
use crate::report::{Report, percentile};

const GATEWAYS: usize = 4;
const PUSHES: usize = 300;

/// Between two looks whether a change is served. They are on the same two cores as everything else.
const LOOK: Duration = Duration::from_micros(500);

/// Between two looks whether all rules were read, which takes seconds of a core, and how long that may take on a machine that is busy.
const LOOK_AT_START: Duration = Duration::from_millis(50);
const READING: Duration = Duration::from_secs(300);

/// Nobody listens there: what is asked for is answered by gateways themselves.
const NO_NODE: &str = "127.0.0.1:9";

/// The gateways, in the order of their start.
#[derive(Debug)]
pub(crate) struct Fleet {
    gateways: Vec<GatewayProgram>,
    /// Of a gateway without any rules, in KiB.
    empty_kib: u64,
}

fn words(etcd: &Etcd, project: &Project, name: &str) -> Vec<String> {
    let state = project.temporary().join(name).display().to_string();
    ["--etcd", &etcd.url(), "--name", name, "--state", &state].map(str::to_owned).into()
}

fn gateway(project: &Project, etcd: &Etcd, name: &str) -> GatewayProgram {
    GatewayProgram::start_to(project, NO_NODE, &words(etcd, project, name))
}

impl Fleet {
    pub(crate) fn start(project: &Project, etcd: &Etcd) -> Self {
        let nothing = Etcd::start();
        let empty = gateway(project, &nothing, "empty");
        eventually("that there is nothing is heard", || {
            (empty.admin.status()["catalog"]["link"]["state"] == "connected").then_some(())
        });
        let empty_kib = resident_kib(empty.pid());
        empty.stop();
        // One after the other: to read all rules takes seconds of a core.
        let gateways = (0..GATEWAYS).map(|n| {
            let gateway = gateway(project, etcd, &format!("gateway-{n}"));
            serves(gateway.raw(), "/answered", LOOK_AT_START, READING);
            gateway
        });
        Self { gateways: gateways.collect(), empty_kib }
    }

    /// Once etcd was read, which takes more memory than to hold what was read.
    pub(crate) fn memory(&self, count: usize, report: &mut Report) {
        let mut each: Vec<f64> = self
            .gateways
            .iter()
            .map(|gateway| {
                let kib = settled_kib(gateway.pid());
                (kib - self.empty_kib.min(kib)) as f64 / count as f64
            })
            .collect();
        let worst = percentile(&mut each, 100);
        let figure = format!("{worst:.2} KiB ({} MiB without any)", self.empty_kib / 1024);
        report.row("memory of a gateway for each function", "1.5 KiB", figure);
    }

    pub(crate) fn push_to_applied(&self, etcd: &Etcd, report: &mut Report) {
        let runtime = runtime();
        let mut client = runtime.block_on(connect(etcd));
        let mut times: Vec<f64> = (0..PUSHES)
            .map(|n| {
                let path = format!("/pushed-{n}");
                let (told, hears) = mpsc::channel();
                let lookers: Vec<_> = self
                    .gateways
                    .iter()
                    .map(|gateway| {
                        let (raw, path, told) = (gateway.raw(), path.clone(), told.clone());
                        thread::spawn(move || {
                            told.send(None).expect("it is waited for");
                            serves(raw, &path, LOOK, PATIENCE);
                            told.send(Some(Instant::now())).expect("it is waited for");
                        })
                    })
                    .collect();
                let ready = hears.iter().take(GATEWAYS).flatten();
                assert_eq!(ready.count(), 0, "nobody serves it before it is there");
                let begun = Instant::now();
                let put = client.put(format!("{PREFIX}routes/pushed-{n}"), answered(&path), None);
                runtime.block_on(put).expect("etcd takes it");
                let last = hears.iter().take(GATEWAYS).flatten().max().expect("all have it");
                for looker in lookers {
                    looker.join().expect("a looker does not panic");
                }
                last.duration_since(begun).as_secs_f64() * 1e3
            })
            .collect();
        let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
        let figure = format!("{p50:.1} ms, p99 {p99:.1} ms");
        report.row("from a push to served by all of 4 gateways", "p99 50 ms", figure);
    }

    pub(crate) fn into_first(mut self) -> GatewayProgram {
        self.gateways.swap_remove(0)
    }
}

/// Looks until the gateway answers the path by itself.
fn serves(mut raw: Raw, path: &str, look: Duration, patience: Duration) {
    let until = Instant::now() + patience;
    while asks(&mut raw, "test", path) != 308 {
        assert!(Instant::now() < until, "{path} is never served");
        thread::sleep(look);
    }
}

/// The status of an answer without a body.
pub(crate) fn asks(raw: &mut Raw, host: &str, path: &str) -> u16 {
    raw.send(format!("HEAD {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).head().status
}

/// Killed, and started again from what is on its disk, while etcd is dead.
pub(crate) fn start_without_etcd(
    gateway: GatewayProgram,
    project: &Project,
    etcd: &mut Etcd,
    count: usize,
    report: &mut Report,
) {
    let runtime = runtime();
    let mut client = runtime.block_on(connect(etcd));
    let put = client.put(format!("{PREFIX}routes/last"), answered("/last"), None);
    let put = runtime.block_on(put).expect("etcd takes it");
    let last = put.header().expect("an answer of etcd has one").revision();
    eventually("the last change on disk", || {
        let kept = gateway.admin.status()["catalog"]["disk"]["source_revision"].as_i64()?;
        (kept >= last).then_some(())
    });
    let words = words(etcd, project, "gateway-0");
    gateway.kill();
    etcd.kill();
    let mut times = Vec::new();
    let mut after = 0;
    for _ in 0..5 {
        let begun = Instant::now();
        let started = GatewayProgram::start_to(project, NO_NODE, &words);
        assert_eq!(asks(&mut started.raw(), "test", "/answered"), 308);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        after = settled_kib(started.pid());
        started.kill();
    }
    let worst = percentile(&mut times, 100);
    let figure = format!("{:.0} ms, worst of 5 {worst:.0} ms", percentile(&mut times, 50));
    report.row("start from the disk without etcd, to the first answer", "500 ms", figure);
    let figure = format!("{:.2} KiB, all of it", after as f64 / count as f64);
    report.row("memory of that gateway for each function", "1.5 KiB", figure);
}

fn resident_kib(pid: u32) -> u64 {
    let status = Path::new("/proc").join(pid.to_string()).join("status");
    let status = std::fs::read_to_string(status).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("KiB")
}

/// The same once the allocator has given back what it gives back: when three looks have told the same.
fn settled_kib(pid: u32) -> u64 {
    let mut last = [0; 3];
    eventually("memory that stays as it is", || {
        thread::sleep(Duration::from_millis(200));
        last = [last[1], last[2], resident_kib(pid)];
        (last.iter().max()?.abs_diff(*last.iter().min()?) < 64).then_some(last[2])
    })
}
