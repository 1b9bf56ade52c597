//! A change of a release, from what a person typed to objects: pure.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hatchway_proto::catalog::{BASIS_POINTS, Objects, Release, Share, Sticky};
use hatchway_proto::name::{FunctionName, VersionId};

/// A version as it is typed: its first digits, or `new`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VersionArg(String);

/// `VERSION=5%`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weighted(VersionArg, Percent);

/// `TAG=VERSION`, or `TAG=`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tagged(String, Option<VersionArg>);

/// `header:NAME`, `cookie:NAME`, `query:NAME`, `address` or `none`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StickyBy(Option<Sticky>);

/// Basis points that people read and write as a percentage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percent(pub(crate) u16);

impl FromStr for VersionArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_prefix =
            !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text == "new" || is_prefix {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is neither the first digits of a version nor the word new"))
        }
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no share: write 5% or 0.25%, up to 100%");
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || part.len() > 2 || !is_digits(whole) || !is_digits(part) {
            return Err(wrong());
        }
        let hundredths = format!("{whole}{part:0<2}").parse().map_err(|_| wrong())?;
        if hundredths > BASIS_POINTS { Err(wrong()) } else { Ok(Self(hundredths)) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match part {
            0 => write!(f, "{whole}%"),
            _ => write!(f, "{whole}.{part:02}%"),
        }
    }
}

impl FromStr for Weighted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=');
        let (version, share) = parts.ok_or_else(|| format!("{text:?} is not VERSION=PERCENT"))?;
        Ok(Self(version.parse()?, share.parse()?))
    }
}

impl FromStr for Tagged {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=');
        let (tag, version) = parts.ok_or_else(|| format!("{text:?} is not TAG=VERSION"))?;
        let version = (!version.is_empty()).then(|| version.parse()).transpose()?;
        Ok(Self(tag.to_owned(), version))
    }
}

impl FromStr for StickyBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sticky = match text.split_once(':') {
            Some(("header", name)) => Some(Sticky::Header(name.to_ascii_lowercase())),
            Some(("cookie", name)) => Some(Sticky::Cookie(name.to_owned())),
            Some(("query", name)) => Some(Sticky::Query(name.to_owned())),
            None if text == "address" => Some(Sticky::Address),
            None if text == "none" => None,
            Some(_) | None => {
                return Err(format!(
                    "{text:?} is no key: write header:NAME, cookie:NAME, query:NAME, address or none"
                ));
            }
        };
        Ok(Self(sticky))
    }
}

/// Everything that was asked for at once.
#[derive(Debug)]
pub(super) struct Edit<'a> {
    pub(super) function: &'a FunctionName,
    pub(super) added: Option<VersionId>,
    pub(super) stable: Option<&'a VersionArg>,
    pub(super) shares: &'a [Weighted],
    pub(super) no_shares: bool,
    pub(super) sticky: Option<&'a StickyBy>,
    pub(super) tags: &'a [Tagged],
}

impl Edit<'_> {
    /// Changes the release, or says why not; the objects are as they were then.
    pub(super) fn apply(&self, objects: &mut Objects) -> Result<(), String> {
        let Some(before) = objects.releases.get(self.function) else {
            return Err(format!("the catalog has no release of {}", self.function));
        };
        let mut release = Release::clone(before);
        if let Some(stable) = self.stable {
            release.stable = self.find(objects, stable)?;
            release.shares.retain(|share| share.version != release.stable);
        }
        if self.no_shares {
            release.shares.clear();
        }
        if !self.shares.is_empty() {
            release.shares = self.shares(objects)?.into();
        }
        if let Some(StickyBy(sticky)) = self.sticky {
            release.sticky = sticky.clone().into();
        }
        for Tagged(tag, version) in self.tags {
            match version {
                Some(version) => {
                    release.tags.insert(tag.clone(), self.find(objects, version)?);
                }
                None => {
                    release.tags.remove(tag);
                }
            }
        }
        if let Some(mistake) = release.mistakes().first() {
            return Err(mistake.to_string());
        }
        objects.releases.insert(self.function.clone(), Arc::new(release));
        Ok(())
    }

    fn shares(&self, objects: &Objects) -> Result<Vec<Share>, String> {
        let share = |Weighted(version, percent): &Weighted| {
            Ok(Share { version: self.find(objects, version)?, basis_points: percent.0 })
        };
        self.shares.iter().map(share).collect()
    }

    fn find(&self, objects: &Objects, typed: &VersionArg) -> Result<VersionId, String> {
        typed.find(objects, self.function, self.added)
    }
}

impl VersionArg {
    /// The one version of a function that is meant; `added` is what `new` means.
    pub(crate) fn find(
        &self,
        objects: &Objects,
        function: &FunctionName,
        added: Option<VersionId>,
    ) -> Result<VersionId, String> {
        let Self(typed) = self;
        if typed == "new" {
            return added.ok_or_else(|| "new is the version that --add adds".to_owned());
        }
        let of_function =
            objects.versions.iter().filter(|(_, version)| version.function == *function);
        let mut found = of_function.filter(|(id, _)| id.as_str().starts_with(typed));
        match (found.next(), found.next()) {
            (Some((id, _)), None) => Ok(*id),
            (Some((one, _)), Some((other, _))) => {
                Err(format!("{typed} may be {one} or {other}: write more of it"))
            }
            (None, _) => Err(format!("{function} has no version that begins with {typed}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_written_as_percentages() {
        for (text, basis_points) in
            [("5%", 500), ("0.25%", 25), ("0.5%", 50), ("100%", 10_000), ("12.34%", 1234)]
        {
            let percent: Percent = text.parse().unwrap();
            assert_eq!(percent, Percent(basis_points), "{text}");
            assert_eq!(percent.to_string().parse::<Percent>(), Ok(percent));
        }
        for text in ["5", "%", "-1%", "101%", "0.125%", "1e2%", ".5%", "99999999999%"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }

    #[test]
    fn keys_of_stickiness_are_words() {
        let by = |text: &str| text.parse::<StickyBy>().map(|by| by.0);
        assert_eq!(by("header:X-User"), Ok(Some(Sticky::Header("x-user".into()))));
        assert_eq!(by("cookie:Sid"), Ok(Some(Sticky::Cookie("Sid".into()))));
        assert_eq!((by("address"), by("none")), (Ok(Some(Sticky::Address)), Ok(None)));
        assert!(by("user").is_err() && by("body:x").is_err());
    }
}
