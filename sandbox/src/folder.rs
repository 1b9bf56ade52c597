//! A folder held by a descriptor, for privileged work in a folder that somebody else can write.
//!
//! The node owns its state folder and is not trusted with our rights: what it puts in the place of one of our folders
//! or files is not to be followed. So a folder is opened once, by a name whose last part is no link, and everything in it
//! is named by the descriptor from then on, which nobody can rename.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::geteuid;

/// A folder that stays the same whatever becomes of its name.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens a folder; a link in its place is refused.
    ///
    /// # Errors
    /// `NotADirectory` for a link or a file; what openat(2) says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens a folder, and makes it if it is not there.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn make(path: &Path, mode: u32) -> io::Result<Self> {
        match fs::DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let folder = Self::open(path)?;
        // Whatever the mask of this process took away.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode))?;
        Ok(folder)
    }

    /// As [`Folder::make`], for one that nobody else may write: what others have put in its place is removed.
    ///
    /// # Errors
    /// As [`Folder::open`]; `PermissionDenied` when it is not ours although it was just made.
    pub fn make_own(path: &Path) -> io::Result<Self> {
        if Self::open(path).and_then(Self::own).is_err() {
            remove(path)?;
        }
        Self::own(Self::make(path, 0o755)?)
    }

    fn own(self) -> io::Result<Self> {
        let data = fs::metadata(self.path())?;
        match data.uid() == geteuid().as_raw() {
            true => Ok(self),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// A name for it that works in this process.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    /// A name for what is in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Removes a file, a link or a folder with all that is in it; one that is gone is as good.
///
/// # Errors
/// What the file system says.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Opens a file in a folder that others can write: no link is followed, and no pipe waited for.
pub fn careful() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let root = tempfile::tempdir().expect("temporary folder");
        let (precious, link) = (root.path().join("precious"), root.path().join("run"));
        fs::create_dir(&precious).expect("folder");
        symlink(&precious, &link).expect("link");
        assert!(Folder::make(&link, 0o755).is_err());
        let own = Folder::make_own(&link).expect("the link is replaced");
        fs::write(own.join("file"), "x").expect("write");
        assert!(!precious.join("file").exists());
        assert!(!fs::symlink_metadata(&link).expect("it is there").is_symlink());
    }

    #[test]
    fn it_stays_the_same_when_its_name_is_anothers() {
        let root = tempfile::tempdir().expect("temporary folder");
        let (run, aside) = (root.path().join("run"), root.path().join("aside"));
        let folder = Folder::make(&run, 0o700).expect("made");
        fs::rename(&run, &aside).expect("rename");
        symlink("/", &run).expect("link");
        fs::write(folder.join("file"), "x").expect("write");
        assert!(aside.join("file").exists());
        remove(&folder.join("file")).expect("removed");
        assert!(!aside.join("file").exists());
    }
}
