//! What a follower of the rules says of itself: how far it has come, and what it has refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Trial;

/// Refused objects that a follower names, each with its reason.
const NAMED: usize = 100;

/// A follower, in its own words. Stands in etcd under a lease: who is dead says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Applied {
    /// Of its program.
    pub version: String,
    /// The source's revision of the last change that it serves by.
    pub revision: i64,
    /// When it has said so, in milliseconds since 1970, by its own clock.
    pub at_unix_ms: u64,
    /// Objects that it has refused, by key, each with the reason: of these it serves an older form, or none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, String>,
    /// Refused objects beyond those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_refused: usize,
    /// How it goes with what it tries before others do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Applied {
    /// At a revision, with what was refused on the way.
    pub fn new(
        version: &str,
        revision: i64,
        at_unix_ms: u64,
        mut refused: BTreeMap<String, String>,
    ) -> Self {
        let more_refused = refused.len().saturating_sub(NAMED);
        if let Some(first) = refused.keys().nth(NAMED).cloned() {
            refused.split_off(&first);
        }
        let version = version.to_owned();
        Self { version, revision, at_unix_ms, refused, more_refused, trial: None }
    }

    /// What it refuses that it did not refuse `before`, or that one of `keys` is about: what a push has brought.
    pub fn refused_since<'a>(
        &'a self,
        before: Option<&'a Self>,
        keys: &'a [String],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let is_old = move |key: &String, why: &String| {
            before.is_some_and(|before| before.refused.get(key) == Some(why))
        };
        let news =
            self.refused.iter().filter(move |(key, why)| keys.contains(key) || !is_old(key, why));
        news.map(|(key, why)| (key.as_str(), why.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(keys: impl IntoIterator<Item = String>) -> BTreeMap<String, String> {
        keys.into_iter().map(|key| (key, "why".to_owned())).collect()
    }

    #[test]
    fn so_many_are_named_and_the_others_counted() {
        let many = refused((0..103).map(|n| format!("routes/{n:03}")));
        let said = Applied::new("1", 7, 0, many);
        assert_eq!((said.refused.len(), said.more_refused), (NAMED, 3));
        assert!(said.refused.contains_key("routes/099"));
    }

    #[test]
    fn what_a_push_has_brought_is_told_from_what_was_refused_before() {
        let before = Applied::new("1", 7, 0, refused(["a".into(), "b".into()]));
        let after = Applied::new("1", 8, 0, refused(["a".into(), "b".into(), "c".into()]));
        let keys = ["b".to_owned()];
        let news: Vec<_> = after.refused_since(Some(&before), &keys).map(|(key, _)| key).collect();
        assert_eq!(news, ["b", "c"]);
        assert_eq!(after.refused_since(None, &[]).count(), 3);
    }
}
