//! `make sim`: a thousand nodes and four gateways with the real placement (`hatchway_gateway::place`), on simulated time.
//!
//! [`world`] is what is asked for, [`node`] what a node does with it, [`gateway`] places, and [`mod@run`] lets time pass. Seeds are fixed: the
//! same program prints the same tables.

mod gateway;
mod node;
mod run;
mod world;

use std::io::Write;
use std::time::Instant;

use clap::Parser;
use comfy_table::{Table, presets};
use hatchway_gateway::place::Policy;

use crate::gateway::Gateway;
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
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const POLICIES: [(&str, Policy); 4] = [
    ("ours", Policy::Affinity),
    ("random", Policy::Random),
    ("hash", Policy::Hash),
    ("least loaded", Policy::LeastLoaded),
];

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
        seed: args.seed,
        fault: Fault::None,
    };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} gateways, {} nodes, {} functions, {} requests/s for {} s, seed {}\n",
        plan.gateways, plan.nodes, plan.functions, plan.per_second, plan.seconds, plan.seed
    )?;
    let mut table = table("policy");
    for (name, policy) in POLICIES {
        table.add_row(row(name, &run(&plan, policy)));
    }
    writeln!(out, "{table}\n")?;
    let mut table = self::table("ours, with");
    for (name, fault) in FAULTS {
        table.add_row(row(name, &run(&Plan { fault, ..plan }, Policy::Affinity)));
    }
    writeln!(out, "{table}\n")?;
    let (warm, cold) = decision(&plan);
    writeln!(
        out,
        "a decision among {} nodes: {warm} ns, the first for a function {cold} ns",
        plan.nodes
    )
}

fn table(first: &str) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        first,
        "cold %",
        "waited %",
        "failed %",
        "lost",
        "refusals %",
        "nodes per function",
        "sandboxes",
        "GiB",
        "fullest / mean",
    ]);
    table
}

fn row(name: &str, figures: &Figures) -> Vec<String> {
    #[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
    let percent =
        |count: u64| format!("{:.3}", count as f64 * 100.0 / figures.requests.max(1) as f64);
    vec![
        name.to_owned(),
        percent(figures.cold),
        percent(figures.waited),
        percent(figures.failed),
        figures.lost.to_string(),
        percent(figures.refusals),
        format!("{:.3}", figures.spread()),
        format!("{:.0}", figures.sandboxes()),
        format!("{:.0}", figures.memory_gib()),
        format!("{:.2}", figures.imbalance()),
    ]
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
