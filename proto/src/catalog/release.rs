//! Which version of a function answers: everybody's, a growing share's, or that of those who match a rule.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Conditions, Degrade, Filters, Mirror};
use crate::name::VersionId;
use crate::seldom::Seldom;

/// A share of everybody: 10,000 basis points.
pub const BASIS_POINTS: u16 = 10_000;

/// Which version answers: that of the tag that a request names, else of the first rule that holds, else by the shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The version that serves everybody whom no share, rule or tag gives to another.
    pub stable: VersionId,
    /// Versions that serve a part. While the first two grow, they only take from stable, and who has come to one of
    /// them stays.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub shares: Seldom<Vec<Share>>,
    /// Looked at in this order before the shares.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub rules: Seldom<Vec<Rule>>,
    /// What makes a client the same client the next time; without it every request draws anew.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub sticky: Seldom<Option<Sticky>>,
    /// Versions to be tried before they serve anybody, each by a name: `TAG--HOST`, or the field `x-hatchway-tag`.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub tags: Seldom<BTreeMap<String, VersionId>>,
    /// The version that serves a lane, by the lane's name. A lane without one is served as everybody is, and its requests
    /// stay in it: the lane travels with the call in `baggage`.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub lanes: Seldom<BTreeMap<String, VersionId>>,
    /// What takes the place of failures, before what the function has for them.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub degrade: Seldom<Vec<Degrade>>,
    /// Copies of requests, but for those that a tag leads and those of a rule with a mirror of its own.
    #[serde(default, skip_serializing_if = "Seldom::is_blank")]
    pub mirror: Seldom<Option<Mirror>>,
}

/// A part of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Who answers them.
    pub version: VersionId,
    /// Hundredths of a percent, 0..=10000.
    pub basis_points: u16,
}

/// A choice of its own for some requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests.
    pub when: Conditions,
    /// Who answers them; what is left goes to stable.
    pub shares: Vec<Share>,
    /// What is done with them, after what their route does; where both say where to go, the rule is heard.
    #[serde(default, skip_serializing_if = "Filters::is_empty")]
    pub filters: Filters,
    /// The lane of those that are in none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// Copies of them, in the place of what the release says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
}

/// What a client is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Sticky {
    /// The value of this header field.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The value of this query parameter.
    Query(String),
    /// The client's address.
    Address,
}

impl Release {
    /// Everybody is served by one version.
    pub fn of(stable: VersionId) -> Self {
        Self {
            stable,
            shares: Seldom::default(),
            rules: Seldom::default(),
            sticky: Seldom::default(),
            tags: Seldom::default(),
            lanes: Seldom::default(),
            degrade: Seldom::default(),
            mirror: Seldom::default(),
        }
    }

    /// Every version that it may choose; some may come twice.
    pub fn versions(&self) -> impl Iterator<Item = VersionId> {
        let shares = self.rules.iter().flat_map(|rule| &rule.shares).chain(&self.shares);
        let shares = shares.map(|share| share.version);
        let mirrors = self.rules.iter().filter_map(|rule| rule.mirror.as_ref()).chain(&self.mirror);
        let mirrors = mirrors.filter_map(|mirror| mirror.version);
        let tags = self.tags.values().chain(self.lanes.values()).copied();
        std::iter::once(self.stable).chain(shares).chain(tags).chain(mirrors)
    }
}
