//! A user and group id of its own, that nobody else on this machine has: after everything
//! that needs root, and before no-new-privileges, for the kernel forgets the death signal when
//! ids change.

use std::fs;
use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{UnshareFlags, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::{AtStep, Step, StepError};
use crate::sys::namespace::unshare;

/// Becomes `id`, user and group, with no further groups (setresuid(2)). The process has one
/// thread, so that thread's ids are the process's.
pub(crate) fn become_id(id: u32) -> Result<(), StepError> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    set_thread_groups(&[]).at(Step::Identity, "supplementary groups")?;
    set_thread_res_gid(gid, gid, gid).at(Step::Identity, "group id")?;
    set_thread_res_uid(uid, uid, uid).at(Step::Identity, "user id")
}

/// Becomes `id` inside a further user namespace (user_namespaces(7)): an ordinary user can map
/// only its own id, and by this it is not root in there either.
pub(crate) fn become_id_rootless(id: u32) -> Result<(), StepError> {
    unshare(UnshareFlags::NEWUSER).at(Step::Identity, "user namespace")?;
    map_self(id, 0).at(Step::Identity, "id map")?;
    become_mapped(id)
}

fn become_mapped(id: u32) -> Result<(), StepError> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    set_thread_res_gid(gid, gid, gid).at(Step::Identity, "group id")?;
    set_thread_res_uid(uid, uid, uid).at(Step::Identity, "user id")
}

/// Maps the one id `inside` of the user namespace just made to `outside`, for user and group.
pub(crate) fn map_self(inside: u32, outside: u32) -> io::Result<()> {
    map_ids(inside, outside, outside)
}

/// As [`map_self`], where user and group outside are not the same number. An unprivileged
/// process has to give up setgroups(2) before it may map a group.
pub(crate) fn map_ids(inside: u32, user: u32, group: u32) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{inside} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{inside} {group} 1"))
}
