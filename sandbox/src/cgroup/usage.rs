//! What a sandbox uses, as its control group measures it.

use std::io;
use std::time::Duration;

use super::GroupPaths;
use super::file::{read, read_number, value_of};

/// The figures of one sandbox. Never resident set size: that counts pages shared between
/// processes once for each and overstates a Node process three to six times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory that would be missed: all that is charged less the page cache not used lately.
    pub memory_bytes: u64,
    /// The most that was ever charged, page cache included; 0 where it is not kept.
    pub memory_peak_bytes: u64,
    /// Processor time of all processes since the start.
    pub cpu: Duration,
    /// Time in which it would have run and the quota did not let it.
    pub throttled: Duration,
    /// Periods of 100 ms in which it ran at all.
    pub periods: u64,
    /// Those of them in which the quota held it back.
    pub throttled_periods: u64,
    /// Processes and threads at this moment.
    pub pids: u64,
    /// How many processes the kernel killed at the memory limit.
    pub oom_kills: u64,
}

/// Reads the figures; needs no privilege.
///
/// # Errors
/// `NotFound` once the sandbox has ended and its group is gone; `Unsupported` without one.
pub(crate) fn read_usage(group: &GroupPaths) -> io::Result<Usage> {
    match group {
        GroupPaths::V2 { dir } => {
            let stat = read(dir, "memory.stat")?;
            let cpu = read(dir, "cpu.stat")?;
            Ok(Usage {
                memory_bytes: read_number(dir, "memory.current")?
                    .saturating_sub(value_of(&stat, "inactive_file")),
                memory_peak_bytes: read_number(dir, "memory.peak").unwrap_or(0),
                cpu: Duration::from_micros(value_of(&cpu, "usage_usec")),
                throttled: Duration::from_micros(value_of(&cpu, "throttled_usec")),
                periods: value_of(&cpu, "nr_periods"),
                throttled_periods: value_of(&cpu, "nr_throttled"),
                pids: read_number(dir, "pids.current")?,
                oom_kills: value_of(&read(dir, "memory.events")?, "oom_kill"),
            })
        }
        GroupPaths::V1 { memory, cpu, cpuacct, pids, leaf: _ } => {
            let mut usage = Usage::default();
            if let Some(dir) = memory {
                let stat = read(dir, "memory.stat")?;
                usage.memory_bytes = read_number(dir, "memory.usage_in_bytes")?
                    .saturating_sub(value_of(&stat, "total_inactive_file"));
                usage.memory_peak_bytes = read_number(dir, "memory.max_usage_in_bytes")?;
                usage.oom_kills = value_of(&read(dir, "memory.oom_control")?, "oom_kill");
            }
            if let Some(dir) = cpu {
                let stat = read(dir, "cpu.stat")?;
                usage.throttled = Duration::from_nanos(value_of(&stat, "throttled_time"));
                usage.periods = value_of(&stat, "nr_periods");
                usage.throttled_periods = value_of(&stat, "nr_throttled");
            }
            if let Some(dir) = cpuacct {
                usage.cpu = Duration::from_nanos(read_number(dir, "cpuacct.usage")?);
            }
            if let Some(dir) = pids {
                usage.pids = read_number(dir, "pids.current")?;
            }
            Ok(usage)
        }
        GroupPaths::None => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "nothing measures a sandbox without a control group",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn version_2_counts_memory_without_what_the_cache_would_give_back() {
        let root = tempfile::tempdir().expect("temporary folder");
        let dir = root.path().to_owned();
        for (name, text) in [
            ("memory.current", "5000\n"),
            ("memory.peak", "9000\n"),
            ("memory.stat", "anon 3000\ninactive_file 1500\nactive_file 500\n"),
            ("memory.events", "oom_kill 2\n"),
            ("cpu.stat", "usage_usec 70\nnr_periods 9\nnr_throttled 3\nthrottled_usec 40\n"),
            ("pids.current", "4\n"),
        ] {
            fs::write(dir.join(name), text).expect("file");
        }
        let usage = read_usage(&GroupPaths::V2 { dir }).expect("usage");
        let expected = Usage {
            memory_bytes: 3500,
            memory_peak_bytes: 9000,
            cpu: Duration::from_micros(70),
            throttled: Duration::from_micros(40),
            periods: 9,
            throttled_periods: 3,
            pids: 4,
            oom_kills: 2,
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn version_1_gathers_the_same_from_its_controllers() {
        let root = tempfile::tempdir().expect("temporary folder");
        let dir = root.path().to_owned();
        for (name, text) in [
            ("memory.usage_in_bytes", "5000\n"),
            ("memory.max_usage_in_bytes", "9000\n"),
            ("memory.stat", "inactive_file 9\ntotal_inactive_file 1500\n"),
            ("memory.oom_control", "oom_kill_disable 0\noom_kill 2\n"),
            ("cpu.stat", "nr_periods 9\nnr_throttled 3\nthrottled_time 40000\n"),
            ("cpuacct.usage", "70000\n"),
            ("pids.current", "4\n"),
        ] {
            fs::write(dir.join(name), text).expect("file");
        }
        let group = GroupPaths::V1 {
            memory: Some(dir.clone()),
            cpu: Some(dir.clone()),
            cpuacct: Some(dir.clone()),
            pids: Some(dir),
            leaf: None,
        };
        let usage = read_usage(&group).expect("usage");
        assert_eq!(usage.memory_bytes, 3500);
        assert_eq!(usage.cpu, Duration::from_micros(70));
        assert_eq!(usage.throttled, Duration::from_micros(40));
        assert_eq!((usage.pids, usage.oom_kills), (4, 2));
    }

    #[test]
    fn a_group_that_is_gone_is_not_found() {
        let dir = "/nonexistent/group".into();
        let error = read_usage(&GroupPaths::V2 { dir }).expect_err("gone");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
