//! What of the host may be mounted into a sandbox: what lies below the folders that were named at the start, while the
//! node still was who started it, and nothing else.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::spec::SandboxSpec;
use crate::steps::{Step, StepError};

/// The folders, open since the start: their names may be others' by now.
#[derive(Debug)]
pub(super) struct Allowed(Vec<(PathBuf, OwnedFd)>);

impl Allowed {
    /// Opens them, links and all: they were named by whoever is in charge of this machine. One that is not there has
    /// nothing in it.
    ///
    /// # Errors
    /// What keeps one that is there from being opened, and which.
    pub(super) fn open(folders: &[PathBuf]) -> Result<Self, String> {
        let mut open = Vec::new();
        for path in folders {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            match rustix::fs::open(path, flags, Mode::empty()) {
                Ok(folder) => open.push((path.clone(), folder)),
                Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(format!("{}: {error}", path.display())),
            }
        }
        // The deepest first: it is the one that was meant.
        open.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        Ok(Self(open))
    }

    /// Opens every folder that `spec` wants mounted, the package first.
    ///
    /// # Errors
    /// `EACCES` with the path that lies below none of the folders, or whose links lead out of it.
    pub(super) fn hosts(&self, spec: &SandboxSpec) -> Result<Vec<OwnedFd>, StepError> {
        let hosts =
            std::iter::once(&spec.package).chain(spec.read_only.iter().map(|(host, _)| host));
        hosts.map(|path| self.resolve(path)).collect()
    }

    fn resolve(&self, path: &Path) -> Result<OwnedFd, StepError> {
        let below = |(folder, open): &(PathBuf, OwnedFd)| {
            let rest = path.strip_prefix(folder).ok()?.to_owned();
            Some(open_below(open, &rest))
        };
        let found = self.0.iter().find_map(below);
        let outside = || Err(io::Error::from_raw_os_error(libc::EACCES));
        found.unwrap_or_else(outside).map_err(|error| {
            let mut detail = path.display().to_string();
            // What openat2(2) says of a link that leads out.
            if matches!(error.raw_os_error(), Some(libc::EACCES | libc::EXDEV)) {
                detail += ", which is below no folder that packages may come from (--packages)";
            }
            StepError { detail, ..StepError::new(Step::Package, "", &error) }
        })
    }
}

/// By openat2(2), so that no link, no `..` and no rename meanwhile leads out of `folder`.
fn open_below(folder: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(openat2(folder.as_fd(), path, flags, Mode::empty(), resolve)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_lies_below_is_found_and_nothing_else() {
        let root = tempfile::tempdir().expect("temporary folder");
        let (inside, outside) = (root.path().join("in"), root.path().join("out"));
        fs::create_dir_all(inside.join("hello")).expect("folder");
        fs::create_dir(&outside).expect("folder");
        symlink("hello", inside.join("near")).expect("link");
        symlink(&outside, inside.join("far")).expect("link");
        symlink("../out", inside.join("up")).expect("link");
        symlink("/proc/self/root", inside.join("magic")).expect("link");
        let allowed = Allowed::open(std::slice::from_ref(&inside)).expect("it is there");
        for good in ["", "hello", "near"] {
            allowed.resolve(&inside.join(good)).expect(good);
        }
        for bad in ["far", "up", "magic", "magic/etc"] {
            let error = allowed.resolve(&inside.join(bad)).expect_err(bad);
            assert!(error.detail.contains("--packages") || error.errno == libc::ELOOP, "{error}");
        }
        for bad in [&outside, Path::new("/"), Path::new("/etc"), root.path()] {
            let error = allowed.resolve(bad).expect_err("outside");
            assert_eq!((error.step, error.errno), (Step::Package, libc::EACCES));
        }
        let absent = allowed.resolve(&inside.join("absent")).expect_err("absent");
        assert_eq!(absent.errno, libc::ENOENT);
    }
}
