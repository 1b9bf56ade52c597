//! A root of its own, put together from read-only binds: after the namespaces, so that nobody
//! else sees it; pivoted into before anything of the tenant is looked at, so that no path of
//! the tenant's can lead out.
//!
//! What is in it: the host's programs and libraries, an `/etc` with nothing to tell, `/dev`
//! with the harmless devices, `/proc` of the own processes, and a sized `/tmp` that shares its
//! size with `/dev/shm`. There is no `/sys`, no `/home`, no `/var` of the host.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, OFlags, chmodat};
use rustix::fs::{CWD, FileType, Mode, makedev, mkdirat, mknodat, openat, symlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
    mount_change, mount_remount, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::{AtStep, Step, StepError};
use crate::spec::{PACKAGE_DIR, PRIVATE_DIR};
use crate::sys::mount::{Attributes, set_attributes};

/// The folders of the host that hold programs and libraries. On most machines all but the
/// first are links into it, and links they become.
const PROGRAMS: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// Name, major, minor (Documentation/admin-guide/devices.txt).
const DEVICES: [(&str, u32, u32); 5] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9)];
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
];
/// Before the size is known: a page, for 0 would mean no limit.
const LEAST_TMP_BYTES: u64 = 4096;
/// Room for the few folders and links above; they take no block, only inodes.
const ROOT_OPTIONS: [(&str, &str); 3] = [("mode", "755"), ("size", "64k"), ("nr_inodes", "512")];

const READ_ONLY: Attributes =
    Attributes { is_read_only: true, is_recursive: true, has_devices: false };

/// Builds the root on `stage`, an empty folder, with `etc` as its `/etc`, and moves in.
/// It stays writable to us until [`seal`].
pub(crate) fn build(stage: &str, etc: BorrowedFd<'_>, steps: &[Step]) -> Result<(), StepError> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).at(Step::Root, "making mounts private")?;
    let root = file_system(c"tmpfs", &ROOT_OPTIONS, MountAttrFlags::MOUNT_ATTR_NOSUID)
        .at(Step::Root, "tmpfs")?;
    attach(root.as_fd(), CWD, stage).at(Step::Root, stage)?;
    let root = root.as_fd();
    for name in PROGRAMS {
        bind_programs(root, name).at(Step::Root, name)?;
    }
    make_dir(root, "etc").at(Step::Root, "etc")?;
    attach(etc, root, "etc").at(Step::Root, "etc")?;
    make_devices(root)?;
    make_scratch(root).at(Step::Root, "tmp")?;
    for dir in ["proc", "run", &PRIVATE_DIR[1..], &PACKAGE_DIR[1..], "hatchway"] {
        make_dir(root, dir).at(Step::Root, dir)?;
    }
    if steps.contains(&Step::Proc) {
        let options = [("hidepid", "2")];
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let proc = file_system(c"proc", &options, flags).at(Step::Proc, "")?;
        attach(proc.as_fd(), root, "proc").at(Step::Proc, "")?;
    }
    pivot(root).at(Step::Root, "pivot")
}

/// Puts `tree`, a detached mount, at the absolute path `inside` of the new root.
pub(crate) fn add(tree: BorrowedFd<'_>, inside: &str) -> Result<(), StepError> {
    let mut path = String::new();
    for part in inside.split('/').filter(|part| !part.is_empty()) {
        path.push('/');
        path.push_str(part);
        match mkdirat(CWD, &path, Mode::from_raw_mode(0o755)) {
            // A read-only bind with the folder in it, or the folder itself: both will do.
            Ok(()) | Err(rustix::io::Errno::EXIST | rustix::io::Errno::ROFS) => {}
            Err(error) => return Err(StepError::new(Step::Package, path, &error.into())),
        }
    }
    attach(tree, CWD, inside).at(Step::Package, inside)
}

/// Takes away what was put at `inside`, whoever still is in there.
pub(crate) fn take_away(inside: &str) -> Result<(), StepError> {
    unmount(inside, UnmountFlags::DETACH).at(Step::Package, inside)
}

/// Gives the scratch space its size and takes write access to the root away from everyone.
pub(crate) fn seal(tmp_bytes: u64) -> Result<(), StepError> {
    let bytes = tmp_bytes.max(LEAST_TMP_BYTES);
    let options = format!("size={bytes},nr_inodes={}", bytes / 1024 + 64);
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let options = std::ffi::CString::new(options).expect("digits hold no NUL");
    mount_remount(c"/tmp", flags, options.as_c_str()).at(Step::Root, "size of /tmp")?;
    let root =
        openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).at(Step::Root, "/")?;
    let sealed = Attributes { is_read_only: true, is_recursive: false, has_devices: true };
    set_attributes(root, sealed).at(Step::Root, "sealing")
}

/// A detached copy of the folder `path` of the host, read-only or not, to be attached in some
/// sandbox's root. Taken by the spawner: a sandbox is never told a path of the host.
pub(crate) fn copy_tree(dir: BorrowedFd<'_>, is_read_only: bool) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(dir, "", flags)?;
    let wanted = Attributes { is_read_only, ..READ_ONLY };
    set_attributes(&tree, wanted)?;
    Ok(tree)
}

/// A small writable file system for one probed function: in there it makes its socket. The
/// spawner keeps the descriptor to find that socket by, whatever becomes of any path.
pub(crate) fn private_dir() -> io::Result<OwnedFd> {
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    // Nobody else can see it, so that everybody may write needs no knowledge of ids.
    file_system(c"tmpfs", &[("mode", "777"), ("size", "64k"), ("nr_inodes", "64")], flags)
}

fn file_system(
    kind: &std::ffi::CStr,
    options: &[(&str, &str)],
    flags: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, *value)?;
    }
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)?)
}

/// Attaches a detached mount at `path` below `dir`.
fn attach(tree: BorrowedFd<'_>, dir: BorrowedFd<'_>, path: &str) -> io::Result<()> {
    Ok(move_mount(tree, "", dir, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

fn make_dir(root: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    match mkdirat(root, name, Mode::from_raw_mode(0o755)) {
        Err(rustix::io::Errno::EXIST) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// As on the host: a link stays a link, a folder is bound, what is not there is left out.
fn bind_programs(root: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let host = Path::new("/").join(name);
    match std::fs::symlink_metadata(&host) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(meta) if meta.is_symlink() => Ok(symlinkat(std::fs::read_link(&host)?, root, name)?),
        Ok(_) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let dir = openat(CWD, &host, flags, Mode::empty())?;
            make_dir(root, name)?;
            attach(copy_tree(dir.as_fd(), true)?.as_fd(), root, name)
        }
    }
}

/// Makes the devices where we may, and binds the host's where we may not: a user namespace
/// makes none.
fn make_devices(root: BorrowedFd<'_>) -> Result<(), StepError> {
    make_dir(root, "dev").at(Step::Root, "dev")?;
    for (name, major, minor) in DEVICES {
        let path = format!("dev/{name}");
        let mode = Mode::from_raw_mode(0o666);
        let device = makedev(major, minor);
        match mknodat(root, &path, FileType::CharacterDevice, mode, device) {
            // The mask of this process took bits from the mode above.
            Ok(()) => chmodat(root, &path, mode, AtFlags::empty()).at(Step::Root, &path)?,
            Err(rustix::io::Errno::PERM) => bind_device(root, &path).at(Step::Root, &path)?,
            Err(error) => return Err(StepError::new(Step::Root, path, &error.into())),
        }
    }
    for (target, link) in LINKS {
        symlinkat(target, root, link).at(Step::Root, link)?;
    }
    Ok(())
}

fn bind_device(root: BorrowedFd<'_>, path: &str) -> io::Result<()> {
    let create = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    drop(openat(root, path, create, Mode::from_raw_mode(0o666))?);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let device = open_tree(CWD, Path::new("/").join(path), flags)?;
    attach(device.as_fd(), root, path)
}

/// One sized file system for both `/tmp` and `/dev/shm`: its folders are bound at the two
/// places, one of them over its own root, which nobody can reach any more.
fn make_scratch(root: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let least = LEAST_TMP_BYTES.to_string();
    let scratch = file_system(c"tmpfs", &[("mode", "755"), ("size", &least)], flags)?;
    make_dir(root, "tmp")?;
    make_dir(root, "dev/shm")?;
    attach(scratch.as_fd(), root, "tmp")?;
    for name in ["tmp", "shm"] {
        make_dir(scratch.as_fd(), name)?;
        let everyone = Mode::from_raw_mode(0o1777);
        chmodat(&scratch, name, everyone, AtFlags::empty())?;
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let shm = open_tree(&scratch, "shm", flags)?;
    attach(shm.as_fd(), root, "dev/shm")?;
    let tmp = open_tree(&scratch, "tmp", flags)?;
    attach(tmp.as_fd(), root, "tmp")
}

/// Makes `root` the root, and lets go of the old one with all its mounts (pivot_root(2), "the
/// new and old root may be the same directory").
fn pivot(root: BorrowedFd<'_>) -> io::Result<()> {
    fchdir(root)?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(chdir("/")?)
}
