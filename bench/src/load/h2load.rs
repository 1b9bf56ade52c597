//! h2load, read from what it prints. It tells of no percentiles, and a log of every request would make the load the
//! limit where the load is all that it can give.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Load;
use crate::cases::Case;
use crate::child::find;
use crate::error::{BenchError, During as _, Result};

/// h2load with one thread, but for how long.
pub(super) fn command(case: &Case, streams: u32, address: SocketAddr) -> Result<Command> {
    let mut command = Command::new(find("h2load")?);
    command.arg("-t1").arg(format!("-c{}", case.connections)).arg(format!("-m{streams}"));
    command.arg(format!("http://{address}{}", case.path));
    Ok(command)
}

/// The same over HTTP/1.1 at a given pace; how long each request took goes to `log`.
pub(super) fn paced(case: &Case, rate: u32, address: SocketAddr, log: &Path) -> Result<Command> {
    let mut command = Command::new(find("h2load")?);
    command.args(["--h1", "-t1"]).arg(format!("-c{}", case.connections));
    command.arg(format!("--rps={rate}")).arg(format!("--log-file={}", log.display()));
    command.arg(format!("http://{address}{}", case.path));
    Ok(command)
}

/// Adds the percentiles of what `log` tells, and empties it: h2load appends.
pub(super) fn read_log(load: Load, log: &Path) -> Result<Load> {
    let text = fs::read_to_string(log).at("read", log)?;
    fs::remove_file(log).at("remove", log)?;
    let took = text.lines().map(|line| line.rsplit('\t').next().and_then(|us| us.parse().ok()));
    let mut took: Vec<u64> = took.collect::<Option<_>>().ok_or_else(|| BenchError::Unexpected {
        what: "a log of h2load",
        text: text.lines().take(5).collect::<Vec<_>>().join("\n"),
    })?;
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).copied();
    Ok(Load { p50_us: at(50), p99_us: at(99), ..load })
}

/// `finished in 3.00s, ...` and `requests: 9 total, 9 started, 9 done, 8 succeeded, 1 failed, ...`.
pub(super) fn read_figures(output: &str) -> Result<Load> {
    read(output).filter(|load| load.requests > 0).ok_or_else(|| BenchError::Failed {
        program: "h2load".to_owned(),
        output: output.to_owned(),
    })
}

fn read(output: &str) -> Option<Load> {
    let line = |start: &str| output.lines().find_map(|line| line.strip_prefix(start));
    let seconds: f64 = line("finished in ")?.split_once("s,")?.0.parse().ok()?;
    let counts = line("requests: ")?;
    let count = |word: &str| {
        let mut parts = counts.split(", ").filter_map(|part| part.split_once(' '));
        parts.find(|(_, name)| *name == word)?.0.parse::<u64>().ok()
    };
    let (requests, succeeded) = (count("done")?, count("succeeded")?);
    Some(Load {
        requests,
        duration_us: std::time::Duration::from_secs_f64(seconds).as_micros().try_into().ok()?,
        p50_us: None,
        p99_us: None,
        errors: requests.saturating_sub(succeeded) + count("errored")? + count("timeout")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_log_and_of_one_run_alone() {
        let log = std::env::temp_dir().join(format!("h2load-{}.log", std::process::id()));
        let lines: Vec<String> = (0..200).map(|us| format!("17\t200\t{us}\n")).collect();
        fs::write(&log, lines.concat()).unwrap();
        let load = Load { requests: 200, duration_us: 1, p50_us: None, p99_us: None, errors: 0 };
        let load = read_log(load, &log).unwrap();
        assert_eq!((load.p50_us, load.p99_us, log.exists()), (Some(100), Some(198), false));
    }

    #[test]
    fn figures_are_found_in_what_h2load_prints() {
        let said = "starting benchmark...\n\nfinished in 1.50s, 41.00 req/s, 60.55MB/s\n\
                    requests: 61 total, 70 started, 61 done, 60 succeeded, 1 failed, 2 errored, 3 timeout\n\
                    status codes: 60 2xx, 0 3xx, 0 4xx, 1 5xx\n";
        let load = read_figures(said).expect("the lines are whole");
        assert_eq!((load.requests, load.duration_us, load.errors), (61, 1_500_000, 6));
        assert!(read_figures("finished in 1.50s, 0 req/s\n").is_err());
    }
}
