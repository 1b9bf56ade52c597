//! What a tree of processes has used, read from `/proc` without asking the processes.

use std::collections::HashMap;
use std::fs;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::error::{During as _, Result};

/// Processes that are charged for a figure: some roots with all that descends from them, less the
/// trees of others, such as the functions below a gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) roots: Vec<u32>,
    pub(crate) except: Vec<u32>,
}

/// What a tree has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Time on a core, user and system, of all threads that still live.
    pub(crate) cpu_ns: u64,
    /// Resident now. Pages shared by two processes of the tree count twice.
    pub(crate) resident_bytes: u64,
    /// The sum of the processes' own peaks.
    pub(crate) peak_bytes: u64,
}

impl Tree {
    pub(crate) fn of(root: u32) -> Self {
        Self { roots: vec![root], except: Vec::new() }
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        let children = children_by_parent();
        let mut found = Vec::new();
        let mut open = self.roots.clone();
        while let Some(pid) = open.pop() {
            if self.except.contains(&pid) {
                continue;
            }
            found.push(pid);
            open.extend(children.get(&pid).into_iter().flatten());
        }
        found
    }

    /// Sums up what the tree has used. A process that ends meanwhile counts as nothing.
    pub(crate) fn usage(&self) -> Usage {
        self.pids().into_iter().fold(Usage::default(), |sum, pid| Usage {
            cpu_ns: sum.cpu_ns + cpu_ns(pid),
            resident_bytes: sum.resident_bytes + status_bytes(pid, "VmRSS:"),
            peak_bytes: sum.peak_bytes + status_bytes(pid, "VmHWM:"),
        })
    }

    /// Memory that would come back if the tree ended: shared pages are divided among their users.
    pub(crate) fn proportional_bytes(&self) -> u64 {
        let pids = self.pids();
        pids.iter().map(|pid| kib_field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum()
    }

    /// Moves every thread of the tree to one core (sched_setaffinity(2)).
    pub(crate) fn pin(&self, cpu: usize) -> Result<()> {
        let mut set = CpuSet::new();
        set.set(cpu);
        for thread in self.pids().into_iter().flat_map(threads) {
            let thread = i32::try_from(thread).ok().and_then(Pid::from_raw);
            sched_setaffinity(thread, &set).during("pin a function to its core")?;
        }
        Ok(())
    }
}

fn children_by_parent() -> HashMap<u32, Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in numbers_in("/proc") {
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

/// Field 4 of `/proc/PID/stat`, counted behind the name, which may hold spaces (proc_pid_stat(5)).
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = stat.rsplit_once(')')?.1;
    behind_name.split_whitespace().nth(1)?.parse().ok()
}

pub(crate) fn threads(pid: u32) -> Vec<u32> {
    numbers_in(&format!("/proc/{pid}/task"))
}

fn numbers_in(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The first number of each thread's `schedstat`: nanoseconds on a core.
fn cpu_ns(pid: u32) -> u64 {
    let of_thread = |thread: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    threads(pid).into_iter().filter_map(of_thread).sum()
}

fn status_bytes(pid: u32, field: &str) -> u64 {
    kib_field(&format!("/proc/{pid}/status"), field)
}

/// A line such as `VmRSS:   1234 kB`, in bytes; 0 when the process has gone.
fn kib_field(path: &str, field: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use std::process::{self, Command, Stdio};

    use super::*;

    #[test]
    fn a_tree_holds_its_children_less_the_excepted() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat is there");
        let mut tree = Tree::of(process::id());
        assert!(tree.pids().contains(&child.id()));
        tree.except.push(child.id());
        assert!(!tree.pids().contains(&child.id()));
        drop(child.stdin.take());
        child.wait().expect("cat ends with its input");
    }

    #[test]
    fn usage_of_this_process_is_seen() {
        let usage = Tree::of(process::id()).usage();
        assert!(usage.cpu_ns > 0);
        assert!(usage.resident_bytes > 0 && usage.peak_bytes >= usage.resident_bytes);
    }
}
