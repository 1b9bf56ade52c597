//! How a change is made: by whom, at one gateway first, and whether all of them are waited for.

use std::fmt;
use std::time::Duration;

use super::first::First;
use super::{Author, Change, PushError, Pushed, Store};
use crate::catalog::etcd::EtcdConfig;
use crate::catalog::etcd::followers::{FollowerView, Followers};

/// All that is said about a change beside what it is.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Who and why.
    pub author: Author,
    /// Records that the history keeps.
    pub keep: usize,
    /// Wait until every live gateway serves by it, but not longer.
    pub wait: Option<Duration>,
    /// Try it at one gateway before.
    pub first: Option<First>,
}

/// What has come of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Objects that were written or deleted.
    pub changes: usize,
    /// The source's revision that has all of it.
    pub revision: i64,
    /// Gateways that serve by it, where they were waited for.
    pub gateways: Option<usize>,
    /// What an operator should hear of it.
    pub notes: Vec<String>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} written, revision {}", count(self.changes, "change"), self.revision)?;
        match self.gateways {
            None => Ok(()),
            Some(0) => f.write_str("; no gateway is alive to apply it"),
            Some(gateways) => write!(f, ", applied by {}", count(gateways, "gateway")),
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

impl Store {
    /// Writes `changes`, unless somebody else has changed any of it since the store was opened, tries it first and waits
    /// where that is asked for.
    ///
    /// # Errors
    /// [`PushError`]: what was written before stays written.
    pub async fn carry_out(self, changes: Vec<Change>, terms: &Terms) -> Result<Done, PushError> {
        let author = &terms.author;
        let mut store = match self {
            Self::Etcd(store) => store,
            Self::File(_) if terms.wait.is_some() || terms.first.is_some() => {
                return Err(PushError::NobodyTold);
            }
            store @ Self::File(_) => {
                let pushed = store.keeping(terms.keep).push(changes, author).await?;
                let Pushed { changes, revision } = pushed;
                return Ok(Done { changes, revision, gateways: None, notes: Vec::new() });
            }
        };
        let keys: Vec<String> = changes.iter().map(|change| change.key().to_string()).collect();
        let (mut changes, mut added, mut tried) = (changes, 0, None);
        if let Some(first) = &terms.first {
            // Nodes need the versions before a gateway sends requests to them.
            (changes, added) = store.add_versions(changes, author).await?;
            tried = first.try_out(&store, &changes, author).await?;
        }
        if let Some(tried) = &tried {
            *store = store.ending_trial(tried.on_trial.key());
        }
        let config = store.config().clone();
        let waiting = match terms.wait {
            Some(limit) => Some(Waiting::begin(&config, keys, limit).await?),
            None => None,
        };
        let pushed = store.keeping(terms.keep).push(changes, author).await;
        let notes = tried.iter().map(|tried| tried.note.clone()).collect();
        if let Some(tried) = tried {
            // Its key has gone with the change; where that has failed, this takes it back, or the end of its lease.
            let _ = tried.on_trial.take_back().await;
        }
        let Pushed { changes, revision } = pushed?;
        let gateways = match waiting {
            Some(waiting) => Some(waiting.end(revision).await?),
            None => None,
        };
        Ok(Done { changes: added + changes, revision, gateways, notes })
    }
}

/// A change that is about to be made, and is to be waited for.
#[derive(Debug)]
struct Waiting {
    view: FollowerView,
    before: Followers,
    /// What the change is about.
    keys: Vec<String>,
    limit: Duration,
}

impl Waiting {
    /// Remembers how it stands before the change.
    async fn begin(
        config: &EtcdConfig,
        keys: Vec<String>,
        limit: Duration,
    ) -> Result<Self, PushError> {
        let view = FollowerView::of_gateways(config).await?;
        let before = view.list().await?;
        Ok(Self { view, before, keys, limit })
    }

    /// Waits until all serve by `revision`; how many they are.
    async fn end(self, revision: i64) -> Result<usize, PushError> {
        let after = self.view.wait(revision, self.limit).await?;
        let problems = problems(&self.before, &after, &self.keys, revision);
        if problems.is_empty() {
            return Ok(after.len());
        }
        let (all, seconds) = (count(after.len(), "gateway"), self.limit.as_secs());
        Err(PushError::NotServed(format!(
            "revision {revision} is written; of {all}, within {seconds} s:\n  {}",
            problems.join("\n  ")
        )))
    }
}

fn problems(before: &Followers, after: &Followers, keys: &[String], revision: i64) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, applied) in after {
        if applied.revision < revision {
            problems.push(format!("{name} has not applied it: it serves by {}", applied.revision));
        }
        for (key, why) in applied.refused_since(before.get(name), keys) {
            problems.push(format!("{name} refuses {key}: {why}"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hatchway_proto::catalog::Applied;

    use super::*;

    #[test]
    fn who_is_behind_and_who_refuses_are_named() {
        let refused = BTreeMap::from([("routes/a".to_owned(), "no slash".to_owned())]);
        let old = BTreeMap::from([("routes/old".to_owned(), "as ever".to_owned())]);
        let said = |revision, refused| Applied::new("1", revision, 0, refused);
        let before = Followers::from([("gw-3".to_owned(), said(6, old.clone()))]);
        let after = Followers::from([
            ("gw-1".to_owned(), said(7, refused)),
            ("gw-2".to_owned(), said(6, BTreeMap::new())),
            ("gw-3".to_owned(), said(8, old)),
        ]);
        assert_eq!(
            problems(&before, &after, &[], 7),
            ["gw-1 refuses routes/a: no slash", "gw-2 has not applied it: it serves by 6"]
        );
    }
}
