//! wrk, asked for its figures as JSON.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::cases::Case;
use crate::child::{find, output_of, pinned};
use crate::error::{BenchError, During as _, Result};

/// Printed by wrk at the end of a run. Its own summary rounds, and cannot be read when it is `nan`.
const DONE: &str = r#"
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '\nfigures {"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// What one run of wrk has seen.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) duration_us: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) errors: u64,
}

/// wrk, ready to load one address with one case.
#[derive(Debug)]
pub(crate) struct Wrk {
    command: Command,
}

impl Wrk {
    /// # Errors
    /// When wrk is not installed, or its script cannot be written to `dir`.
    pub(crate) fn new(case: &Case, address: SocketAddr, dir: &Path) -> Result<Self> {
        let script = dir.join(format!("{}.lua", case.name));
        fs::write(&script, format!("{}\n{DONE}", case.request)).at("write", &script)?;
        let mut command = Command::new(find("wrk")?);
        command.args(["-t1", "--timeout", "10s"]);
        command.arg(format!("-c{}", case.connections)).arg("-s").arg(script);
        command.arg(format!("http://{address}{}", case.path));
        Ok(Self { command })
    }

    /// One thread on core `cpu`, for `duration`.
    pub(crate) fn run(&self, duration: Duration, cpu: usize) -> Result<Load> {
        read_figures(&output_of(&mut self.command_for(duration, cpu))?)
    }

    /// The command line of such a run, for a program that runs another (`perf stat`).
    pub(crate) fn command_for(&self, duration: Duration, cpu: usize) -> Command {
        let mut command = pinned(cpu, &self.command);
        command.arg("-d").arg(format!("{}s", duration.as_secs().max(1)));
        command
    }
}

pub(crate) fn read_figures(output: &str) -> Result<Load> {
    let line = output.lines().find_map(|line| line.strip_prefix("figures "));
    let load: Option<Load> = line.and_then(|json| serde_json::from_str(json).ok());
    load.filter(|load| load.requests > 0)
        .ok_or_else(|| BenchError::Failed { program: "wrk".to_owned(), output: output.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_behind_what_wrk_says_by_itself() {
        let said = "Running 1s test\n  Latency nan\n\nfigures {\"requests\":7,\"duration_us\":9,\
                    \"p50_us\":1,\"p99_us\":2,\"errors\":0}\n";
        let load = read_figures(said).expect("the line is whole");
        assert_eq!((load.requests, load.p99_us), (7, 2));
    }

    #[test]
    fn a_run_without_an_answer_is_a_failure() {
        assert!(read_figures("unable to connect").is_err());
        let none =
            "figures {\"requests\":0,\"duration_us\":9,\"p50_us\":0,\"p99_us\":0,\"errors\":64}";
        assert!(read_figures(none).is_err());
    }
}
