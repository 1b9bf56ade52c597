//! Files made below one folder, by descriptor: the kernel is asked to follow no link on the way and to stay beneath
//! (openat2(2), Linux 5.6), so even a link that was made by an earlier member leads nowhere.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, chmodat, fchmod, mkdirat, openat, openat2, symlinkat,
};
use rustix::io::Errno;

use super::UnpackError;

/// Everybody may read: a sandbox runs as somebody else than who unpacks. Nothing else of a mode is taken over.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
const PROGRAM_MODE: Mode = Mode::from_raw_mode(0o755);

const NO_WAY_OUT: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// The folder that is filled.
pub(super) struct Tree {
    root: OwnedFd,
    /// The folder of the last member, which mostly is that of the next one.
    last: Option<(PathBuf, OwnedFd)>,
    /// Folders that no member has named so far, made because one was in them.
    implied: HashSet<PathBuf>,
}

impl Tree {
    /// Fills the folder `root`, which has to be there and empty.
    pub(super) fn open(root: &Path) -> Result<Self, UnpackError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, root, flags, Mode::empty()).map_err(disk)?;
        Ok(Self { root, last: None, implied: HashSet::new() })
    }

    pub(super) fn folder(&mut self, path: &Path) -> Result<(), UnpackError> {
        if path.as_os_str().is_empty() || self.implied.remove(path) {
            return Ok(());
        }
        let (parent, name) = self.parent(path)?;
        make_folder(parent, name).map_err(|error| named(error, path))
    }

    /// A new file, to be filled.
    pub(super) fn file(&mut self, path: &Path, is_executable: bool) -> Result<File, UnpackError> {
        let (parent, name) = self.parent(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(parent, name, flags, FILE_MODE).map_err(|error| named(error, path))?;
        let mode = if is_executable { PROGRAM_MODE } else { FILE_MODE };
        // The mask of this process may have taken bits away.
        fchmod(&file, mode).map_err(disk)?;
        Ok(File::from(file))
    }

    pub(super) fn link(&mut self, path: &Path, target: &Path) -> Result<(), UnpackError> {
        let (parent, name) = self.parent(path)?;
        symlinkat(target, parent, name).map_err(|error| named(error, path))
    }

    /// The folder that a member is in, made where it is not there, and the member's own name.
    fn parent<'p>(&mut self, path: &'p Path) -> Result<(&OwnedFd, &'p OsStr), UnpackError> {
        let name = path.file_name().expect("the path of a member ends in a name");
        let parent = path.parent().unwrap_or(Path::new(""));
        if parent.as_os_str().is_empty() {
            return Ok((&self.root, name));
        }
        if self.last.as_ref().is_none_or(|(known, _)| known != parent) {
            let folder = match self.enter(parent) {
                Err(Errno::NOENT) => self.make_all(parent)?,
                entered => entered.map_err(|error| named(error, path))?,
            };
            self.last = Some((parent.to_owned(), folder));
        }
        let (_, folder) = self.last.as_ref().expect("it was opened just now");
        Ok((folder, name))
    }

    fn enter(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(&self.root, path, flags, Mode::empty(), NO_WAY_OUT)
    }

    fn make_all(&mut self, path: &Path) -> Result<OwnedFd, UnpackError> {
        let mut above = self.root.try_clone().map_err(UnpackError::Disk)?;
        let mut so_far = PathBuf::new();
        for name in path {
            so_far.push(name);
            match make_folder(&above, name) {
                Ok(()) => _ = self.implied.insert(so_far.clone()),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(named(error, path)),
            }
            above = self.enter(&so_far).map_err(|error| named(error, path))?;
        }
        Ok(above)
    }

    /// Everything that was made is on the disk when this returns (syncfs(2)): one wait for all files instead of one for each.
    pub(super) fn sync(&self) -> Result<(), UnpackError> {
        rustix::fs::syncfs(&self.root).map_err(disk)
    }
}

fn make_folder(parent: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    mkdirat(&parent, name, FOLDER_MODE)?;
    chmodat(parent, name, FOLDER_MODE, AtFlags::empty())
}

/// What the package is to blame for is told apart from what the disk is.
fn named(error: Errno, path: &Path) -> UnpackError {
    let why = match error {
        Errno::EXIST => "is there twice",
        Errno::LOOP => "goes through a link",
        Errno::NOTDIR => "is in something that is no folder",
        Errno::NAMETOOLONG => "has too long a name",
        Errno::INVAL | Errno::ILSEQ => "has a name that this disk cannot have",
        _ => return disk(error),
    };
    UnpackError::Refused { path: path.to_owned(), why }
}

fn disk(error: Errno) -> UnpackError {
    UnpackError::Disk(io::Error::from(error))
}
