//! A change that one gateway serves by before the others do, and what tells that it should not have been made.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Key, Object, Objects, Release};

/// The share of failures may rise by so much: one in a hundred.
const MARGIN: f64 = 0.01;

/// A change that is worse has failures whose odds are so many times those that it may have.
const WORSE: f64 = 3.0;

/// One change in a thousand that is not worse is taken for one that is, however often one looks (Ville's inequality).
const FALSE_ALARMS: f64 = 0.001;

/// A gateway that has hardly served yet is taken for one that has served so many requests well.
const AT_LEAST: u64 = 100;

/// What is on trial, as it stands in etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// A person or a program.
    pub who: String,
    /// In their words.
    pub why: String,
    /// Objects by key, each as it is to be stored; none where it is to go.
    pub objects: BTreeMap<String, Option<String>>,
}

/// Requests, and those of them that failed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Requests {
    /// All of them.
    pub all: u64,
    /// Answered with 5xx, or by the gateway because no function was found or had room.
    pub failed: u64,
}

/// How a trial goes, as the gateway has counted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Trial {
    /// Of what is on trial.
    pub revision: i64,
    /// From the start of the gateway to that of the trial.
    pub before: Requests,
    /// Since then.
    pub since: Requests,
}

impl Candidate {
    /// What it makes of `objects`.
    ///
    /// # Errors
    /// Why it cannot be tried: the key, and what is wrong with the object.
    pub fn over(&self, objects: &Objects) -> Result<Objects, String> {
        let mut objects = objects.clone();
        for (name, text) in &self.objects {
            let key = Key::parse(name).map_err(|error| format!("{name}: {error}"))?;
            match text {
                None => _ = objects.remove(&key),
                Some(text) => {
                    let object = Object::parse(key, text.as_bytes());
                    objects.put(object.map_err(|error| format!("{name}: {error}"))?);
                }
            }
        }
        Ok(objects)
    }
}

impl Candidate {
    /// What a node has to know for those who serve by `objects` and for the one who tries: the versions of both, and
    /// functions that are new.
    ///
    /// # Errors
    /// As [`over`](Self::over).
    pub fn beside(&self, objects: &Objects) -> Result<Objects, String> {
        let tried = self.over(objects)?;
        let mut both = objects.clone();
        for name in self.objects.keys() {
            let Ok(key) = Key::parse(name) else { continue };
            let Some(object) = tried.get(&key) else { continue };
            match (object, both.get(&key)) {
                (Object::Release(name, new), Some(Object::Release(_, old))) => {
                    let mut release = Release::clone(&old);
                    let versions = new.versions().enumerate();
                    let tags = versions.map(|(n, version)| (format!("on-trial-{n}"), version));
                    release.tags.extend(tags);
                    both.put(Object::Release(name, Arc::new(release)));
                }
                (object, None) => _ = both.put(object),
                (_, Some(_)) => {}
            }
        }
        Ok(both)
    }
}

impl Requests {
    /// Those that have come since `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            all: self.all.saturating_sub(before.all),
            failed: self.failed.saturating_sub(before.failed),
        }
    }

    /// The share of failures.
    pub fn share(&self) -> f64 {
        if self.all == 0 { 0.0 } else { self.failed as f64 / self.all as f64 }
    }
}

impl Trial {
    /// Whether more fails than before: a sequential likelihood ratio test (Wald 1945), which may be asked at any time.
    pub fn is_worse(&self) -> bool {
        let allowed = self.before.failed as f64 / self.before.all.max(AT_LEAST) as f64 + MARGIN;
        let allowed = allowed.min(0.99);
        let odds = WORSE * allowed / (1.0 - allowed);
        let worse = odds / (1.0 + odds);
        let failed = self.since.failed.min(self.since.all) as f64;
        let went_well = self.since.all as f64 - failed;
        let for_worse =
            failed * (worse / allowed).ln() + went_well * ((1.0 - worse) / (1.0 - allowed)).ln();
        for_worse >= (1.0 / FALSE_ALARMS).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(before: (u64, u64), since: (u64, u64)) -> Trial {
        let requests = |(all, failed)| Requests { all, failed };
        Trial { revision: 1, before: requests(before), since: requests(since) }
    }

    #[test]
    fn failures_that_rise_are_seen_soon_and_others_are_not() {
        for (before, since, is_worse) in [
            ((10_000, 0), (10, 10), true),
            ((10_000, 0), (30, 15), true),
            ((10_000, 0), (2000, 100), true),
            ((0, 0), (20, 20), true),
            ((10_000, 0), (6, 6), false),
            ((10_000, 0), (1000, 10), false),
            ((10_000, 2000), (1000, 210), false),
            ((10_000, 2000), (1000, 500), true),
            ((0, 0), (0, 0), false),
        ] {
            let trial = trial(before, since);
            assert_eq!(trial.is_worse(), is_worse, "{trial:?}");
        }
    }

    /// Every path of 12 requests, each failing with the probability that is just allowed, looked at after each.
    #[test]
    fn looking_often_raises_no_false_alarms() {
        let allowed = MARGIN;
        let mut alarms = 0.0;
        for path in 0_u32..1 << 12 {
            let (mut trial, mut chance, mut has_alarmed) = (trial((10_000, 0), (0, 0)), 1.0, false);
            for request in 0..12 {
                let fails = path >> request & 1 == 1;
                trial.since.all += 1;
                trial.since.failed += u64::from(fails);
                chance *= if fails { allowed } else { 1.0 - allowed };
                has_alarmed |= trial.is_worse();
            }
            alarms += if has_alarmed { chance } else { 0.0 };
        }
        assert!(alarms < FALSE_ALARMS, "{alarms}");
    }

    #[test]
    fn a_node_knows_the_versions_of_both() {
        let objects: Objects = serde_json::from_str(
            r#"{"functions": {"local/a": {}}, "versions": {}, "routes": {},
                "releases": {"local/a": {"stable": "0000000000000001"}}}"#,
        )
        .unwrap();
        let release = r#"{"stable": "0000000000000002"}"#.to_owned();
        let changed = [("releases/local/a".to_owned(), Some(release))].into();
        let candidate = Candidate { objects: changed, ..Candidate::default() };
        let both = candidate.beside(&objects).unwrap();
        let release = both.releases.values().next().unwrap();
        let mut versions: Vec<_> = release.versions().map(|id| id.to_string()).collect();
        versions.sort();
        assert_eq!(versions, ["0000000000000001", "0000000000000002"]);
        assert_eq!(
            candidate.over(&objects).unwrap().releases.values().next().unwrap().tags.len(),
            0
        );
    }

    #[test]
    fn a_candidate_is_tried_whole_or_not_at_all() {
        let json = r#"{"path":"/a","function":"local/f"}"#;
        let mut candidate = Candidate::default();
        candidate.objects.insert("routes/a".to_owned(), Some(json.to_owned()));
        let with = candidate.over(&Objects::default()).unwrap();
        assert_eq!(with.routes.len(), 1);
        candidate.objects.insert("routes/b".to_owned(), Some("{}".to_owned()));
        assert!(candidate.over(&Objects::default()).unwrap_err().starts_with("routes/b: missing"));
        let gone = [("routes/a".to_owned(), None)].into();
        let candidate = Candidate { objects: gone, ..Candidate::default() };
        assert!(candidate.over(&with).unwrap().is_empty());
    }
}
