//! A project on disk, with everything its daemon may write in folders of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A project, the state of its daemon and the daemon's temporary files; all gone when this is dropped.
#[derive(Debug)]
pub struct Project {
    root: TempDir,
    folder: PathBuf,
}

impl Project {
    /// A project with this `hatchway.toml`.
    ///
    /// # Panics
    /// When the disk is full, as all of these.
    pub fn new(manifest: &str) -> Self {
        let mut project = Self::over(Path::new(""));
        project.folder = project.root.path().join("p");
        fs::create_dir(&project.folder).expect("a new folder");
        project.write("hatchway.toml", manifest);
        project
    }

    /// What stands in `folder` already, and is only read.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn over(folder: &Path) -> Self {
        let root = tempfile::Builder::new().prefix("hw-").tempdir().expect("a temporary folder");
        // A daemon that root starts reads it as somebody else.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("own folder");
        let project = Self { root, folder: folder.to_owned() };
        for folder in [project.state(), project.temporary()] {
            fs::create_dir(folder).expect("a new folder");
        }
        project
    }

    /// With one more file.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(path, content);
        self
    }

    /// With a program copied into it.
    #[must_use]
    pub fn program(self, path: &str, program: &Path) -> Self {
        let target = self.folder().join(path);
        // A link where it can be: a copy of a debug build takes its time. Other file systems need one.
        if fs::hard_link(program, &target).is_err() {
            fs::copy(program, target).expect("the program can be read");
        }
        self
    }

    /// Writes a file whole, as an editor saves it: beside, then renamed over.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder().join(path);
        let parent = path.parent().expect("a file stands in a folder");
        fs::create_dir_all(parent).expect("own folder");
        let new = self.root.path().join("saving");
        fs::write(&new, content).expect("own folder");
        fs::rename(&new, path).expect("the same file system");
    }

    /// Where its `hatchway.toml` is.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// The daemon's `--state`.
    pub fn state(&self) -> PathBuf {
        self.root.path().join("s")
    }

    /// The daemon's `TMPDIR`.
    pub fn temporary(&self) -> PathBuf {
        self.root.path().join("t")
    }

    /// Where a catalog of it may be written.
    pub fn catalog(&self) -> PathBuf {
        self.root.path().join("c").join("catalog.json")
    }

    /// What all of its folders have in common.
    pub fn root(&self) -> &Path {
        self.root.path()
    }
}
