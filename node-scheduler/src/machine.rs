//! What this machine, or the container that it is, has for sandboxes.

use std::fs;

use crate::pool::Budget;

/// Counts only sandboxes that start or run, and most of these wait for something else than a core. What is
/// promised too often is shared by time, in proportion to the limits; a refusal would be worse.
const CPU_OVERCOMMIT_PERCENT: u64 = 10_000;

/// When nothing can be read, enough for a few functions and too little to do harm.
const UNKNOWN_MEMORY_BYTES: u64 = 1 << 30;
/// The kernel's own default of pid_max on small machines.
const UNKNOWN_PIDS: u64 = 32_768;

/// Limits of the whole container; the first that is there and is a number counts. A limit that is larger
/// than the machine is no limit.
const MEMORY_LIMITS: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// What sandboxes may take together: three quarters of the memory, for the daemon and the page cache need
/// some, and half of the processes.
pub(crate) fn budget(memory_mib: Option<u64>) -> Budget {
    Budget {
        memory_bytes: memory_mib.map_or(memory_bytes() / 4 * 3, |mib| mib << 20),
        cpu_millis: hatchway_wire::core::available() as u64 * 1000,
        cpu_overcommit_percent: CPU_OVERCOMMIT_PERCENT,
        pids: pids() / 2,
    }
}

/// Memory that this process and its children may use, in bytes.
fn memory_bytes() -> u64 {
    let total = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(mem_total);
    let limit = MEMORY_LIMITS.iter().find_map(|path| number(path));
    let total = total.unwrap_or(UNKNOWN_MEMORY_BYTES);
    limit.map_or(total, |limit| limit.min(total))
}

/// Processes and threads that the machine can have.
fn pids() -> u64 {
    let limits = ["/sys/fs/cgroup/pids.max", "/proc/sys/kernel/pid_max"];
    limits.iter().filter_map(|path| number(path)).min().unwrap_or(UNKNOWN_PIDS)
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// `MemTotal` of proc_meminfo(5), in bytes.
fn mem_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_in_bytes() {
        assert_eq!(mem_total("MemTotal:       16 kB\nMemFree: 1 kB\n"), Some(16 << 10));
        assert_eq!(mem_total("MemFree: 1 kB\n"), None);
    }
}
