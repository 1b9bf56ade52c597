//! How long a start from a zygote takes, how many there can be in a second, and what a child costs
//! in memory: `cargo bench -p hatchway-sandbox --profile quick --bench fork`.
//!
//! The function is a Python handler behind our adapter that has imported twenty modules of the
//! standard library. Starts are spaced as requests are: see `hatch.rs`. Run it on a quiet machine;
//! the load of the machine is printed beside the figures.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use hatchway_sandbox::runtime::{
    Assignment, InterpreterSettings, Interpreters, Layout, PythonEntry, Runtime, StartPlan,
    install_adapters,
};
use hatchway_sandbox::spawner::DEFAULT_UID_BASE;
use hatchway_sandbox::{
    Entry, Isolation, Network, Sandbox, SandboxSpec, Spawner, SpawnerConfig, Zygote,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CODE: &str = "
import argparse, asyncio, base64, collections, csv, datetime, decimal, email, functools, hashlib
import http.client, json, logging, random, re, sqlite3, ssl, tempfile, urllib.request, uuid, xml.etree.ElementTree
def main(ctx):
    return 'hello'
";
const STARTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(60);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: bench\r\nhatchway-request-id: r1\r\n\r\n";

/// Times of one kind, sorted.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn print(&mut self, name: &str) {
        self.0.sort_unstable();
        let at = |percent: usize| {
            let index = (self.0.len() * percent / 100).min(self.0.len() - 1);
            self.0[index].as_secs_f64() * 1e3
        };
        println!("  {name:<36} {:8.3} ms p50 {:9.3} ms p99", at(50), at(99));
    }
}

struct Bench {
    spawner: Spawner,
    spec: SandboxSpec,
    ids: u64,
}

impl Bench {
    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// An ordinary start.
    async fn hatch(&mut self) -> Sandbox {
        let env = self.spec.env.iter().cloned();
        let env = env.filter(|(name, _)| name != "HATCHWAY_ZYGOTE_FD");
        let env = env.chain([("HATCHWAY_LISTENER".to_owned(), "3".to_owned())]).collect();
        let spec = SandboxSpec { id: self.id(), env, ..self.spec.clone() };
        self.spawner.hatch(spec).await.expect("hatch")
    }

    async fn zygote(&mut self) -> Zygote {
        let spec = SandboxSpec { id: self.id(), ..self.spec.clone() };
        let zygote = self.spawner.zygote(spec).await.expect("zygote");
        zygote.ready().await.expect("ready");
        zygote
    }

    /// Parked, then let go, its first byte waited for: times of each, and what the child has used
    /// of the processor since it was let go.
    async fn fork(&mut self, zygote: &Zygote, pause: Duration) -> (Sandbox, [Duration; 4]) {
        let start = Instant::now();
        let parked = zygote.park(self.id()).await.expect("park");
        let forked = start.elapsed();
        tokio::time::sleep(pause).await;
        let used = parked.usage().map(|usage| usage.cpu).unwrap_or_default();
        let go = Instant::now();
        let sandbox = parked.go("sb-1");
        sandbox.ready().await.expect("ready");
        let ready = go.elapsed();
        first_byte(&sandbox).await;
        let answered = go.elapsed();
        let cpu = sandbox.usage().map(|usage| usage.cpu).unwrap_or_default();
        (sandbox, [forked, ready, answered, cpu.saturating_sub(used)])
    }
}

async fn first_byte(sandbox: &Sandbox) {
    let mut connection = sandbox.connect().await.expect("connect");
    connection.write_all(REQUEST).await.expect("write");
    connection.read_exact(&mut [0; 1]).await.expect("read");
}

async fn ordinary(bench: &mut Bench, count: u32) {
    let mut times = Times::default();
    for _ in 0..count {
        tokio::time::sleep(PAUSE).await;
        let start = Instant::now();
        let sandbox = bench.hatch().await;
        sandbox.ready().await.expect("ready");
        first_byte(&sandbox).await;
        times.0.push(start.elapsed());
        sandbox.kill();
        sandbox.exited().await;
    }
    times.print("ordinary start to first byte");
}

async fn spaced(bench: &mut Bench, zygote: &Zygote) {
    let mut times: [Times; 5] = Default::default();
    for _ in 0..STARTS {
        tokio::time::sleep(PAUSE).await;
        let (sandbox, found) = bench.fork(zygote, PAUSE).await;
        for (times, found) in times.iter_mut().zip(found) {
            times.0.push(found);
        }
        times[4].0.push(found[0] + found[2]);
        sandbox.kill();
        sandbox.exited().await;
    }
    let names = [
        "fork and park",
        "go to ready",
        "go to first byte",
        "... of the child's processor time",
        "fork, park, go to first byte",
    ];
    for (times, name) in times.iter_mut().zip(names) {
        times.print(name);
    }
}

/// Starts without a pause, two under way at a time.
async fn storm(bench: &mut Bench, zygote: &Zygote) {
    let start = Instant::now();
    let mut last: Vec<Sandbox> = Vec::new();
    for _ in 0..STARTS / 2 {
        let (one, other) = (bench.id(), bench.id());
        let begin = async |id| {
            let sandbox = zygote.park(id).await.expect("park").go("sb-1");
            sandbox.ready().await.expect("ready");
            first_byte(&sandbox).await;
            sandbox
        };
        let (one, other) = tokio::join!(begin(one), begin(other));
        last.drain(..).for_each(|sandbox| sandbox.kill());
        last.extend([one, other]);
    }
    let rate = f64::from(STARTS) / start.elapsed().as_secs_f64();
    println!("  {:<36} {rate:8.0} a second", "starts to first byte, two at a time");
}

async fn memory(bench: &mut Bench, zygote: &Zygote) {
    let mut children = Vec::new();
    for _ in 0..20 {
        children.push(bench.fork(zygote, Duration::ZERO).await.0);
    }
    let total: u64 =
        children.iter().map(|child| child.usage().map_or(0, |usage| usage.memory_bytes)).sum();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("  {:<36} {:8.2} MiB", "a child that has answered once", mib(total / 20));
    let above = zygote.usage().map_or(0, |usage| usage.memory_bytes);
    println!("  {:<36} {:8.2} MiB", "the zygote, with 20 children", mib(above));
}

fn spec(dir: &Path) -> SandboxSpec {
    let package = dir.join("package");
    std::fs::create_dir_all(&package).expect("package");
    std::fs::write(package.join("hello.py"), CODE).expect("code");
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&package, all).expect("mode");
    let adapters = install_adapters(&dir.join("adapters")).expect("adapters");
    let interpreters = Interpreters::discover(&InterpreterSettings::default());
    if let Ok(python) = &interpreters.python {
        adapters.compile(python).expect("compiled");
    }
    let env = BTreeMap::new();
    let assignment = Assignment {
        tenant: "bench",
        function: "hello",
        version: "v1",
        sandbox: "sb-1",
        concurrency: 1,
        memory_bytes: None,
        env: &env,
    };
    let entry = PythonEntry::Handler { module_path: "hello.py".into(), attribute: "main".into() };
    let (runtime, layout) = (Runtime::Python(entry), Layout::default());
    let plan = StartPlan::zygote(&runtime, &assignment, &interpreters, &adapters, &layout);
    let plan = plan.expect("Python can be forked").expect("Python is installed");
    SandboxSpec {
        id: 0,
        name: "bench/hello@v1".into(),
        argv: plan.argv,
        env: plan.env,
        package,
        read_only: plan.read_only_mounts,
        memory_bytes: 256 << 20,
        cpu_millis: 2000,
        pids: 64,
        files: 256,
        tmp_bytes: 8 << 20,
        network: Network::None,
        entry: Entry::Inherited,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let dir = std::env::temp_dir().join(format!("hatchway-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("folder");
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&dir, all).expect("mode");
    let (spawner, grants) = Spawner::launch(SpawnerConfig {
        program: env!("CARGO_BIN_EXE_hatchway-spawner").into(),
        init: env!("CARGO_BIN_EXE_hatchway-sandbox-init").into(),
        run_dir: dir.join("run"),
        cgroup_name: format!("hatchway-bench-{}", std::process::id()),
        isolation: Isolation::BestEffort,
        uid_base: DEFAULT_UID_BASE,
        mounts: vec!["/".into()],
        adopt: std::time::Duration::ZERO,
        owner: None,
    })
    .expect("launch");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{grants}; load {load}");
    let mut bench = Bench { spec: spec(&dir), spawner, ids: 0 };
    ordinary(&mut bench, STARTS / 10).await;
    let zygote = bench.zygote().await;
    spaced(&mut bench, &zygote).await;
    storm(&mut bench, &zygote).await;
    memory(&mut bench, &zygote).await;
    drop(zygote);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load {load}");
    bench.spawner.stop().await.expect("stop");
    std::fs::remove_dir_all(&dir).expect("clean up");
}
