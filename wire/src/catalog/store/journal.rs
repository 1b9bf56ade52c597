//! The history of a catalog file, in a file beside it: a line of JSON a change, the oldest first.
//!
//! Each line has the digest of the file before and after its change. So a record whose change was cut short is told from
//! one that came to be, and a change that nobody has recorded is seen as such.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use hatchway_proto::catalog::history::{Entry, Record};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::StoreError;
use crate::catalog::status::unix_ms;

/// What is remembered of a file.
#[derive(Debug)]
pub(super) struct Journal {
    /// `catalog.json.history` beside `catalog.json`.
    pub(super) path: PathBuf,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    entry: Entry,
    /// Of the file before and after, in hex; empty where there was none.
    digests: (String, String),
    /// Whoever has changed the file has not said what.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_unrecorded: bool,
}

/// By what a file is known; of none it is empty.
pub(super) fn digest(text: Option<&str>) -> String {
    let Some(text) = text else { return String::new() };
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Journal {
    /// Of the catalog file at `path`, whose text has the digest `now`.
    pub(super) fn read(path: &Path, now: &str) -> Result<Self, StoreError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".history");
        let path = PathBuf::from(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(source) => {
                return Err(StoreError::Io { what: "could not read", path, source });
            }
        };
        let lines = text.lines().enumerate().map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| StoreError::Journal {
                path: path.clone(),
                line: index + 1,
                message: error.to_string(),
            })
        });
        let lines = lines.collect::<Result<_, _>>()?;
        let mut journal = Self { path, lines };
        journal.agree_with(now);
        Ok(journal)
    }

    fn agree_with(&mut self, now: &str) {
        let Some(last) = self.lines.last() else { return };
        let (before, after) = &last.digests;
        if after == now {
            return;
        }
        if before == now {
            self.lines.pop();
            return;
        }
        let (who, why) = ("unknown".to_owned(), "the file was changed by hand".to_owned());
        let record = Record { who, why, at_unix_ms: unix_ms(), touched: Vec::new() };
        let entry = Entry { revision: last.entry.revision + 1, record };
        let digests = (after.clone(), now.to_owned());
        self.lines.push(Line { entry, digests, is_unrecorded: true });
    }

    /// Of the file as it is now; 0 before the first change.
    pub(super) fn revision(&self) -> i64 {
        self.lines.last().map_or(0, |line| line.entry.revision)
    }

    /// The last change that has touched `key`, or may have.
    pub(super) fn revision_of(&self, key: &str) -> i64 {
        let touches = |line: &&Line| {
            line.is_unrecorded || line.entry.record.touched.iter().any(|it| it.key == key)
        };
        self.lines.iter().rev().find(touches).map_or(0, |line| line.entry.revision)
    }

    pub(super) fn add(&mut self, record: Record, before: &str, after: String, keep: usize) {
        let entry = Entry { revision: self.revision() + 1, record };
        let digests = (before.to_owned(), after);
        self.lines.push(Line { entry, digests, is_unrecorded: false });
        let surplus = self.lines.len().saturating_sub(keep.max(1));
        self.lines.drain(..surplus);
    }

    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for line in &self.lines {
            let line = serde_json::to_vec(line).expect("a record is strings and numbers");
            text.extend(line);
            text.push(b'\n');
        }
        text
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.lines.iter().map(|line| line.entry.clone()).collect()
    }
}
