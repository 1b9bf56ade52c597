//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::cases::{CASES, Case};
use crate::peers::Peer;

/// Figures of Hatchway beside what a user would pick instead, run in the same minutes.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// The folder with `hatchway` and its helpers
    #[arg(long, value_name = "DIR")]
    pub(crate) programs: PathBuf,
    /// The canned server, statically linked
    #[arg(long, value_name = "FILE")]
    pub(crate) function: PathBuf,
    /// The folder that Envoy was installed into
    #[arg(long, value_name = "DIR", default_value = "target/envoy")]
    pub(crate) envoy: PathBuf,
    /// Where figures.json and figures.svg go
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// How often everything is measured, interleaved
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: u32,
    /// How long each run lasts, behind a second of warm-up
    #[arg(long, default_value_t = 3)]
    pub(crate) seconds: u64,
    /// Clients that say nothing
    #[arg(long, default_value_t = 10_000)]
    pub(crate) idle: usize,
    /// Cold starts of each runtime
    #[arg(long, default_value_t = 20)]
    pub(crate) starts: usize,
    /// One short round of everything: proves that it runs, not what it costs
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these: one, paced, get, post, upload, large, connect, http2, tls, tls-connect, tls-resume, two, two-post, two-large, routes,
    /// idle, idle-http2, cold; with a budget, the names in its file
    #[arg(long, value_delimiter = ',', value_name = "CASE")]
    pub(crate) cases: Vec<String>,
    /// Only these
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) peers: Vec<Peer>,
    /// Count instructions and hold them against this file, in place of measuring time
    #[arg(long, value_name = "FILE")]
    pub(crate) budget: Option<PathBuf>,
    /// With a budget: what was counted becomes what is allowed
    #[arg(long, requires = "budget")]
    pub(crate) accept: bool,
    /// In place of all else: how much memory so many live Node functions take
    #[arg(long, value_name = "FUNCTIONS")]
    pub(crate) density: Option<usize>,
    /// With a density: functions that are registered besides
    #[arg(long, default_value_t = 2_000)]
    pub(crate) registered: usize,
    /// Set by ourselves, once we are in namespaces of our own
    #[arg(long = "inside-namespaces", hide = true)]
    pub(crate) inside: bool,
}

impl Args {
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|name| name == case)
    }

    pub(crate) fn wanted_cases(&self) -> Vec<&'static Case> {
        CASES.iter().filter(|case| self.wants(case.name)).collect()
    }

    pub(crate) fn wanted_peers(&self) -> Vec<Peer> {
        if self.peers.is_empty() { Peer::ALL.to_vec() } else { self.peers.clone() }
    }

    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds.max(1) }
    }

    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { self.seconds.max(1) })
    }
}
