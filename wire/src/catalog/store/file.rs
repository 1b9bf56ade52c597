//! The catalog as a file, as those have it who change it: one at a time, and whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hatchway_proto::catalog::history::{DEFAULT_KEPT, Record, Timeline, Touched, Value};
use hatchway_proto::catalog::{Key, Objects};

use super::journal::{Journal, digest};
use super::{Author, Change, PushError, Pushed, StoreError};
use crate::catalog::file::{self, FileError};
use crate::catalog::status::unix_ms;

/// A catalog file that nobody else changes for as long as this lives.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    /// Its folder, which every writer locks (flock(2)): the file itself is another one after each change.
    folder: File,
    objects: Arc<Objects>,
    /// Of the file as it was read.
    digest: String,
    journal: Journal,
    keep: usize,
}

impl FileStore {
    /// Waits for its turn, then reads. A file that is not there yet has no objects; its folder is made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lock(path: &Path) -> Result<Self, StoreError> {
        let around = around(path);
        let locked = fs::create_dir_all(around).and_then(|()| {
            let folder = File::open(around)?;
            folder.lock()?;
            Ok(folder)
        });
        let what = "could not lock";
        let folder =
            locked.map_err(|source| StoreError::Io { what, path: around.to_owned(), source })?;
        let text = read(path)?;
        let objects = match &text {
            Some(text) => file::parse(path, text)?,
            None => Arc::default(),
        };
        let digest = digest(text.as_deref());
        let journal = Journal::read(path, &digest)?;
        Ok(Self { path: path.to_owned(), folder, objects, digest, journal, keep: DEFAULT_KEPT })
    }

    /// What it holds.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Of the file as it was read.
    pub(super) fn revision(&self) -> i64 {
        self.journal.revision()
    }

    /// Of the last change of an object; 0 where it is not there.
    pub(super) fn revision_of(&self, key: &Key) -> i64 {
        self.value(key).map_or(0, |value| value.revision)
    }

    /// Keeps so many records of changes.
    #[must_use]
    pub fn keeping(mut self, records: usize) -> Self {
        self.keep = records;
        self
    }

    /// Writes `changes` and a record of them; what is so already is left alone.
    ///
    /// # Errors
    /// [`PushError`]; then nothing has changed.
    pub fn push(mut self, changes: Vec<Change>, author: &Author) -> Result<Pushed, PushError> {
        let mut objects = Objects::clone(&self.objects);
        let mut touched = Vec::new();
        for change in changes {
            let (key, before) = (change.key(), self.value(&change.key()));
            let has_changed = match change {
                Change::Put(object) => objects.put(object),
                Change::Delete(key) => objects.remove(&key),
            };
            if has_changed {
                touched.push(Touched { key: key.to_string(), before });
            }
        }
        let changes = touched.len();
        if changes > 0 {
            let Author { who, why } = author.clone();
            self.write(&objects, Record { who, why, at_unix_ms: unix_ms(), touched })?;
        }
        Ok(Pushed { changes, revision: self.journal.revision() })
    }

    fn value(&self, key: &Key) -> Option<Value> {
        let object = self.objects.get(key)?;
        let text = String::from_utf8(object.json()).expect("JSON is UTF-8");
        Some(Value { revision: self.journal.revision_of(&key.to_string()), text })
    }

    /// The record goes first: one whose change has not come to be is known by its digest.
    fn write(&mut self, objects: &Objects, record: Record) -> Result<(), PushError> {
        let mut text = serde_json::to_vec_pretty(objects)
            .expect("catalog objects are strings, numbers and maps with text keys");
        text.push(b'\n');
        let now = read(&self.path).map_err(StoreError::from)?;
        if digest(now.as_deref()) != self.digest {
            return Err(PushError::FileChanged { path: self.path.clone() });
        }
        self.journal.add(record, &self.digest, digest(std::str::from_utf8(&text).ok()), self.keep);
        self.replace(&self.journal.path, &self.journal.text())?;
        self.replace(&self.path, &text)?;
        Ok(())
    }

    /// So that a reader, and a machine that loses power, sees the old text or the new one: temporary file beside it, fsync,
    /// rename, fsync of the folder (rename(2), fsync(2)).
    fn replace(&self, path: &Path, text: &[u8]) -> Result<(), StoreError> {
        let replaced = || -> io::Result<()> {
            let readable = Permissions::from_mode(0o644);
            let mut builder = tempfile::Builder::new();
            let mut file =
                builder.prefix(".catalog-").permissions(readable).tempfile_in(around(path))?;
            file.write_all(text)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            self.folder.sync_all()
        };
        let what = "could not write";
        replaced().map_err(|source| StoreError::Io { what, path: path.to_owned(), source })
    }

    /// What was changed before, and how it was.
    pub fn timeline(&self) -> Timeline {
        let now = self.objects.iter().filter_map(|object| {
            let key = object.key();
            Some((key.to_string(), self.value(&key)?))
        });
        let now: BTreeMap<_, _> = now.collect();
        Timeline::new(self.journal.entries(), now, self.journal.revision())
    }
}

/// The folder of a file.
fn around(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn read(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::catalog::Object;
    use hatchway_proto::catalog::history::Unknown;

    use super::*;

    fn put(name: &str, path: &str) -> Change {
        let json = format!(r#"{{"path":"{path}","function":"local/f"}}"#);
        Change::Put(Object::parse(Key::Route(name.to_owned()), json.as_bytes()).unwrap())
    }

    fn push(path: &Path, changes: Vec<Change>) -> Pushed {
        let author = Author { who: "ann".to_owned(), why: "because".to_owned() };
        FileStore::lock(path).unwrap().push(changes, &author).unwrap()
    }

    fn path_at(path: &Path, revision: i64) -> Result<Option<String>, Unknown> {
        let known = FileStore::lock(path).unwrap().timeline();
        let value = known.value_at("routes/a", revision)?;
        Ok(value.map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap()))
            .map(|value| value.map(|value| value["path"].as_str().unwrap().to_owned()))
    }

    fn said(path: &str) -> Result<Option<String>, Unknown> {
        Ok(Some(path.to_owned()))
    }

    #[test]
    fn every_change_is_remembered_with_what_it_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/catalog.json");
        let first = push(&path, vec![put("a", "/1"), put("b", "/b")]);
        assert_eq!(first, Pushed { changes: 2, revision: 1 });
        assert_eq!(push(&path, vec![put("a", "/2"), put("b", "/b")]).changes, 1);
        assert_eq!(push(&path, vec![put("a", "/2")]), Pushed { changes: 0, revision: 2 });
        push(&path, vec![Change::Delete(Key::Route("a".into()))]);
        assert_eq!(path_at(&path, 0), Ok(None));
        assert_eq!(path_at(&path, 1), said("/1"));
        assert_eq!(path_at(&path, 2), said("/2"));
        assert_eq!(path_at(&path, 3), Ok(None));
    }

    #[test]
    fn a_change_by_hand_is_seen_and_what_was_before_it_is_not_guessed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.json");
        push(&path, vec![put("a", "/1")]);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("/1", "/hand")).unwrap();
        assert_eq!(path_at(&path, 2), said("/hand"));
        assert!(matches!(path_at(&path, 1), Err(Unknown::ByHand { revision: 2, .. })));
        assert_eq!(push(&path, vec![put("a", "/3")]).revision, 3);
        assert_eq!((path_at(&path, 2), path_at(&path, 3)), (said("/hand"), said("/3")));
        assert!(matches!(path_at(&path, 1), Err(Unknown::ByHand { .. })));
    }

    #[test]
    fn a_record_whose_change_has_not_come_to_be_is_no_history() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.json");
        push(&path, vec![put("a", "/1")]);
        let before = fs::read_to_string(&path).unwrap();
        push(&path, vec![put("a", "/lost")]);
        // As after a power cut between the two writes.
        fs::write(&path, before).unwrap();
        assert!(matches!(path_at(&path, 2), Err(Unknown::NotYet { newest: 1, .. })));
        assert_eq!(push(&path, vec![put("a", "/2")]).revision, 2);
        assert_eq!(path_at(&path, 1), said("/1"));
    }

    #[test]
    fn old_records_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.json");
        let author = Author { who: "ann".to_owned(), why: "because".to_owned() };
        for n in 1..=5 {
            let store = FileStore::lock(&path).unwrap().keeping(2);
            store.push(vec![put("a", &format!("/{n}"))], &author).unwrap();
        }
        assert_eq!(path_at(&path, 3), said("/3"));
        assert_eq!(path_at(&path, 2), Err(Unknown::TooOld { asked: 2, oldest: 3 }));
    }

    #[test]
    fn who_writes_without_the_lock_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.json");
        push(&path, vec![put("a", "/1")]);
        let store = FileStore::lock(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap().replace("/1", "/hand");
        fs::write(&path, &text).unwrap();
        let author = Author { who: "ann".to_owned(), why: "because".to_owned() };
        let refused = store.push(vec![put("a", "/2")], &author);
        assert!(matches!(refused, Err(PushError::FileChanged { .. })), "{refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
