//! How a sandbox ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The end of a sandbox, told once no process of it is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub kind: ExitKind,
    /// A sentence for a person; may be empty.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitKind {
    /// It ended by itself with this code.
    Code(i32),
    /// A signal ended it, its own or ours.
    Signal(i32),
    /// The kernel killed it at its memory limit.
    OutOfMemory,
}

impl Exit {
    /// Judges a wait(2) status together with what else is known.
    ///
    /// A process that the kernel killed for memory looks like any other killed by SIGKILL, and
    /// a shell whose child was killed so ends with code 137. What tells them apart is the
    /// group's counter, which starts at nought with the group. A function that lost a helper
    /// to the limit and then ended well by itself, or was told to end, was not out of memory.
    pub(crate) fn judge(status: i32, oom_kills: u64, was_told: bool) -> Self {
        let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        let kind = match code {
            Some(0) => ExitKind::Code(0),
            _ if oom_kills > 0 && !was_told => ExitKind::OutOfMemory,
            Some(code) => ExitKind::Code(code),
            None => ExitKind::Signal(libc::WTERMSIG(status)),
        };
        let detail = match (oom_kills, was_told) {
            (0, false) => String::new(),
            (0, true) => "was told to end".to_owned(),
            (n, _) => format!("{n} killed at the memory limit"),
        };
        Self { kind, detail }
    }

    pub(crate) fn lost(detail: &str) -> Self {
        Self { kind: ExitKind::Signal(libc::SIGKILL), detail: detail.to_owned() }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ExitKind::Code(code) => write!(f, "ended with code {code}")?,
            ExitKind::Signal(signal) => write!(f, "ended by signal {signal}")?,
            ExitKind::OutOfMemory => f.write_str("ran out of memory")?,
        }
        if self.detail.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status words of wait(2): a code in the high byte, a signal in the low one.
    fn code(code: i32) -> i32 {
        code << 8
    }

    #[test]
    fn codes_and_signals_are_told_apart() {
        assert_eq!(Exit::judge(code(0), 0, false).kind, ExitKind::Code(0));
        assert_eq!(Exit::judge(code(3), 0, false).kind, ExitKind::Code(3));
        assert_eq!(Exit::judge(9, 0, false).kind, ExitKind::Signal(9));
    }

    #[test]
    fn a_kill_counted_by_the_group_is_out_of_memory() {
        assert_eq!(Exit::judge(9, 1, false).kind, ExitKind::OutOfMemory);
        assert_eq!(Exit::judge(code(137), 1, false).kind, ExitKind::OutOfMemory);
    }

    #[test]
    fn a_good_end_or_an_ordered_one_is_not_out_of_memory() {
        assert_eq!(Exit::judge(code(0), 2, false).kind, ExitKind::Code(0));
        assert_eq!(Exit::judge(15, 1, true).kind, ExitKind::Signal(15));
    }
}
