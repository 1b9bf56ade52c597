//! What the kernel tells of processes (proc(5)).

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// A process, told apart from a later one with the same id by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    started: u64,
}

#[derive(Debug)]
struct Stat {
    state: char,
    parent: u32,
    started: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, spaces and parentheses too.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    Some(Stat {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        // Field 22; the fields here begin with number 3.
        started: fields.nth(17)?.parse().ok()?,
    })
}

impl Process {
    /// The process with this id now.
    pub fn with_id(pid: u32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, started: stat.started })
    }

    /// Whether any of it runs: one that has ended and was not waited for does not. Its first thread may have ended long
    /// before the others, and its files are open until the last one has.
    pub fn is_alive(&self) -> bool {
        let threads =
            || fs::read_dir(format!("/proc/{}/task", self.pid)).map_or(0, Iterator::count);
        stat(self.pid).is_some_and(|stat| {
            stat.started == self.started && (stat.state != 'Z' || threads() > 1)
        })
    }

    /// What it was started with, for a person to read.
    pub fn describe(&self) -> String {
        let words = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        format!("process {} ({})", self.pid, words.trim_end())
    }
}

/// Stops a child of this process in its tracks, with all its threads. The signal alone does not: one of them is woken to stop the
/// others, and until then they go on (signal(7)).
///
/// # Panics
/// When there is no such child, or it has ended.
#[track_caller]
pub fn freeze(pid: u32) {
    let child = child(pid);
    kill_process(child, Signal::STOP).expect("it is our child");
    let is_stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(child), is_stopped).expect("it is our child");
}

/// Lets it go on.
///
/// # Panics
/// When there is no such child.
#[track_caller]
pub fn thaw(pid: u32) {
    kill_process(child(pid), Signal::CONT).expect("it is our child");
}

fn child(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id is positive")
}

/// The ids of all processes.
pub fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("proc is mounted");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The processes that `pid` has started, and those that they have.
pub fn descendants(pid: u32) -> Vec<Process> {
    let everyone: Vec<_> =
        all().into_iter().filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
    let (mut found, mut next) = (vec![pid], 0);
    while next < found.len() {
        let parent = found[next];
        found.extend(everyone.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found[1..].iter().filter_map(|pid| Process::with_id(*pid)).collect()
}

/// The descendants of `pid` whose program has this name.
pub fn descendants_named(pid: u32, name: &str) -> Vec<Process> {
    let is_named = |process: &Process| {
        let path = fs::read_link(format!("/proc/{}/exe", process.pid));
        path.is_ok_and(|path| path.file_name().is_some_and(|file| file == name))
    };
    descendants(pid).into_iter().filter(is_named).collect()
}

/// Resident memory of a process in bytes.
///
/// # Panics
/// When the process is gone.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("proc(5)");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("proc(5)");
    kib * 1024
}

/// What the open descriptors of a process are, as far as it can be told.
pub fn descriptors(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
}
