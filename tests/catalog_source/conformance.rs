//! What every source does, whatever it is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hatchway_tests::Etcd;
use hatchway_wire::catalog::file::FileSource;
use tempfile::TempDir;

use crate::followed::{Followed, followed, route};

/// Where operators write.
trait Store {
    fn put(&mut self, key: &str, value: &str);
    fn delete(&mut self, key: &str);
    fn follow(&self) -> Followed;
}

impl Store for Etcd {
    fn put(&mut self, key: &str, value: &str) {
        Etcd::put(self, key, value);
    }

    fn delete(&mut self, key: &str) {
        Etcd::delete(self, key);
    }

    fn follow(&self) -> Followed {
        followed(self)
    }
}

/// A file, written whole each time.
struct FileStore {
    folder: TempDir,
    entries: BTreeMap<String, String>,
}

impl FileStore {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Self { folder, entries: BTreeMap::new() };
        store.write();
        store
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("catalog.json")
    }

    fn write(&self) {
        let kinds = ["functions", "versions", "routes", "releases"].map(|kind| {
            let below = format!("{kind}/");
            let of_kind = self.entries.iter().filter_map(|(key, value)| {
                let name = key.strip_prefix(&below)?;
                Some(format!("{name:?}: {value}"))
            });
            format!("{kind:?}: {{{}}}", of_kind.collect::<Vec<_>>().join(","))
        });
        let new = self.folder.path().join("new");
        std::fs::write(&new, format!("{{{}}}", kinds.join(","))).expect("own folder");
        std::fs::rename(new, self.path()).expect("the same file system");
    }
}

impl Store for FileStore {
    fn put(&mut self, key: &str, value: &str) {
        self.entries.insert(key.to_owned(), value.to_owned());
        self.write();
    }

    fn delete(&mut self, key: &str) {
        self.entries.remove(key);
        self.write();
    }

    fn follow(&self) -> Followed {
        Followed::start(FileSource::open(&self.path()).expect("it is a catalog"))
    }
}

fn hands_on_what_is_there_and_every_change(mut store: impl Store) {
    store.put("routes/a", &route("/a"));
    store.put("functions/local/f", r#"{"rate_per_second": 5}"#);
    store.put("releases/local/f", r#"{"stable": "0123456789abcdef"}"#);
    let source = store.follow();
    source.serves(&["a=/a"]);
    let first = source.found().objects;
    assert_eq!((first.functions.len(), first.releases.len()), (1, 1));
    store.put("routes/b", &route("/b"));
    source.serves(&["a=/a", "b=/b"]);
    store.put("routes/a", &route("/a2"));
    source.serves(&["a=/a2", "b=/b"]);
    store.delete("routes/a");
    source.serves(&["b=/b"]);
    let last = source.found().objects;
    let mut both = first.functions.values().zip(last.functions.values());
    assert!(both.all(|(before, after)| Arc::ptr_eq(before, after)), "what has not changed");
}

fn keeps_the_last_good_form_of_a_bad_object_and_applies_the_rest(mut store: impl Store) {
    store.put("routes/a", &route("/a"));
    store.put("routes/b", &route("no-slash"));
    let source = store.follow();
    source.serves(&["a=/a"]);
    source.says("b is refused", |status| {
        status.quarantined.get("routes/b").is_some_and(|why| why.contains("does not start with /"))
    });
    for bad in [
        r#"{"path": "/x"}"#,
        r#"{"path":"/","function":"local/f","colour":1}"#,
        "[]",
        "7",
        r#""/a""#,
    ] {
        store.put("routes/a", bad);
        store.put("routes/c", &route("/c"));
        source.says("a is refused", |status| status.quarantined.contains_key("routes/a"));
        source.serves(&["a=/a", "c=/c"]);
        store.delete("routes/c");
        source.serves(&["a=/a"]);
    }
    store.put("routes/a", &route("/good"));
    store.delete("routes/b");
    source.serves(&["a=/good"]);
    source.says("nothing is refused", |status| status.quarantined.is_empty());
}

fn refuses_keys_that_are_none(mut store: impl Store) {
    store.put("routes/a", &route("/a"));
    store.put("functions/nobody", "{}");
    store.put("functions/local/NOBODY", "{}");
    store.put("versions/1", "{}");
    let source = store.follow();
    source.serves(&["a=/a"]);
    source.says("three are refused", |status| status.quarantined.len() == 3);
}

macro_rules! conformance {
    ($($name:ident),+ $(,)?) => {
        mod file {
            $(#[test] fn $name() { super::$name(super::FileStore::new()); })+
        }
        mod etcd {
            $(#[test] fn $name() { super::$name(hatchway_tests::Etcd::start()); })+
        }
    };
}

conformance! {
    hands_on_what_is_there_and_every_change,
    keeps_the_last_good_form_of_a_bad_object_and_applies_the_rest,
    refuses_keys_that_are_none,
}
