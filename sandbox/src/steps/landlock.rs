//! Landlock: what may be read, executed and written by path, and no reach to processes and
//! abstract sockets outside (landlock(7)). A second wall behind the read-only root, and the
//! only one where there is no root of its own. After the promise of no new privileges, without
//! which an ordinary process may not use it; before seccomp, only because that comes last.

use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{AtStep, Step, StepError};
use crate::sys::confine::{
    RulesetAttr, landlock_allow, landlock_restrict, landlock_ruleset, landlock_version,
};

const EXECUTE: u64 = 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
/// What only makes sense on a folder, for a rule about a file is refused with it.
const WRITE_FILE: u64 = 1 << 1;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
const FILE_ACCESS: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

const SCOPE_ABSTRACT_SOCKETS: u64 = 1;
const SCOPE_SIGNALS: u64 = 1 << 1;

/// The rights over files that each version of Landlock can take away.
fn known_access(version: i64) -> u64 {
    match version {
        ..=1 => (1 << 13) - 1,
        2 => (1 << 14) - 1,
        3 | 4 => (1 << 15) - 1,
        5.. => (1 << 16) - 1,
    }
}

/// Takes away every access by path but reading and executing below `readable` and everything
/// below `writable`; what is not there is left out. From version 6 on also signals to
/// processes, and connections to abstract sockets, that are not below this process.
pub(crate) fn restrict(readable: &[&str], writable: &[&str]) -> Result<(), StepError> {
    let version = landlock_version().at(Step::Landlock, "")?;
    let known = known_access(version);
    let attr = RulesetAttr {
        handled_access_fs: known,
        handled_access_net: 0,
        scoped: if version >= 6 { SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS } else { 0 },
    };
    // Before version 4 the structure had one field, before 6 it had two.
    let size = match version {
        ..=3 => 8,
        4 | 5 => 16,
        6.. => 24,
    };
    let ruleset = landlock_ruleset(&attr, size).at(Step::Landlock, "ruleset")?;
    let reading = EXECUTE | READ_FILE | READ_DIR;
    let rules = readable.iter().map(|path| (path, reading));
    for (path, access) in rules.chain(writable.iter().map(|path| (path, known))) {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let parent = match rustix::fs::open(*path, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::ACCESS) => continue,
            opened => opened.at(Step::Landlock, path)?,
        };
        let kind = rustix::fs::fstat(&parent).at(Step::Landlock, path)?.st_mode;
        let is_dir = rustix::fs::FileType::from_raw_mode(kind) == rustix::fs::FileType::Directory;
        let access = if is_dir { access } else { access & FILE_ACCESS };
        landlock_allow(ruleset.as_fd(), parent.as_fd(), access & known).at(Step::Landlock, path)?;
    }
    landlock_restrict(ruleset.as_fd()).at(Step::Landlock, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_only_asked_for_what_it_knows() {
        assert_eq!(known_access(1) & TRUNCATE, 0);
        assert_ne!(known_access(3) & TRUNCATE, 0);
        assert_eq!(known_access(4) & IOCTL_DEV, 0);
        assert_ne!(known_access(7) & IOCTL_DEV, 0);
    }
}
