//! The kernel's two ways to let a process take rights away from itself.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use super::check;

/// One instruction of classic BPF (seccomp(2)).
pub(crate) type Instruction = libc::sock_filter;

/// Lets `program` decide on every system call from here on (seccomp(2)). Needs no-new-privs.
pub(crate) fn install_filter(program: &[Instruction]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: a program and its length; the kernel copies it and writes nothing.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    })?;
    Ok(())
}

/// What a Landlock ruleset takes away unless a rule gives it back (landlock(7)).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RulesetAttr {
    pub(crate) handled_access_fs: u64,
    pub(crate) handled_access_net: u64,
    pub(crate) scoped: u64,
}

/// struct landlock_path_beneath_attr, which is packed.
#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: RawFd,
}

const LANDLOCK_RULE_PATH_BENEATH: libc::c_int = 1;
const LANDLOCK_CREATE_RULESET_VERSION: libc::c_uint = 1;

/// Which Landlock the kernel has; 1 is the first.
///
/// # Errors
/// `ENOSYS` or `EOPNOTSUPP` where there is none.
pub(crate) fn landlock_version() -> io::Result<i64> {
    // SAFETY: asks for a number; no memory is touched.
    check(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            ptr::null::<RulesetAttr>(),
            0,
            LANDLOCK_CREATE_RULESET_VERSION,
        )
    })
}

/// Makes a ruleset of the first `size` bytes of `attr`: older kernels know fewer fields.
pub(crate) fn landlock_ruleset(attr: &RulesetAttr, size: usize) -> io::Result<OwnedFd> {
    assert!(size <= size_of::<RulesetAttr>(), "no more than there is");
    // SAFETY: a structure of at least `size` bytes, which the kernel only reads.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::from_ref(attr), size, 0)
    })?;
    let fd = RawFd::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel has just made `fd` for us, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives `access` back below the folder or file `parent`.
pub(crate) fn landlock_allow(
    ruleset: BorrowedFd<'_>,
    parent: BorrowedFd<'_>,
    access: u64,
) -> io::Result<()> {
    let attr = PathBeneathAttr { allowed_access: access, parent_fd: parent.as_raw_fd() };
    // SAFETY: open descriptors and a structure of the kind named, which the kernel only reads.
    check(unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            LANDLOCK_RULE_PATH_BENEATH,
            &raw const attr,
            0,
        )
    })?;
    Ok(())
}

/// Takes away what `ruleset` does not give, for this process and its children for good.
pub(crate) fn landlock_restrict(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an open descriptor and a zero.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) })?;
    Ok(())
}
