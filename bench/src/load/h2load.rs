//! h2load, read from what it prints. It tells of no percentiles, and a log of every request would make the load the
//! limit.

use std::net::SocketAddr;
use std::process::Command;

use super::Load;
use crate::cases::Case;
use crate::child::find;
use crate::error::{BenchError, Result};

/// h2load with one thread, but for how long.
pub(super) fn command(case: &Case, streams: u32, address: SocketAddr) -> Result<Command> {
    let mut command = Command::new(find("h2load")?);
    command.arg("-t1").arg(format!("-c{}", case.connections)).arg(format!("-m{streams}"));
    command.arg(format!("http://{address}{}", case.path));
    Ok(command)
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
    fn figures_are_found_in_what_h2load_prints() {
        let said = "starting benchmark...\n\nfinished in 1.50s, 41.00 req/s, 60.55MB/s\n\
                    requests: 61 total, 70 started, 61 done, 60 succeeded, 1 failed, 2 errored, 3 timeout\n\
                    status codes: 60 2xx, 0 3xx, 0 4xx, 1 5xx\n";
        let load = read_figures(said).expect("the lines are whole");
        assert_eq!((load.requests, load.duration_us, load.errors), (61, 1_500_000, 6));
        assert!(read_figures("finished in 1.50s, 0 req/s\n").is_err());
    }
}
