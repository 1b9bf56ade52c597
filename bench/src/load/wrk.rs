//! wrk, asked for its figures as JSON.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Load;
use crate::cases::Case;
use crate::child::find;
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

/// wrk with one thread, but for how long.
pub(super) fn command(case: &Case, address: SocketAddr, dir: &Path) -> Result<Command> {
    let script = dir.join(format!("{}.lua", case.name));
    fs::write(&script, format!("{}\n{DONE}", case.request)).at("write", &script)?;
    let scheme = if case.front.is_tls() { "https" } else { "http" };
    let mut command = Command::new(find("wrk")?);
    command.args(["-t1", "--timeout", "10s"]);
    command.arg(format!("-c{}", case.connections)).arg("-s").arg(script);
    command.arg(format!("{scheme}://{address}{}", case.path));
    Ok(command)
}

pub(super) fn read_figures(output: &str) -> Result<Load> {
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
        assert_eq!((load.requests, load.p99_us), (7, Some(2)));
    }

    #[test]
    fn a_run_without_an_answer_is_a_failure() {
        assert!(read_figures("unable to connect").is_err());
        let none =
            "figures {\"requests\":0,\"duration_us\":9,\"p50_us\":0,\"p99_us\":0,\"errors\":64}";
        assert!(read_figures(none).is_err());
    }
}
