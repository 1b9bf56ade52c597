//! How long a start takes: `cargo bench -p hatchway-sandbox --profile quick`.
//!
//! The function is `/bin/true`, so that isolation and exec are all there is. Starts are spaced
//! as requests are: back to back they hide what the first move into a control group after a
//! quiet time costs (an RCU grace period, 7 ms and more).

use std::time::{Duration, Instant};

use hatchway_sandbox::{
    Entry, Isolation, Network, Sandbox, SandboxSpec, Spawner, SpawnerConfig,
    spawner::DEFAULT_UID_BASE,
};

fn spec(id: u64, package: &std::path::Path) -> SandboxSpec {
    SandboxSpec {
        id,
        name: "bench/true@1".into(),
        argv: vec!["/bin/true".into()],
        env: Vec::new(),
        package: package.into(),
        read_only: Vec::new(),
        memory_bytes: 64 << 20,
        cpu_millis: 1000,
        pids: 32,
        files: 128,
        tmp_bytes: 1 << 20,
        network: Network::None,
        entry: Entry::Inherited,
    }
}

/// Times of one kind, sorted.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn at(&mut self, percent: usize) -> f64 {
        self.0.sort_unstable();
        let index = (self.0.len() * percent / 100).min(self.0.len() - 1);
        self.0[index].as_secs_f64() * 1e3
    }

    fn print(&mut self, name: &str) {
        let (p50, p99) = (self.at(50), self.at(99));
        println!("  {name:<28} {p50:8.3} ms p50 {p99:9.3} ms p99");
    }
}

async fn measure(spawner: &Spawner, ids: &mut u64, dir: &std::path::Path, n: u32, pause: Duration) {
    let mut times: [Times; 5] = Default::default();
    for _ in 0..n {
        *ids += 1;
        tokio::time::sleep(pause).await;
        let start = Instant::now();
        let sandbox: Sandbox = spawner.hatch(spec(*ids, dir)).await.expect("hatch");
        times[0].0.push(start.elapsed());
        times[1].0.push(sandbox.phases.order);
        times[2].0.push(sandbox.phases.isolate);
        times[3].0.push(sandbox.phases.exec);
        sandbox.exited().await;
        times[4].0.push(start.elapsed());
    }
    println!("{n} starts, {} ms apart", pause.as_millis());
    for (times, name) in times.iter_mut().zip([
        "hatch, as the node sees it",
        "  order",
        "  isolate",
        "  exec",
        "until nothing of it is left",
    ]) {
        times.print(name);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let dir = tempfile::Builder::new().prefix("hw").tempdir().expect("temporary folder");
    let (spawner, grants) = Spawner::launch(SpawnerConfig {
        program: env!("CARGO_BIN_EXE_hatchway-spawner").into(),
        init: env!("CARGO_BIN_EXE_hatchway-sandbox-init").into(),
        run_dir: dir.path().join("run"),
        cgroup_name: format!("hatchway-bench-{}", std::process::id()),
        isolation: Isolation::BestEffort,
        uid_base: DEFAULT_UID_BASE,
        mounts: vec!["/".into()],
        adopt: std::time::Duration::ZERO,
        owner: None,
    })
    .expect("launch");
    println!("{grants}");
    let mut ids = 0;
    measure(&spawner, &mut ids, dir.path(), 20, Duration::ZERO).await;
    measure(&spawner, &mut ids, dir.path(), 300, Duration::ZERO).await;
    measure(&spawner, &mut ids, dir.path(), 100, Duration::from_millis(60)).await;
    let start = Instant::now();
    const ALL: u32 = 500;
    let mut running = Vec::new();
    for _ in 0..ALL {
        ids += 1;
        running.push(spawner.hatch(spec(ids, dir.path())));
        if running.len() == 8 {
            for sandbox in futures_join(std::mem::take(&mut running)).await {
                sandbox.exited().await;
            }
        }
    }
    for sandbox in futures_join(running).await {
        sandbox.exited().await;
    }
    let rate = f64::from(ALL) / start.elapsed().as_secs_f64();
    println!("{rate:.0} starts and ends a second, 8 at once");
    spawner.stop().await.expect("stop");
}

/// Starts all of them, then waits for each.
async fn futures_join<F>(futures: Vec<F>) -> Vec<Sandbox>
where
    F: Future<Output = Result<Sandbox, hatchway_sandbox::HatchError>>,
{
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(sandbox) => {
                done.push(sandbox.expect("hatch"));
                false
            }
            std::task::Poll::Pending => true,
        });
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}
