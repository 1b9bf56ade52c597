//! Which version of a function answers a request: the one that its tag names, else that of the first rule that holds, else
//! that of its bucket.
//!
//! **Buckets.** A client's key falls into one of 10,000 buckets, by a hash that is the same on every machine and in every
//! build. The first share takes buckets from the lowest up, the second from the highest down, stable has what is
//! between. So while a share grows it only takes from stable, and a client that has come to it stays with it: 1, 5,
//! 50, 100 % are nested sets. No layout that follows from the shares alone can do this for three: with all but one
//! bucket given to the first, that bucket would have to be the second's first and the third's first at once. From the third on
//! shares follow the first, and move while it grows.

use std::ops::Deref;
use std::sync::Arc;

use hatchway_proto::catalog::{self, BASIS_POINTS, Release, Share, Sticky, Version};
use hatchway_proto::name::{FunctionName, VersionId};

use super::{Asked, Filters, Matcher};
use crate::answer::CallError;
use crate::catalog::ReleaseTarget;
use crate::mirror::{Mirror, MirrorTo};
use crate::spread::spread;

/// The field by which a request asks for a version by its tag.
pub const TAG_FIELD: &str = "x-hatchway-tag";

/// The versions of one function, and who gets which.
#[derive(Clone, Debug)]
pub struct Releases {
    targets: Targets,
    /// None where the first version answers everybody and nothing else is said: most functions have no more than that.
    more: Option<Box<More>>,
}

/// At least one; one alone is no pointer away.
#[derive(Clone, Debug)]
enum Targets {
    One([ReleaseTarget; 1]),
    Many(Box<[ReleaseTarget]>),
}

impl From<Vec<ReleaseTarget>> for Targets {
    fn from(all: Vec<ReleaseTarget>) -> Self {
        <[ReleaseTarget; 1]>::try_from(all).map_or_else(|all| Self::Many(all.into()), Self::One)
    }
}

impl Deref for Targets {
    type Target = [ReleaseTarget];

    fn deref(&self) -> &[ReleaseTarget] {
        match self {
            Self::One(one) => one,
            Self::Many(all) => all,
        }
    }
}

/// What a release says beside its stable version.
#[derive(Clone, Debug)]
struct More {
    split: Split,
    rules: Box<[Rule]>,
    sticky: Option<Sticky>,
    tags: Box<[(Box<str>, usize)]>,
    lanes: Box<[(Box<str>, usize)]>,
    mirror: Option<Mirror>,
}

/// A compiled rule.
#[derive(Clone, Debug)]
struct Rule {
    when: Matcher,
    split: Split,
    filters: Option<Arc<Filters>>,
    lane: Option<Box<str>>,
    mirror: Option<Mirror>,
}

/// Buckets that do not belong to stable: up to which bucket, and whose. The last ones are counted from the end.
#[derive(Clone, Debug, Default)]
struct Split {
    from_below: Box<[(u16, usize)]>,
    from_above: Option<(u16, usize)>,
}

/// A version, and why it answers.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'r> {
    /// Who answers.
    pub target: &'r ReleaseTarget,
    /// What led to it.
    pub because: Because<'r>,
    /// What the rule does with the request.
    pub filters: Option<&'r Arc<Filters>>,
    /// Who gets a copy.
    pub mirror: Option<&'r Mirror>,
    /// The lane that the request is in from now on.
    pub lane: Option<&'r str>,
}

/// What led to a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because<'r> {
    /// There is no other.
    Only,
    /// The request names its tag.
    Tag(&'r str),
    /// It serves the lane.
    Lane(&'r str),
    /// The bucket, of the shares of rule `rule` or of all, and whether the client comes back to it.
    Bucket {
        /// Counted from 0; none for the shares of everybody.
        rule: Option<usize>,
        /// 0..10000.
        bucket: u16,
        /// Made from what the client is known by, not drawn.
        is_sticky: bool,
    },
}

impl Releases {
    /// Compiles a release whose versions are known.
    ///
    /// # Errors
    /// What is wrong with it: a version that is not there or is another function's, a mistake.
    pub fn new<'v>(
        function: &FunctionName,
        release: &Release,
        version: impl Fn(&VersionId) -> Option<&'v Version>,
    ) -> Result<Self, String> {
        if let Some(mistake) = release.mistakes_of(Some(function)).first() {
            return Err(mistake.to_string());
        }
        let target = |id: VersionId| -> Result<ReleaseTarget, String> {
            let version = version(&id).ok_or_else(|| format!("there is no version {id}"))?;
            if version.function != *function {
                return Err(format!("version {id} is one of {}", version.function));
            }
            Ok(ReleaseTarget {
                function: function.clone(),
                version: id,
                run_clock: version.clocks.run,
                has_assets: version.assets.is_some(),
                tally: None,
            })
        };
        let mut targets = Vec::new();
        let mut index = |id: VersionId| -> Result<usize, String> {
            let known = targets.iter().position(|known: &ReleaseTarget| known.version == id);
            if let Some(known) = known {
                return Ok(known);
            }
            targets.push(target(id)?);
            Ok(targets.len() - 1)
        };
        let mirror = |written: &Option<catalog::Mirror>| -> Result<Option<Mirror>, String> {
            let Some(written) = written else { return Ok(None) };
            let to = match (&written.version, &written.function) {
                (Some(id), _) => MirrorTo::Version(target(*id)?),
                (None, Some(function)) => MirrorTo::Function(function.clone()),
                (None, None) => return Err("mirror: leads nowhere".to_owned()),
            };
            let max_body_bytes = written.max_body_bytes as usize;
            Ok(Some(Mirror { to, basis_points: written.basis_points, max_body_bytes }))
        };
        // Stable comes first: it is who answers where nobody else does.
        index(release.stable)?;
        let split = Split::new(&release.shares, &mut index)?;
        let rules = release.rules.iter();
        let rules = rules.map(|rule| {
            let (when, filters) = (Matcher::new(&rule.when)?, Filters::new(&rule.filters));
            let (split, mirror) = (Split::new(&rule.shares, &mut index)?, mirror(&rule.mirror)?);
            let lane = rule.lane.as_deref().map(Into::into);
            Ok(Rule { when, split, filters, lane, mirror })
        });
        let rules = rules.collect::<Result<_, String>>()?;
        let tags = release.tags.iter().map(|(tag, id)| Ok((tag.as_str().into(), index(*id)?)));
        let tags = tags.collect::<Result<_, String>>()?;
        let lanes = release.lanes.iter().map(|(lane, id)| Ok((lane.as_str().into(), index(*id)?)));
        let lanes = lanes.collect::<Result<_, String>>()?;
        let (sticky, mirror) = (Option::clone(&release.sticky), mirror(&release.mirror)?);
        let more = More { split, rules, sticky, tags, lanes, mirror };
        let more = (*release != Release::of(release.stable)).then(|| Box::new(more));
        Ok(Self { targets: targets.into(), more })
    }

    /// Counts what each version does where there are several, and goes on from what `before` has counted.
    #[must_use]
    pub fn counted(mut self, before: Option<&Self>) -> Self {
        if let Targets::Many(targets) = &mut self.targets {
            for target in targets {
                let before = before.and_then(|before| before.target(&target.version));
                let tally = before.and_then(|before| before.tally.clone());
                target.tally = Some(tally.unwrap_or_default());
            }
        }
        self
    }

    /// A version that it may choose.
    pub fn target(&self, version: &VersionId) -> Option<&ReleaseTarget> {
        self.targets.iter().find(|target| target.version == *version)
    }

    /// The version that serves everybody else.
    pub fn stable(&self) -> &ReleaseTarget {
        &self.targets[0]
    }

    /// Every version that it may choose, stable first.
    pub fn targets(&self) -> &[ReleaseTarget] {
        &self.targets
    }

    /// True when it has versions for lanes, or puts requests into one.
    pub fn knows_lanes(&self) -> bool {
        let knows = |more: &More| {
            !more.lanes.is_empty() || more.rules.iter().any(|rule| rule.lane.is_some())
        };
        self.more.as_deref().is_some_and(knows)
    }

    /// The version of a lane, where it has one.
    fn of_lane<'r>(&'r self, more: &'r More, lane: Option<&'r str>) -> Option<Chosen<'r>> {
        let (name, index) = more.lanes.iter().find(|(name, _)| Some(&**name) == lane)?;
        let because = Because::Lane(name);
        let (target, mirror) = (&self.targets[*index], more.mirror.as_ref());
        Some(Chosen { target, because, filters: None, mirror, lane })
    }

    /// The version that answers a request. `tag` is what its host asks for, `lane` the lane that it is in; `draw` gives any
    /// number.
    ///
    /// # Errors
    /// [`CallError::NoTag`] when it asks for a tag that is not there.
    pub fn choose<'r>(
        &'r self,
        asked: Asked<'_>,
        (tag, lane): (Option<&str>, Option<&'r str>),
        draw: impl FnOnce() -> u64,
    ) -> Result<Chosen<'r>, CallError> {
        let Some(more) = self.more.as_deref() else {
            let because = Because::Only;
            let chosen =
                Chosen { target: self.stable(), because, filters: None, mirror: None, lane };
            return if tag.is_none() { Ok(chosen) } else { Err(CallError::NoTag) };
        };
        let tag = match tag {
            None if more.tags.is_empty() => None,
            None => asked.headers(TAG_FIELD).next(),
            Some(tag) => Some(tag),
        };
        if let Some(tag) = tag {
            let known = more.tags.iter().find(|(known, _)| known.eq_ignore_ascii_case(tag));
            let (tag, index) = known.ok_or(CallError::NoTag)?;
            let (target, because) = (&self.targets[*index], Because::Tag(tag));
            return Ok(Chosen { target, because, filters: None, mirror: None, lane });
        }
        if self.targets.len() == 1 && more.rules.is_empty() {
            let (target, mirror) = (self.stable(), more.mirror.as_ref());
            return Ok(Chosen { target, because: Because::Only, filters: None, mirror, lane });
        }
        if let Some(chosen) = self.of_lane(more, lane) {
            return Ok(chosen);
        }
        let rule = more.rules.iter().position(|rule| rule.when.holds(asked));
        let compiled = rule.map(|rule| &more.rules[rule]);
        let lane = lane.or(compiled.and_then(|rule| rule.lane.as_deref()));
        if let Some(chosen) = self.of_lane(more, lane) {
            let filters = compiled.and_then(|rule| rule.filters.as_ref());
            return Ok(Chosen { filters, ..chosen });
        }
        let split = compiled.map_or(&more.split, |rule| &rule.split);
        let key = self.key_bucket(more.sticky.as_ref(), asked);
        let bucket = key.unwrap_or_else(|| reduce(draw()));
        let because = Because::Bucket { rule, bucket, is_sticky: key.is_some() };
        let filters = compiled.and_then(|rule| rule.filters.as_ref());
        let mirror = compiled.and_then(|rule| rule.mirror.as_ref()).or(more.mirror.as_ref());
        Ok(Chosen { target: &self.targets[split.target(bucket)], because, filters, mirror, lane })
    }

    /// The bucket of the client, when it says what it is known by.
    fn key_bucket(&self, sticky: Option<&Sticky>, asked: Asked<'_>) -> Option<u16> {
        let function = &self.targets[0].function;
        match sticky? {
            Sticky::Header(name) => asked.headers(name).next().map(|key| bucket(function, key)),
            Sticky::Cookie(name) => asked.cookies(name).next().map(|key| bucket(function, key)),
            Sticky::Query(name) => asked.query(name).next().map(|key| bucket(function, &key)),
            Sticky::Address => {
                asked.client.map(|client| bucket(function, &client.to_canonical().to_string()))
            }
        }
    }
}

impl Split {
    fn new(
        shares: &[Share],
        mut index: impl FnMut(VersionId) -> Result<usize, String>,
    ) -> Result<Self, String> {
        let mut split = Self::default();
        let (mut below, mut end) = (Vec::new(), 0);
        for (place, share) in shares.iter().enumerate() {
            let target = index(share.version)?;
            if place == 1 {
                split.from_above = Some((BASIS_POINTS - share.basis_points, target));
            } else {
                end += share.basis_points;
                below.push((end, target));
            }
        }
        split.from_below = below.into();
        Ok(split)
    }

    /// 0 is stable.
    fn target(&self, bucket: u16) -> usize {
        let below = self.from_below.iter().find(|(end, _)| bucket < *end);
        let above = self.from_above.filter(|(start, _)| bucket >= *start);
        below.copied().or(above).map_or(0, |(_, target)| target)
    }
}

/// The bucket of a key, of its own for each function.
fn bucket(function: &FunctionName, key: &str) -> u16 {
    reduce(spread([function.as_str(), key]))
}

/// Any number to a bucket, without a bias that could be seen (Lemire 2019).
fn reduce(number: u64) -> u16 {
    let bucket = (u128::from(number) * u128::from(BASIS_POINTS)) >> 64;
    u16::try_from(bucket).expect("it is less than the number of buckets")
}

#[cfg(test)]
mod layout;

#[cfg(test)]
mod tests;
