//! A wall clock that jumps when it is told to, for programs that are started with it. Their monotonic clock goes on.

use std::fs;
use std::path::{Path, PathBuf};

/// The time of one program, by libfaketime.
#[derive(Debug)]
pub(crate) struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// One that goes right, and keeps its file in `folder`; none where libfaketime is not installed.
    pub(crate) fn in_folder(folder: &Path) -> Option<Self> {
        let of_architectures = fs::read_dir("/usr/lib").ok()?.flatten();
        let library = of_architectures
            .map(|entry| entry.path().join("faketime/libfaketime.so.1"))
            .find(|path| path.exists())?;
        let clock = Self { library, file: folder.join("clock") };
        clock.set(0);
        Some(clock)
    }

    /// Off by so many seconds from now on.
    pub(crate) fn set(&self, seconds: i64) {
        // Whole or not at all: it is read at any time.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}")).expect("own folder");
        fs::rename(new, &self.file).expect("own folder");
    }

    /// What a program is started with.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let path = |path: &Path| path.display().to_string();
        [
            ("LD_PRELOAD", path(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", path(&self.file)),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
