//! Emptying a group: what runs in it is killed, what lies in it removed.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::file::{read, remove_dir, write};

/// How often a group is looked at again while its processes end. Ending is the kernel's work
/// and has no event in version 1; this runs at start only.
const ROUNDS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// The processes in `dir` itself.
pub(crate) fn members(dir: &Path) -> io::Result<Vec<i32>> {
    let text = read(dir, "cgroup.procs")?;
    Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect())
}

/// Kills everything in a group. Atomic where version 2 offers it; elsewhere the caller looks
/// again, for a process may have forked between reading and killing.
pub(crate) fn kill(dir: &Path) -> io::Result<()> {
    if write(dir, "cgroup.kill", "1").is_ok() {
        return Ok(());
    }
    for pid in members(dir)? {
        // Reaped meanwhile: there is nothing left to kill.
        let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
    }
    Ok(())
}

/// Ends and removes `tree` with all groups below it; a tree that is not there is clear.
///
/// # Errors
/// What keeps it from being removed after a second of trying.
pub(crate) fn clear(tree: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(tree) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            clear(&entry.path())?;
        }
    }
    let mut last = Ok(());
    for _ in 0..ROUNDS {
        last = kill(tree).and_then(|()| remove_dir(tree));
        if last.is_ok() {
            break;
        }
        thread::sleep(PAUSE);
    }
    last
}
