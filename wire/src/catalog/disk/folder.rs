//! Two generations of the file in a folder of their own: one that is damaged leaves the other.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use hatchway_proto::catalog::Objects;

use super::format::{self, About, Content, FormatError};
use crate::catalog::status::unix_ms;

/// What was applied last.
const CURRENT: &str = "catalog";
/// What was applied before that.
const BEFORE: &str = "catalog.before";
/// Being written.
const NEW: &str = "catalog.new";

/// Why the folder cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be made or opened.
    #[error("cannot use the folder {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process keeps its catalog there.
    #[error("the folder {} is in use by another process: give each its own with --state", path.display())]
    Locked {
        /// Which.
        path: PathBuf,
    },
}

/// What the folder has kept.
#[derive(Debug, Default)]
pub struct Kept {
    /// The newest generation that is whole.
    pub content: Option<Content>,
    /// Generations that are there and are not believed, each with the reason.
    pub damaged: Vec<String>,
}

/// What a folder has kept that another process may keep at this moment, whatever its prefix: generations are whole, and
/// replaced by renames.
pub fn peek(path: &Path) -> Kept {
    newest(path, |_| Ok(())).0
}

/// The newest generation that is whole and `is_fit`, and which one it is.
fn newest(path: &Path, is_fit: impl Fn(&Content) -> Result<(), String>) -> (Kept, &'static str) {
    let mut kept = Kept::default();
    for name in [CURRENT, BEFORE] {
        let read = read_one(&path.join(name)).and_then(|found| match found {
            Some(content) => is_fit(&content).map(|()| Some(content)),
            None => Ok(None),
        });
        match read {
            Ok(None) => {}
            Ok(content) => {
                kept.content = content;
                return (kept, name);
            }
            Err(why) => kept.damaged.push(format!("{}: {why}", path.join(name).display())),
        }
    }
    (kept, "")
}

fn read_one(path: &Path) -> Result<Option<Content>, String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    format::read(&bytes).map(Some).map_err(|error: FormatError| error.to_string())
}

/// The folder, locked for as long as this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    prefix: String,
    /// The current generation is worth keeping as the one before.
    is_current_good: bool,
    /// None where it cannot be written: what it has kept can be read all the same.
    _lock: Option<File>,
}

impl Folder {
    /// Makes the folder where it is missing, and locks it for the rules of `prefix`.
    ///
    /// # Errors
    /// [`FolderError`]. A folder that can only be read is none: writing to it fails later, and each time it is said.
    pub fn open(path: &Path, prefix: &str) -> Result<Self, FolderError> {
        let io = |source| FolderError::Io { path: path.to_owned(), source };
        match fs::create_dir_all(path) {
            Err(error) if !path.is_dir() => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
        let lock = match File::create(path.join("lock")) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => Some(lock),
                Err(TryLockError::WouldBlock) => {
                    return Err(FolderError::Locked { path: path.to_owned() });
                }
                Err(TryLockError::Error(source)) => return Err(io(source)),
            },
            Err(_) => None,
        };
        let prefix = prefix.to_owned();
        Ok(Self { path: path.to_owned(), prefix, is_current_good: false, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest generation that is whole.
    pub fn read(&mut self) -> Kept {
        let is_ours = |content: &Content| match content.about.prefix == self.prefix {
            true => Ok(()),
            false => Err(format!("it holds the rules of {}", content.about.prefix)),
        };
        let (kept, name) = newest(&self.path, is_ours);
        self.is_current_good = name == CURRENT;
        kept
    }

    /// Writes a generation, so that at every moment, a loss of power included, one of the two is whole: a new file,
    /// fsync, two renames, fsync of the folder (rename(2), fsync(2)).
    ///
    /// # Errors
    /// Of the file system; what was there before is there still.
    pub fn write(&mut self, revision: i64, cluster: u64, objects: &Objects) -> io::Result<()> {
        let (new, current) = (self.path.join(NEW), self.path.join(CURRENT));
        let written_unix_ms = unix_ms();
        let about = About { revision, cluster, prefix: self.prefix.clone(), written_unix_ms };
        let file = File::create(&new)?;
        let written = format::write(&file, &about, objects).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // On a full disk the half of it would be in the way.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        if self.is_current_good {
            match fs::rename(&current, self.path.join(BEFORE)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(&new, &current)?;
        self.is_current_good = true;
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::catalog::{Key, Object};
    use tempfile::TempDir;

    use super::*;

    fn objects(path: &str) -> Objects {
        let json = format!(r#"{{"path":"{path}","function":"local/a"}}"#);
        let mut objects = Objects::default();
        objects.put(Object::parse(Key::Route("a".into()), json.as_bytes()).unwrap());
        objects
    }

    fn opened(dir: &TempDir) -> Folder {
        Folder::open(dir.path(), "/x/").unwrap()
    }

    /// The path of the one route that is kept, and what is said of damage.
    fn kept(dir: &TempDir) -> (Option<String>, Vec<String>) {
        let kept = opened(dir).read();
        let path = kept.content.map(|content| content.objects.routes["a"].path.to_string());
        (path, kept.damaged)
    }

    fn two_generations() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = opened(&dir);
        assert!(folder.read().content.is_none());
        folder.write(1, 7, &objects("/1")).unwrap();
        folder.write(2, 7, &objects("/2")).unwrap();
        dir
    }

    #[test]
    fn the_newest_generation_is_read() {
        let dir = two_generations();
        assert_eq!(kept(&dir), (Some("/2".into()), vec![]));
    }

    #[test]
    fn damage_at_any_byte_leaves_the_one_before() {
        let dir = two_generations();
        let current = dir.path().join(CURRENT);
        let good = fs::read(&current).unwrap();
        for index in 0..good.len() {
            let mut bad = good.clone();
            bad[index] ^= 0x20;
            for bytes in [&bad[..], &good[..index]] {
                fs::write(&current, bytes).unwrap();
                let (path, damaged) = kept(&dir);
                assert_eq!((path.as_deref(), damaged.len()), (Some("/1"), 1), "byte {index}");
                assert!(damaged[0].contains("catalog: "), "{damaged:?}");
            }
        }
    }

    #[test]
    fn a_damaged_generation_never_takes_the_place_of_a_good_one() {
        let dir = two_generations();
        fs::write(dir.path().join(CURRENT), "damaged").unwrap();
        let mut folder = opened(&dir);
        assert!(folder.read().content.is_some());
        folder.write(3, 7, &objects("/3")).unwrap();
        drop(folder);
        fs::write(dir.path().join(CURRENT), "damaged again").unwrap();
        assert_eq!(kept(&dir).0.as_deref(), Some("/1"));
    }

    #[test]
    fn a_stop_at_any_step_of_a_write_leaves_one_that_is_whole() {
        let dir = two_generations();
        fs::write(dir.path().join(NEW), "half of").unwrap();
        assert_eq!(kept(&dir), (Some("/2".into()), vec![]));
        fs::rename(dir.path().join(CURRENT), dir.path().join(BEFORE)).unwrap();
        assert_eq!(kept(&dir), (Some("/2".into()), vec![]));
        opened(&dir).write(3, 7, &objects("/3")).unwrap();
        assert_eq!(kept(&dir), (Some("/3".into()), vec![]));
    }

    #[test]
    fn rules_of_another_prefix_and_files_of_others_are_not_believed() {
        let dir = two_generations();
        let kept = Folder::open(dir.path(), "/y/").unwrap().read();
        assert!(kept.content.is_none());
        assert_eq!(kept.damaged.len(), 2);
        assert!(kept.damaged[0].contains("rules of /x/"), "{kept:?}");
        fs::remove_file(dir.path().join(BEFORE)).unwrap();
        fs::remove_file(dir.path().join(CURRENT)).unwrap();
        fs::create_dir(dir.path().join(CURRENT)).unwrap();
        assert_eq!(opened(&dir).read().damaged.len(), 1);
    }

    #[test]
    fn one_folder_has_one_process() {
        let dir = two_generations();
        let _first = opened(&dir);
        let second = Folder::open(dir.path(), "/x/");
        assert!(matches!(second, Err(FolderError::Locked { .. })), "{second:?}");
    }

    #[test]
    fn a_folder_that_is_a_file_is_refused_and_a_write_that_fails_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Folder::open(file.path(), "/"), Err(FolderError::Io { .. })));
        let dir = two_generations();
        let mut folder = opened(&dir);
        folder.read();
        // The same as a folder that can only be read, for whoever runs the tests.
        fs::create_dir(dir.path().join(NEW)).unwrap();
        assert!(folder.write(3, 7, &objects("/3")).is_err());
        drop(folder);
        assert_eq!(kept(&dir).0.as_deref(), Some("/2"));
    }
}
