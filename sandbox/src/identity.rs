//! Whom the node is once it needs no privilege any more.

use std::fs;
use std::io;

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::steps::privileges::drop_capabilities;

/// A user and its primary group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
}

/// Why a user was not found.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("there is no user {name:?} in /etc/passwd")]
    Unknown { name: String },
    #[error("/etc/passwd cannot be read")]
    Passwd(#[source] io::Error),
}

impl Identity {
    /// Looks a user up in `/etc/passwd`.
    ///
    /// # Errors
    /// When it is not there. Users of a directory service are given by number.
    pub fn by_name(name: &str) -> Result<Self, IdentityError> {
        let passwd = fs::read_to_string("/etc/passwd").map_err(IdentityError::Passwd)?;
        Self::find(&passwd, |fields| fields.first() == Some(&name))
            .ok_or_else(|| IdentityError::Unknown { name: name.to_owned() })
    }

    /// A user by number; its group is the one in `/etc/passwd`, or of the same number.
    pub fn by_uid(uid: u32) -> Self {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let number = uid.to_string();
        Self::find(&passwd, |fields| fields.get(2) == Some(&number.as_str()))
            .unwrap_or(Self { uid, gid: uid })
    }

    /// passwd(5): name, password, user id, group id, and more that does not matter here.
    fn find(passwd: &str, is_it: impl Fn(&[&str]) -> bool) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            if !is_it(&fields) {
                return None;
            }
            Some(Self { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
        })
    }
}

/// Becomes `user` for good: no further groups, no capability, and none to be gained.
/// A process that is not root keeps its ids and gives up the rest.
///
/// To be called after [`Spawner::launch`](crate::Spawner::launch) and before any thread exists:
/// ids belong to threads, and only the calling one changes.
///
/// # Errors
/// What the kernel refused, `EPERM` for another user's id; half of it may be done by then, so a
/// caller stops.
pub fn drop_privileges(user: &Identity) -> io::Result<()> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads != 1 {
        let why = format!("{threads} threads are running, privileges are dropped before the first");
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
    }
    if geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
    }
    drop_capabilities()?;
    Ok(set_no_new_privs(true)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nhatch:x:990:991::/:/bin/false\nodd\n";

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let found = Identity::find(PASSWD, |fields| fields[0] == "hatch");
        assert_eq!(found, Some(Identity { uid: 990, gid: 991 }));
        assert_eq!(Identity::find(PASSWD, |fields| fields[0] == "hat"), None);
    }

    #[test]
    fn a_number_without_a_name_is_a_user_too() {
        let nobody_has_it = 4_000_000_001;
        let expected = Identity { uid: nobody_has_it, gid: nobody_has_it };
        assert_eq!(Identity::by_uid(nobody_has_it), expected);
    }

    #[test]
    fn a_name_that_nobody_has_is_an_error_that_says_it() {
        let error = Identity::by_name("no such user").expect_err("nobody");
        assert!(error.to_string().contains("no such user"));
    }
}
