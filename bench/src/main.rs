//! `make bench`: what a call through Hatchway costs, beside the function alone and beside the servers
//! a user would pick instead, all run in the same minutes on the same cores.
//!
//! Reading order: [`cases`] what is asked, [`peers`] who answers, [`mod@measure`] one run, [`rounds`] how
//! runs are interleaved, [`idle`] and [`cold`] the two questions that are no load, [`report`] what is
//! shown. [`density`] is asked by itself. [`machine`] prepares the ground, [`process`] reads what was used.
//!
//! [`budget`] is the other program in here: `make perf-budget`, which counts instead of timing.
//!
//! Traps that the figures avoid: a congestion control that paces on loopback (own network namespace,
//! cubic or reno); processor time per request that falls when a core is busier (utilisation is printed
//! beside it); a machine that changes its speed (interleaved rounds, ratios within a round); limits
//! on requests per kept connection; latencies rounded by the load maker.

mod args;
mod budget;
mod cases;
mod child;
mod cold;
mod density;
mod error;
mod front;
mod idle;
mod load;
mod machine;
mod measure;
mod peers;
mod process;
mod report;
mod rounds;
mod stats;

use std::fs;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Args;
use crate::error::{During as _, Result};
use crate::front::Front;
use crate::machine::{Cores, Machine};
use crate::peers::{Peer, Site};
use crate::report::{Report, Version};

fn main() -> ExitCode {
    let args = Args::parse();
    // Instructions are the same in any network.
    if !args.inside && args.budget.is_none() {
        if let Some(code) = machine::reenter() {
            return code;
        }
        eprintln!(
            "bench: no namespaces of our own: measured with this machine's congestion control"
        );
    }
    match run(&args) {
        Ok(complete) => ExitCode::from(u8::from(!complete)),
        Err(error) => {
            eprintln!("bench: {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// Measures and reports; false when something that was asked for could not be measured.
fn run(args: &Args) -> Result<bool> {
    if args.inside {
        machine::prepare_network()?;
    }
    machine::raise_descriptor_limit();
    let cores = Cores::choose();
    // The same folder every time: what an interrupted run left there, the next daemon clears up.
    let dir = args.out.join("run");
    fs::create_dir_all(&dir).at("create", &dir)?;
    let site = Site {
        dir: dir.canonicalize().at("find", &dir)?,
        programs: args.programs.clone(),
        function: args.function.clone(),
        envoy: args.envoy.clone(),
        cores,
    };
    if let Some(file) = &args.budget {
        let kept = budget::run(file, args.accept, |case| args.wants(case), &site, &show_progress);
        clear_progress();
        fs::remove_dir_all(&site.dir).at("remove", &site.dir)?;
        return kept;
    }
    if let Some(live) = args.density {
        let density = density::measure(live, args.registered, &site, &show_progress);
        clear_progress();
        fs::remove_dir_all(&site.dir).at("remove", &site.dir)?;
        density?.print();
        return Ok(true);
    }
    let report = measure(args, &site);
    clear_progress();
    fs::remove_dir_all(&site.dir).at("remove", &site.dir)?;
    report.print();
    for path in report.write(&args.out)? {
        println!("written: {}", path.display());
    }
    Ok(report.missing.is_empty())
}

fn measure(args: &Args, site: &Site) -> Report {
    let mut missing = Vec::new();
    let mut versions = Vec::new();
    for peer in args.wanted_peers() {
        match peer.version(site) {
            Ok(version) => versions.push(Version { peer, version }),
            Err(error) => missing.push(format!("{}: {error}", peer.name())),
        }
    }
    let peers: Vec<Peer> = versions.iter().map(|known| known.peer).collect();
    let cases = rounds::run(
        &args.wanted_cases(),
        &peers,
        args.rounds(),
        args.duration(),
        site,
        &show_progress,
    );
    for case in &cases {
        for series in &case.series {
            let failed = series.failures.iter();
            missing
                .extend(failed.map(|why| format!("{}, {}: {why}", case.name, series.peer.name())));
        }
    }
    let mut keep = |what: &str, error: error::BenchError| missing.push(format!("{what}: {error}"));
    let mut idle = Vec::new();
    let fronts = [("idle", Front::Plain), ("idle-http2", Front::Http2 { streams: 1 })];
    for (name, front) in fronts.into_iter().filter(|(name, _)| args.wants(name)) {
        let is_asked = |peer: &&Peer| match peer {
            Peer::Direct => front == Front::Plain,
            Peer::Pair | Peer::Routes => false,
            Peer::Hatchway | Peer::Nginx | Peer::Haproxy | Peer::Envoy => true,
        };
        for &peer in peers.iter().filter(is_asked) {
            show_progress(&format!("{name} connections: {}", peer.name()));
            match idle::measure(peer, front, args.idle, site) {
                Ok(figures) => idle.push(figures),
                Err(error) => keep(&format!("{name} connections, {}", peer.name()), error),
            }
        }
    }
    let mut cold = Vec::new();
    let runtimes =
        cold::RUNTIMES.iter().filter(|_| args.wants("cold") && peers.contains(&Peer::Hatchway));
    for runtime in runtimes {
        show_progress(&format!("cold starts: {}", runtime.name));
        match cold::measure(runtime, args.starts, site) {
            Ok(figures) => cold.push(figures),
            Err(error) => keep(&format!("cold starts, {}", runtime.name), error),
        }
    }
    Report {
        machine: Machine::describe(site.cores),
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        rounds: args.rounds(),
        seconds: args.duration().as_secs(),
        versions,
        cases,
        idle,
        cold,
        missing,
    }
}

/// One line that is written over, for a person who waits.
fn show_progress(what: &str) {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
        // Nothing depends on a progress line.
        let _ = stderr().flush();
    } else {
        eprintln!("{what}");
    }
}

fn clear_progress() {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}
