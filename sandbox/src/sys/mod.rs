//! The only unsafe code: what rustix does not wrap, a system call a function.
#![allow(
    unsafe_code,
    reason = "system calls that rustix has no safe wrapper for; each argues its own conditions"
)]

pub(crate) mod confine;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod process;

use std::io;

/// Turns the -1 of a system call into its error, read at once.
fn check(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(returned)
}
