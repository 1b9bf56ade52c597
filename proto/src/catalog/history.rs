//! Who changed which objects, when and why, and how they were before: enough to say how each of them was at an earlier
//! revision, without a source that keeps its past.
//!
//! A record holds what it replaced and not what it wrote: that is there, or in the next record. So the first push of a
//! large catalog costs its history nothing but names.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::difference::{Difference, differences};

/// Records that are kept unless somebody says otherwise: a change an hour, day and night, for six weeks.
pub const DEFAULT_KEPT: usize = 1000;

/// What is kept of one change, written together with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Record {
    /// A person or a program.
    pub who: String,
    /// In their words.
    pub why: String,
    /// Milliseconds since 1970, by the clock of the one who wrote.
    pub at_unix_ms: u64,
    /// Which objects, and how they were.
    pub touched: Vec<Touched>,
}

/// One object of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Touched {
    /// Below the prefix: `routes/shop`.
    pub key: String,
    /// How it was; none where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
}

/// The value of a key, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Value {
    /// Of the change that wrote it.
    pub revision: i64,
    /// As it stands there.
    pub text: String,
}

/// A record and the revision that its change has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Entry {
    /// Of the source.
    pub revision: i64,
    /// What was done.
    #[serde(flatten)]
    pub record: Record,
}

/// A record with what it has changed, as people are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Told {
    /// Of the source, by this change.
    pub revision: i64,
    /// A person or a program.
    pub who: String,
    /// In their words.
    pub why: String,
    /// Milliseconds since 1970, by the clock of the one who wrote.
    pub at_unix_ms: u64,
    /// Object by object.
    pub changes: Vec<ToldObject>,
}

/// One object of a change, as people are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToldObject {
    /// Which.
    pub key: String,
    /// What differs; none where a change without a record came next, so that nobody knows.
    pub differences: Option<Vec<Difference>>,
}

/// All that is known of the past, and what is there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    entries: Vec<Entry>,
    now: BTreeMap<String, Value>,
    newest: i64,
}

/// Why an earlier form is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The records do not go back so far.
    #[error("revision {asked} is not known any more: the history begins with {oldest}")]
    TooOld {
        /// Which was asked for.
        asked: i64,
        /// The first that can be asked for.
        oldest: i64,
    },
    /// There was no such revision yet.
    #[error("there is no revision {asked} yet: the newest is {newest}")]
    NotYet {
        /// Which was asked for.
        asked: i64,
        /// The newest that there is.
        newest: i64,
    },
    /// A change without a record lies between.
    #[error(
        "{key} was changed at revision {revision} without a record: how it was before is not known"
    )]
    ByHand {
        /// Which object.
        key: String,
        /// Of the change that nobody has recorded.
        revision: i64,
    },
}

impl Timeline {
    /// Of records in any order, and everything that is there at the source's revision `newest`.
    pub fn new(mut entries: Vec<Entry>, now: BTreeMap<String, Value>, newest: i64) -> Self {
        entries.retain(|entry| entry.revision <= newest);
        entries.sort_by_key(|entry| entry.revision);
        Self { entries, now, newest }
    }

    /// Every record, the oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is there now, by key.
    pub fn now(&self) -> &BTreeMap<String, Value> {
        &self.now
    }

    /// The revision of what is there now.
    pub fn newest(&self) -> i64 {
        self.newest
    }

    /// The value of `key` at `revision`; none where it was not there.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn value_at(&self, key: &str, revision: i64) -> Result<Option<&str>, Unknown> {
        self.check(revision)?;
        let later = self.entries.iter().filter(|entry| entry.revision > revision);
        let mut replaced = later.flat_map(|entry| &entry.record.touched);
        let value = match replaced.find(|touched| touched.key == key) {
            Some(touched) => touched.before.as_ref(),
            None => self.now.get(key),
        };
        match value {
            Some(value) if value.revision > revision => {
                Err(Unknown::ByHand { key: key.to_owned(), revision: value.revision })
            }
            value => Ok(value.map(|value| value.text.as_str())),
        }
    }

    /// The first record says how things were before it, and nothing tells of earlier changes.
    fn check(&self, asked: i64) -> Result<(), Unknown> {
        let newest = self.newest;
        if asked > newest {
            return Err(Unknown::NotYet { asked, newest });
        }
        let oldest = self.entries.first().map_or(newest, |entry| entry.revision - 1);
        if asked < oldest { Err(Unknown::TooOld { asked, oldest }) } else { Ok(()) }
    }

    /// Keys whose values may not be what they were at `revision`.
    pub fn touched_since(&self, revision: i64) -> BTreeSet<&str> {
        let later = self.entries.iter().filter(|entry| entry.revision > revision);
        let recorded = later.flat_map(|entry| &entry.record.touched).map(|touched| &*touched.key);
        let newer = self.now.iter().filter(|(_, value)| value.revision > revision);
        recorded.chain(newer.map(|(key, _)| &**key)).collect()
    }

    /// What differs between two revisions, by key.
    ///
    /// # Errors
    /// [`Unknown`].
    pub fn between(
        &self,
        from: i64,
        to: i64,
    ) -> Result<BTreeMap<String, Vec<Difference>>, Unknown> {
        self.check(from)?;
        self.check(to)?;
        let mut found = BTreeMap::new();
        for key in self.touched_since(from.min(to)) {
            let differences = differences(self.value_at(key, from)?, self.value_at(key, to)?);
            if !differences.is_empty() {
                found.insert(key.to_owned(), differences);
            }
        }
        Ok(found)
    }

    /// The newest changes, of everything or of one object, the newest first.
    pub fn told(&self, only: Option<&str>, limit: usize) -> Vec<Told> {
        let concerns = |entry: &&Entry| {
            only.is_none_or(|only| entry.record.touched.iter().any(|touched| touched.key == only))
        };
        let told = |entry: &Entry| {
            let Record { who, why, at_unix_ms, touched } = &entry.record;
            let changes = touched.iter().map(|touched| ToldObject {
                key: touched.key.clone(),
                differences: self.changed_by(entry, touched),
            });
            Told {
                revision: entry.revision,
                who: who.clone(),
                why: why.clone(),
                at_unix_ms: *at_unix_ms,
                changes: changes.collect(),
            }
        };
        self.entries.iter().rev().filter(concerns).take(limit).map(told).collect()
    }

    /// What one change has changed of one of its objects; none where a change without a record came next.
    pub fn changed_by(&self, entry: &Entry, touched: &Touched) -> Option<Vec<Difference>> {
        let before = touched.before.as_ref().map(|value| value.text.as_str());
        let after = self.value_at(&touched.key, entry.revision).ok()?;
        Some(differences(before, after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(revision: i64, text: &str) -> Option<Value> {
        Some(Value { revision, text: text.to_owned() })
    }

    fn entry(revision: i64, touched: &[(&str, Option<Value>)]) -> Entry {
        let touched = touched
            .iter()
            .map(|(key, before)| Touched { key: (*key).to_owned(), before: before.clone() });
        let (who, why) = ("ann".to_owned(), "because".to_owned());
        let touched = touched.collect();
        Entry { revision, record: Record { who, why, at_unix_ms: 0, touched } }
    }

    /// `a` was made at 3, changed at 5, deleted at 9; `b` was there before, changed at 5 and, by hand, at 7.
    fn timeline() -> Timeline {
        let entries = vec![
            entry(9, &[("a", value(5, "2"))]),
            entry(3, &[("a", None)]),
            entry(5, &[("a", value(3, "1")), ("b", value(2, "x"))]),
        ];
        let now = BTreeMap::from([("b".to_owned(), Value { revision: 7, text: "z".to_owned() })]);
        Timeline::new(entries, now, 9)
    }

    #[test]
    fn an_object_is_known_at_every_revision_that_has_a_record_after_it() {
        let known = timeline();
        for (revision, expected) in
            [(2, None), (3, Some("1")), (4, Some("1")), (5, Some("2")), (8, Some("2")), (9, None)]
        {
            assert_eq!(known.value_at("a", revision), Ok(expected), "at {revision}");
        }
        assert_eq!(known.value_at("b", 4), Ok(Some("x")));
        assert_eq!(known.value_at("b", 7), Ok(Some("z")));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let known = timeline();
        let by_hand = Unknown::ByHand { key: "b".into(), revision: 7 };
        assert_eq!(known.value_at("b", 5), Err(by_hand));
        assert_eq!(known.value_at("a", 1), Err(Unknown::TooOld { asked: 1, oldest: 2 }));
        assert_eq!(known.value_at("a", 10), Err(Unknown::NotYet { asked: 10, newest: 9 }));
    }

    #[test]
    fn two_revisions_are_compared_and_one_change_is_shown() {
        let known = timeline();
        let text = |from, to| {
            let found = known.between(from, to).unwrap();
            found.iter().map(|(key, how)| format!("{key} {}", how[0])).collect::<Vec<_>>()
        };
        assert_eq!(text(3, 9), ["a gone, was 1", r#"b "x" -> "z""#]);
        assert_eq!(text(9, 3), ["a new, 1", r#"b "z" -> "x""#]);
        let [_, second, third] = known.entries() else { panic!("three") };
        let shown = |entry: &Entry, n: usize| {
            let found = known.changed_by(entry, &entry.record.touched[n]);
            found.map(|found| found[0].to_string())
        };
        assert_eq!(shown(second, 0).as_deref(), Some("1 -> 2"));
        assert_eq!(shown(second, 1), None, "what was written is lost");
        assert_eq!(shown(third, 0).as_deref(), Some("gone, was 2"));
    }
}
