//! The catalog as a file, as those have it who change it: one at a time, and whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hatchway_proto::catalog::Objects;
use hatchway_wire::catalog;

use crate::failure::{Failure, Outcome};

/// A catalog file that nobody else changes for as long as this lives.
#[derive(Debug)]
pub(crate) struct CatalogFile<'a> {
    path: &'a Path,
    /// Its folder, which every writer locks (flock(2)): the file itself is another one after each change.
    folder: File,
}

impl<'a> CatalogFile<'a> {
    /// Waits for its turn. The folder is made where it is missing.
    pub(crate) fn lock(path: &'a Path) -> Result<Self, Failure> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder: PathBuf = folder.unwrap_or(Path::new(".")).into();
        let locked = fs::create_dir_all(&folder).and_then(|()| {
            let folder = File::open(&folder)?;
            folder.lock()?;
            Ok(folder)
        });
        let what = || format!("could not lock {}", folder.display());
        let folder = locked.map_err(|source| Failure::Io { what: what(), source })?;
        Ok(Self { path, folder })
    }

    /// What it holds.
    pub(crate) fn read(&self) -> Result<Arc<Objects>, Failure> {
        catalog::read(self.path)
            .map_err(|error| Failure::Settings(hatchway_wire::process::chain(&error)))
    }

    /// Replaces it.
    pub(crate) fn write(&self, objects: &Objects) -> Outcome {
        let what = || format!("could not write {}", self.path.display());
        self.replace(objects).map_err(|source| Failure::Io { what: what(), source })
    }

    /// So that a reader, and a machine that loses power, sees the old text or the new one: temporary file beside it, fsync,
    /// rename, fsync of the folder (rename(2), fsync(2)).
    fn replace(&self, objects: &Objects) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(objects)
            .expect("catalog objects are strings, numbers and maps with text keys");
        text.push(b'\n');
        let readable = Permissions::from_mode(0o644);
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(".catalog-").permissions(readable);
        let mut file = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(self.path)?;
        self.folder.sync_all()
    }
}
