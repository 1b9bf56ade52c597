//! `make sim`: a thousand nodes and four gateways with the real placement (`hatchway_gateway::place`), on simulated time.
//!
//! [`world`] is what is asked for, [`node`] what a node does with it, [`gateway`] places, and [`mod@run`] lets time pass. Seeds are fixed: the
//! same program prints the same tables.

mod delays;
mod gateway;
mod node;
mod run;
mod world;

use std::io::Write;
use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;
use comfy_table::{Table, presets};
use hatchway_gateway::place::Policy;

use crate::gateway::Gateway;
use crate::node::MEMORY_MIB;
use crate::run::{Fault, Figures, Plan, run};
use crate::world::World;

/// Compares ways to place in a simulated cluster.
#[derive(Debug, Parser)]
struct Args {
    #[arg(long, default_value_t = 4)]
    gateways: usize,
    #[arg(long, default_value_t = 1000)]
    nodes: usize,
    #[arg(long, default_value_t = 50_000)]
    functions: u32,
    /// Requests.
    #[arg(long, default_value_t = 20_000.0)]
    per_second: f64,
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Each is a run of its own; figures are means, and how far from them any was.
    #[arg(long, value_delimiter = ',', default_values_t = [11, 12, 13])]
    seeds: Vec<u64>,
}

const POLICIES: [(&str, Policy); 4] = [
    ("ours", Policy::Affinity),
    ("random", Policy::Random),
    ("hash", Policy::Hash),
    ("least loaded", Policy::LeastLoaded),
];

/// More than anybody needs.
const ENDLESS_MIB: u32 = 1 << 30;

const FAULTS: [(&str, Fault); 4] = [
    ("none", Fault::None),
    ("a tenth of the nodes lost, etcd away", Fault::Loss),
    ("all gateways restarted", Fault::Restart),
    ("loads ten seconds old", Fault::Stale),
];

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let plan = Plan {
        gateways: args.gateways,
        nodes: args.nodes,
        functions: args.functions,
        per_second: args.per_second,
        seconds: args.seconds,
        seed: 0,
        memory_mib: MEMORY_MIB,
        fault: Fault::None,
    };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} gateways, {} nodes, {} functions, {} requests/s for {} s, seeds {:?}\n",
        plan.gateways, plan.nodes, plan.functions, plan.per_second, plan.seconds, args.seeds
    )?;
    let mut policies = POLICIES.map(|(name, policy)| Case { name, policy, plan }).to_vec();
    // Nothing gives way for want of room: what starts here has to start.
    let endless = Plan { memory_mib: ENDLESS_MIB, ..plan };
    policies.push(Case { name: "ours, endless memory", policy: Policy::Affinity, plan: endless });
    writeln!(out, "{}\n", compare("policy", &args.seeds, &policies))?;
    let with =
        |(name, fault)| Case { name, policy: Policy::Affinity, plan: Plan { fault, ..plan } };
    writeln!(out, "{}\n", compare("ours, with", &args.seeds, &FAULTS.map(with)))?;
    let (warm, cold) = decision(&plan);
    writeln!(
        out,
        "a decision among {} nodes: {warm} ns, the first for a function {cold} ns",
        plan.nodes
    )
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    policy: Policy,
    plan: Plan,
}

/// A row for each of `cases`, each run with every seed: as many at a time as there are cores.
fn compare(first: &str, seeds: &[u64], cases: &[Case]) -> Table {
    let runs: Vec<_> =
        cases.iter().flat_map(|case| seeds.iter().map(move |seed| (case, seed))).collect();
    let done: Vec<OnceLock<Figures>> = runs.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((case, seed)) = runs.get(at) else { return };
            let plan = Plan { seed: **seed, ..case.plan };
            done[at].set(run(&plan, case.policy)).expect("a run is taken once");
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| (0..cores).for_each(|_| _ = scope.spawn(work)));
    let mut table = table(first);
    for (case, done) in cases.iter().zip(done.chunks(seeds.len())) {
        let of_seeds: Vec<_> = done.iter().filter_map(OnceLock::get).collect();
        table.add_row(row(case.name, &of_seeds));
    }
    table
}

/// A column: what it is called, how it is written, and the figure.
type Column = (&'static str, usize, fn(&Figures) -> f64);

const COLUMNS: [Column; 12] = [
    ("cold %", 2, |figures| figures.percent(figures.cold)),
    ("waited %", 2, |figures| figures.percent(figures.waited)),
    ("failed %", 3, |figures| figures.percent(figures.failed)),
    ("late %", 2, |figures| figures.percent(figures.late)),
    ("lost", 0, |figures| figures.count(figures.lost)),
    ("delay, mean ms", 2, |figures| figures.delays.mean_ms()),
    ("p99 ms", 0, |figures| figures.delays.quantile_ms(9900)),
    ("p99.9 ms", 0, |figures| figures.delays.quantile_ms(9990)),
    ("refusals %", 1, |figures| figures.percent(figures.refusals)),
    ("nodes per function", 3, Figures::spread),
    ("GiB", 0, Figures::memory_gib),
    ("fullest / mean", 2, Figures::imbalance),
];

fn table(first: &str) -> Table {
    let mut table = Table::new();
    let header = std::iter::once(first).chain(COLUMNS.iter().map(|(name, ..)| *name));
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table
}

/// Means over seeds, and how far the farthest one was away.
fn row(name: &str, of_seeds: &[&Figures]) -> Vec<String> {
    let cell = |(_, digits, figure): &Column| {
        let all: Vec<f64> = of_seeds.iter().map(|figures| figure(figures)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a count of seeds")]
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let farthest = all.iter().map(|one| (one - mean).abs()).fold(0.0, f64::max);
        let (mean, farthest) = (format!("{mean:.digits$}"), format!("{farthest:.digits$}"));
        // A spread that rounds to nothing is not told.
        let is_told = farthest.contains(|digit: char| ('1'..='9').contains(&digit));
        if is_told { format!("{mean} ±{farthest}") } else { mean }
    };
    std::iter::once(name.to_owned()).chain(COLUMNS.iter().map(cell)).collect()
}

/// What a decision takes, in nanoseconds: for a function that was asked for before, and for one that was not.
fn decision(plan: &Plan) -> (u128, u128) {
    const COUNT: u32 = 10_000;
    let count = COUNT.min(plan.functions);
    let world = World::new(plan.functions, plan.per_second, plan.seed);
    let functions = world.functions.len();
    let mut gateway = Gateway::new(Policy::Affinity, plan.nodes, functions, plan.seed);
    let now = tokio::time::Instant::now();
    let mut time = || {
        let began = Instant::now();
        for f in 0..count {
            std::hint::black_box(gateway.pick(f, &world.functions[f as usize], &[], now));
        }
        began.elapsed().as_nanos() / u128::from(count.max(1))
    };
    let cold = time();
    (time(), cold)
}
