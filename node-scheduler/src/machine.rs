//! What this machine, or the container that it is, has for sandboxes.

use std::fs;

/// When nothing can be read, enough for a few functions and too little to do harm.
const UNKNOWN_MEMORY_BYTES: u64 = 1 << 30;
/// The kernel's own default of pid_max on small machines.
const UNKNOWN_PIDS: u64 = 32_768;

/// Limits of the whole container; the first that is there and is a number counts. A limit that is larger
/// than the machine is no limit.
const MEMORY_LIMITS: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// Memory that this process and its children may use, in bytes.
pub(crate) fn memory_bytes() -> u64 {
    let total = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(mem_total);
    let limit = MEMORY_LIMITS.iter().find_map(|path| number(path));
    let total = total.unwrap_or(UNKNOWN_MEMORY_BYTES);
    limit.map_or(total, |limit| limit.min(total))
}

/// Processes and threads that the machine can have.
pub(crate) fn pids() -> u64 {
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
