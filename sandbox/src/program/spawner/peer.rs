//! Processes that are not our children: found by a descriptor, numbered and judged by what the
//! kernel says of it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::cgroup::{GroupPaths, clear};

/// A process of a sandbox, held by a descriptor so that no other can be meant.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) pidfd: OwnedFd,
    /// As the host numbers it.
    pub(super) pid: i32,
    /// As its own process-id namespace numbers it.
    pub(super) inner: i32,
}

impl Peer {
    /// The process `sender`, if it is in `group`. By the time we look, the number may be another's:
    /// that one would be in some other group, for in this are only those of one tenant's zygote.
    ///
    /// # Errors
    /// `ESRCH` when it has ended, or is not in the group.
    pub(super) fn find(sender: Pid, group: &GroupPaths) -> io::Result<Self> {
        let pidfd = pidfd_open(sender, PidfdFlags::empty())?;
        let dir = group.dirs().first().copied().map(ToOwned::to_owned);
        let members = clear::members(&dir.ok_or(io::ErrorKind::Unsupported)?)?;
        let (pid, inner) = numbers(&pidfd)?;
        if members.contains(&pid) {
            return Ok(Self { pidfd, pid, inner });
        }
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }

    /// Sends it a signal. It may have ended meanwhile.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.pidfd, signal);
    }

    /// How it ended, as a word of wait(2), if it has and nobody has waited for it yet (proc(5),
    /// `/proc/pid/stat`, `exit_code`).
    pub(super) fn status(&self) -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let status = exit_code(&stat)?;
        // While nobody has waited for it, its number cannot be another's.
        numbers(&self.pidfd).is_ok_and(|(pid, _)| pid == self.pid).then_some(status)
    }
}

/// The numbers of the process behind `pidfd`: the host's, and that of its own process-id
/// namespace (pidfd_open(2), "Pid" and "NSpid" in fdinfo).
///
/// # Errors
/// `NotFound` when it has been waited for.
pub(super) fn numbers(pidfd: &OwnedFd) -> io::Result<(i32, i32)> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let field = |name: &str| {
        let value = info.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next_back()?.parse().ok().filter(|pid| *pid > 0)
    };
    let pid = field("Pid:").ok_or(io::ErrorKind::NotFound)?;
    Ok((pid, field("NSpid:").unwrap_or(pid)))
}

/// The 52nd field, of one that has ended. The second is a name that may hold anything.
fn exit_code(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X");
    fields.nth(48).filter(|_| has_ended)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_status_is_the_last_field_of_one_that_has_ended() {
        let stat = |state: &str| format!("7 (a) b) {state} {}256", "1 ".repeat(48));
        assert_eq!(exit_code(&stat("Z")), Some(256));
        assert_eq!(exit_code(&stat("S")), None);
        assert_eq!(exit_code("7 (a) Z 1"), None);
        assert_eq!(exit_code(""), None);
    }

    #[test]
    fn how_a_process_ended_is_known_until_somebody_waits_for_it() {
        let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn().expect("a process");
        let pid = Pid::from_child(&child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("it is not collected");
        let (number, inner) = numbers(&pidfd).expect("numbers");
        let peer = Peer { pidfd, pid: number, inner };
        assert_eq!(number, pid.as_raw_nonzero().get());
        let mut poll = [rustix::event::PollFd::new(&peer.pidfd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut poll, None).expect("poll");
        assert_eq!(peer.status(), Some(3 << 8));
        child.wait().expect("wait");
        assert_eq!(peer.status(), None);
    }
}
