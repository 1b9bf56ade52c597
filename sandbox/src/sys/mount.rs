//! Attributes of mounts that are already there.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use super::check;

/// What a bind mount does not inherit from its source and we always want: read only or not, no
/// set-user-id programs, no devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) is_read_only: bool,
    pub(crate) is_recursive: bool,
    pub(crate) has_devices: bool,
}

/// Sets attributes on the mount that `tree` is the root of (mount_setattr(2), Linux 5.12).
///
/// # Errors
/// `EPERM` when an attribute is locked by the user namespace that made the mount.
pub(crate) fn set_attributes(tree: impl AsFd, wanted: Attributes) -> io::Result<()> {
    let mut set = libc::MOUNT_ATTR_NOSUID;
    if wanted.is_read_only {
        set |= libc::MOUNT_ATTR_RDONLY;
    }
    if !wanted.has_devices {
        set |= libc::MOUNT_ATTR_NODEV;
    }
    let attr = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let recursive = if wanted.is_recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: an open descriptor with an empty path, and a structure of the size given, which
    // the kernel only reads.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })?;
    Ok(())
}
