//! Unpacked packages on the disk.
//!
//! ```text
//! STATE/packages/DIGEST/files/...     what sandboxes see, read-only
//!                DIGEST/bytes         what it takes on the disk; written last
//!                .new-DIGEST/         being unpacked
//!                .gone-DIGEST-N/      being removed
//! ```
//! A name without a dot appears by a rename, when all that is below it is on the disk, and goes by a rename: nobody ever
//! finds a half. What has a dot at the start of a node is what a crash left.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use hatchway_package::{Digest, Unpacked};

const FILES: &str = "files";
const BYTES: &str = "bytes";
const NEW: &str = ".new-";
const GONE: &str = ".gone-";

/// The folder of all packages.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    removed: AtomicU64,
}

/// A package that an earlier run of the node has left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) digest: Digest,
    pub(super) disk_bytes: u64,
    pub(super) kept_at: SystemTime,
}

/// A folder that is being filled; gone when dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    shelf: &'a Shelf,
    digest: Digest,
}

impl Shelf {
    /// Makes the folder below `state`, removes what a crash left, and says what is there, the oldest first. Blocks.
    pub(super) fn open(state: &Path) -> io::Result<(Self, Vec<Found>)> {
        let shelf = Self { folder: state.join("packages"), removed: AtomicU64::new(0) };
        make_folder(&shelf.folder)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&shelf.folder)? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(NEW) || name.starts_with(GONE) {
                fs::remove_dir_all(path)?;
            } else if let Ok(digest) = name.parse() {
                match kept(&path) {
                    Some((disk_bytes, kept_at)) => {
                        found.push(Found { digest, disk_bytes, kept_at });
                    }
                    None => fs::remove_dir_all(path)?,
                }
            }
        }
        found.sort_by_key(|found| found.kept_at);
        Ok((shelf, found))
    }

    /// Where the files of a package are, when it is here.
    pub(super) fn files(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.to_string()).join(FILES)
    }

    /// Begins with a package, which nobody else may be at.
    pub(super) fn begin(&self, digest: &Digest) -> io::Result<Draft<'_>> {
        let draft = Draft { shelf: self, digest: *digest };
        draft.clear()?;
        make_folder(&draft.folder())?;
        make_folder(&draft.files())?;
        Ok(draft)
    }

    /// Takes a package away at once; what it was is at the path that is given back, for [`fs::remove_dir_all`] at leisure.
    pub(super) fn take_away(&self, digest: &Digest) -> io::Result<PathBuf> {
        let number = self.removed.fetch_add(1, Ordering::Relaxed);
        let gone = self.folder.join(format!("{GONE}{digest}-{number}"));
        fs::rename(self.folder.join(digest.to_string()), &gone)?;
        Ok(gone)
    }
}

/// What a whole package says of itself; none when it is not whole.
fn kept(folder: &Path) -> Option<(u64, SystemTime)> {
    let path = folder.join(BYTES);
    let disk_bytes = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
    let is_whole = folder.join(FILES).is_dir();
    let kept_at = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
    is_whole.then_some((disk_bytes, kept_at))
}

/// Open to sandboxes, whoever they run as, and whatever the mask of this process is.
fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

impl Draft<'_> {
    fn folder(&self) -> PathBuf {
        self.shelf.folder.join(format!("{NEW}{}", self.digest))
    }

    /// Where to unpack to.
    pub(super) fn files(&self) -> PathBuf {
        self.folder().join(FILES)
    }

    /// Puts it on the shelf: from now on it is whole, after a power cut too. Its files have to be on the disk already.
    pub(super) fn keep(self, unpacked: &Unpacked) -> io::Result<()> {
        let folder = self.folder();
        let mut bytes = File::create(folder.join(BYTES))?;
        writeln!(bytes, "{}", unpacked.disk_bytes)?;
        bytes.sync_all()?;
        File::open(&folder)?.sync_all()?;
        fs::rename(&folder, self.shelf.folder.join(self.digest.to_string()))?;
        File::open(&self.shelf.folder)?.sync_all()
    }

    fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.folder()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // Kept, there is nothing any more. What cannot be removed is removed at the next start.
        if let Err(error) = self.clear() {
            tracing::warn!(digest = %self.digest, %error, "what was unpacked of a package is still there");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> Digest {
        format!("{number:064x}").parse().unwrap()
    }

    fn put(shelf: &Shelf, number: u8, disk_bytes: u64) {
        let draft = shelf.begin(&digest(number)).unwrap();
        fs::write(draft.files().join("a.js"), "1").unwrap();
        draft.keep(&Unpacked { disk_bytes, ..Unpacked::default() }).unwrap();
    }

    fn names(state: &Path) -> Vec<String> {
        let names = fs::read_dir(state.join("packages")).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_kept_is_found_again_and_what_was_not_is_removed() {
        let state = tempfile::tempdir().unwrap();
        let (shelf, found) = Shelf::open(state.path()).unwrap();
        assert_eq!(found, []);
        put(&shelf, 1, 4096);
        put(&shelf, 2, 8192);
        assert_eq!(fs::read(shelf.files(&digest(1)).join("a.js")).unwrap(), b"1");
        // As a crash leaves it: half unpacked, half removed, and one whose size never came to the disk.
        std::mem::forget(shelf.begin(&digest(3)).unwrap());
        shelf.take_away(&digest(2)).unwrap();
        fs::create_dir_all(shelf.files(&digest(4))).unwrap();
        fs::write(state.path().join("packages/of-somebody-else"), "").unwrap();
        assert_eq!(names(state.path()).len(), 5);
        let (_, found) = Shelf::open(state.path()).unwrap();
        let found: Vec<_> = found.iter().map(|found| (found.digest, found.disk_bytes)).collect();
        assert_eq!(found, [(digest(1), 4096)]);
        assert_eq!(names(state.path()), [digest(1).to_string(), "of-somebody-else".to_owned()]);
    }

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing() {
        let state = tempfile::tempdir().unwrap();
        let (shelf, _) = Shelf::open(state.path()).unwrap();
        let draft = shelf.begin(&digest(1)).unwrap();
        fs::write(draft.files().join("half"), "").unwrap();
        drop(draft);
        assert_eq!(names(state.path()), [""; 0]);
    }
}
