//! A foreign load maker, ready to load one address with one case.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::{h2load, resume, wrk};
use crate::cases::Case;
use crate::child::{output_of, pinned};
use crate::error::Result;
use crate::front::Front;

/// What one run has seen.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) duration_us: u64,
    /// Where the load maker tells of it.
    pub(crate) p50_us: Option<u64>,
    pub(crate) p99_us: Option<u64>,
    pub(crate) errors: u64,
}

/// Understands what a load maker prints.
type Read = fn(&str) -> Result<Load>;

/// wrk for HTTP/1.1, h2load for HTTP/2, our own for what neither does.
#[derive(Debug)]
pub(crate) struct Maker {
    command: Command,
    read: Read,
    /// Where it writes how long each request took.
    log: Option<PathBuf>,
}

impl Maker {
    /// # Errors
    /// When it is not installed, or its script cannot be written to `dir`.
    pub(crate) fn new(case: &Case, address: SocketAddr, dir: &Path) -> Result<Self> {
        let (wrk, h2load): (Read, Read) = (wrk::read_figures, h2load::read_figures);
        let log = dir.join("h2load.log");
        let (command, read, log) = match case.front {
            Front::Plain | Front::Tls => (wrk::command(case, address, dir)?, wrk, None),
            Front::TlsResumed => (resume::command(case, address)?, wrk, None),
            Front::Http2 { streams } => (h2load::command(case, streams, address)?, h2load, None),
            Front::Paced { rate } => (h2load::paced(case, rate, address, &log)?, h2load, Some(log)),
        };
        Ok(Self { command, read, log })
    }

    /// One thread on core `cpu`, for `duration`.
    pub(crate) fn run(&self, duration: Duration, cpu: usize) -> Result<Load> {
        self.read_figures(&output_of(&mut self.command_for(duration, cpu))?)
    }

    /// The command line of such a run, for a program that runs another (`perf stat`).
    pub(crate) fn command_for(&self, duration: Duration, cpu: usize) -> Command {
        let seconds = duration.as_secs().max(1);
        let mut command = pinned(cpu, &self.command);
        // Both take it joined to its flag.
        command.arg(format!("--duration={seconds}"));
        command
    }

    /// What it said.
    pub(crate) fn read_figures(&self, output: &str) -> Result<Load> {
        let load = (self.read)(output)?;
        match &self.log {
            None => Ok(load),
            Some(log) => h2load::read_log(load, log),
        }
    }
}
