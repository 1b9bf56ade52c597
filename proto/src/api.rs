//! What the admin API of a gateway is asked and answers, as JSON: `gateway/openapi.json` is made of these types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::check::Mistake;
use crate::catalog::{Difference, Objects, Release};
use crate::name::{FunctionName, VersionId};
use crate::rollout::{Evidence, Rollout};

/// Why something was not done (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// `about:blank`: the status says what kind it is.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// The status in words.
    #[serde(default)]
    pub title: String,
    /// The status.
    #[serde(default)]
    pub status: u16,
    /// What is wrong, and what would be right.
    #[serde(default)]
    pub detail: String,
    /// The same, field by field, where single fields are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<Mistake>,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

impl Default for Problem {
    fn default() -> Self {
        let (title, detail, mistakes) = (String::new(), String::new(), Vec::new());
        Self { kind: about_blank(), title, status: 0, detail, mistakes }
    }
}

/// All rules, as they were read at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rules {
    /// The source's count of changes at that moment: a change that was thought out by them says it as `at`.
    pub revision: i64,
    /// Every good object.
    pub objects: Objects,
}

/// A part of the objects of one kind, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Listed<T> {
    /// The source's count of changes.
    pub revision: i64,
    /// By name.
    pub objects: BTreeMap<String, T>,
    /// There are more: what to say as `after` to get them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One object of a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectChange {
    /// `functions/TENANT/NAME`, `versions/ID`, `routes/NAME` or `releases/TENANT/NAME`.
    pub key: String,
    /// As it is to be; null where it is to go.
    pub object: Option<serde_json::Value>,
}

/// Objects to be changed together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// In an order in which nothing is named before it is there.
    pub changes: Vec<ObjectChange>,
    /// The revision of the rules by which this was thought out: an object that has changed since is not overwritten.
    pub at: i64,
}

/// What has come of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Changed {
    /// Objects that were written or deleted; those that were so already are not counted.
    pub written: usize,
    /// The source's count of changes that has all of it.
    pub revision: i64,
    /// Gateways that serve by it, where they were waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateways: Option<usize>,
    /// What it was about.
    pub objects: Vec<String>,
    /// What an operator should hear of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Makes the rules, or one object of them, what they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// What this revision left is made so again.
    pub revision: i64,
    /// Only this object, by its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}

/// How the rules differ between two revisions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Diff {
    /// By key.
    pub objects: BTreeMap<String, Vec<Difference>>,
}

/// A lane: which versions serve it, and which routes put requests into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Lane {
    /// By function.
    pub versions: BTreeMap<FunctionName, VersionId>,
    /// Routes whose requests are in it.
    pub routes: Vec<String>,
    /// Functions whose releases have rules that put requests into it.
    pub releases: Vec<FunctionName>,
}

/// Lanes by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Lanes {
    /// All that a route, a rule or a release names.
    pub lanes: BTreeMap<String, Lane>,
}

/// A rollout, and what it is judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RolloutTold {
    /// Whose versions.
    pub function: FunctionName,
    /// What was asked for, and how far it has come.
    pub rollout: Rollout,
    /// What has been made of all counts; none before anything was seen.
    pub evidence: Option<Evidence>,
    /// As it is now.
    pub release: Option<Release>,
    /// Gateways that count for it.
    pub gateways: usize,
}

/// What a rollout does now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RolloutPhase {
    /// In a word or two.
    pub phase: String,
}

/// What a change would do to the requests of now: those of which a gateway has kept the heads, decided once more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rehearsal {
    /// Heads that were decided.
    pub heads: usize,
    /// Requests that they stand for.
    pub requests: u64,
    /// The oldest of them came so long ago.
    pub seconds: u64,
    /// Requests that would go elsewhere.
    pub moved: u64,
    /// The same of a hundred.
    pub percent: f64,
    /// From where to where, the largest first.
    pub moves: Vec<Moved>,
    /// Kinds of moves beyond those.
    pub more_moves: usize,
    /// What this gateway would refuse of the change.
    pub refused: Vec<Mistake>,
}

/// Requests that would go elsewhere, all from the same place to the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Moved {
    /// The route that they take; none where there is none.
    pub route_before: Option<String>,
    /// The route that they would take.
    pub route_after: Option<String>,
    /// What answers them: a function and its version, a redirect, or why nobody does.
    pub before: String,
    /// What would.
    pub after: String,
    /// How many they are.
    pub requests: u64,
    /// The same of a hundred.
    pub percent: f64,
    /// One of them: method, host and path.
    pub example: String,
}
