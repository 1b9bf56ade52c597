//! One figure: a fresh gateway, a warm-up, a load, and what the gateway has used meanwhile.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cases::Case;
use crate::child::{find, output_of};
use crate::error::{BenchError, During as _, Result};
use crate::load::{Load, Maker};
use crate::machine::Cores;
use crate::peers::{Peer, Running, Site};

/// Above this share of failed requests a figure would tell of failures, not of answers.
const MAX_FAILED: f64 = 0.001;
/// Long enough to open every connection and to fill every cache; wrk counts in whole seconds.
const WARM_UP: Duration = Duration::from_secs(1);
/// Ticks per second of `/proc/stat`, on every Linux that we run on (proc_stat(5)).
const TICKS_PER_S: f64 = 100.0;

/// What one run has shown.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) requests_per_s: f64,
    /// Not a number where the load maker does not tell.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// User and system time of the charged processes. Loopback receives on the sender's core, so a
    /// part of the true cost is charged to nobody, for all alike.
    pub(crate) cpu_us_per_request: f64,
    /// The charged processes' share of their core. Below 0.9 or so, the load was the limit, and the
    /// processor time per request is a little too high: fewer requests share a wake-up.
    pub(crate) utilisation: f64,
    /// How busy the core of load and function was, whoever used it.
    pub(crate) load_core_busy: f64,
    /// Time on the gateway's core that went to somebody else: what makes a run doubtful.
    pub(crate) foreign: f64,
    pub(crate) peak_bytes: u64,
    pub(crate) errors: u64,
}

/// Runs `case` once against a fresh `peer`.
pub(crate) fn sample(peer: Peer, case: &Case, site: &Site, duration: Duration) -> Result<Sample> {
    let running = peer.start(site, case.front)?;
    let maker = Maker::new(case, running.address, &site.dir)?;
    let warm_up = maker.run(WARM_UP, site.cores.load)?;
    refuse_failures(&warm_up)?;
    let before = Moment::now(&running, site.cores);
    let load = maker.run(duration, site.cores.load)?;
    let after = Moment::now(&running, site.cores);
    refuse_failures(&load)?;
    Ok(compare(&before, &after, load))
}

fn refuse_failures(load: &Load) -> Result<()> {
    if load.errors as f64 <= load.requests as f64 * MAX_FAILED {
        return Ok(());
    }
    let text = format!("{} of {} requests failed", load.errors, load.requests);
    Err(BenchError::Unexpected { what: "the number of failures", text })
}

struct Moment {
    time: Instant,
    cpu_ns: u64,
    peak_bytes: u64,
    gateway_core_s: f64,
    load_core_s: f64,
}

impl Moment {
    fn now(running: &Running, cores: Cores) -> Self {
        let usage = running.charged.usage();
        Self {
            time: Instant::now(),
            cpu_ns: usage.cpu_ns,
            peak_bytes: usage.peak_bytes,
            gateway_core_s: busy_s(cores.gateway),
            load_core_s: busy_s(cores.load),
        }
    }
}

fn compare(before: &Moment, after: &Moment, load: Load) -> Sample {
    let wall_s = (after.time - before.time).as_secs_f64();
    let load_s = Duration::from_micros(load.duration_us).as_secs_f64();
    let used_s = Duration::from_nanos(after.cpu_ns.saturating_sub(before.cpu_ns)).as_secs_f64();
    let requests = load.requests as f64;
    let gateway_core_busy = after.gateway_core_s - before.gateway_core_s;
    Sample {
        requests_per_s: requests / load_s,
        p50_us: load.p50_us.map_or(f64::NAN, |us| us as f64),
        p99_us: load.p99_us.map_or(f64::NAN, |us| us as f64),
        cpu_us_per_request: used_s * 1e6 / requests,
        utilisation: used_s / load_s,
        load_core_busy: (after.load_core_s - before.load_core_s) / wall_s,
        foreign: ((gateway_core_busy - used_s) / wall_s).max(0.0),
        peak_bytes: after.peak_bytes,
        errors: load.errors,
    }
}

/// Seconds that a core has not been idle since it started.
fn busy_s(core: usize) -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let prefix = format!("cpu{core} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default();
    let ticks = line.split_whitespace().take(8).map(|word| word.parse::<f64>().unwrap_or(0.0));
    // user nice system IDLE IOWAIT irq softirq steal
    ticks
        .enumerate()
        .filter(|(field, _)| *field != 3 && *field != 4)
        .map(|(_, ticks)| ticks)
        .sum::<f64>()
        / TICKS_PER_S
}

/// System calls per request, counted by the kernel's own tracepoint in a run that is not timed.
/// `None` where perf is missing or may not look.
pub(crate) fn system_calls(peer: Peer, case: &Case, site: &Site) -> Result<Option<f64>> {
    let Ok(perf) = find("perf") else { return Ok(None) };
    let running = peer.start(site, case.front)?;
    let maker = Maker::new(case, running.address, &site.dir)?;
    let counted = site.dir.join("perf.csv");
    let pids: Vec<String> = running.charged.pids().iter().map(u32::to_string).collect();
    let mut command = Command::new(perf);
    command.args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", &pids.join(","), "-o"]);
    let load = maker.command_for(WARM_UP, site.cores.load);
    command.arg(&counted).arg("--").arg(load.get_program()).args(load.get_args());
    let Ok(output) = output_of(&mut command) else { return Ok(None) };
    let load = maker.read_figures(&output)?;
    let text = fs::read_to_string(&counted).at("read", &counted)?;
    let line = text.lines().find(|line| line.contains("raw_syscalls"));
    let calls = line.and_then(|line| line.split(',').next()?.parse::<f64>().ok());
    Ok(calls.map(|calls| calls / load.requests as f64))
}
