//! Where each object stands below a prefix:
//!
//! ```text
//! /hatchway/v1/functions/TENANT/NAME
//! /hatchway/v1/versions/ID
//! /hatchway/v1/routes/NAME
//! /hatchway/v1/releases/TENANT/NAME
//! /hatchway/v1/nodes/NAME           leased: a node, as it says of itself
//! /hatchway/v1/first/GATEWAY         leased: a change that one gateway serves by before the others
//! /hatchway/v1/allow-empty       while it is there, a catalog without any object is meant
//! ```
//!
//! Beside the prefix stands what those who follow it should not be woken by:
//!
//! ```text
//! /hatchway/v1-history/ID             who changed what, why, and how it was before
//! /hatchway/v1-applied/gateways/NAME  leased: how far a gateway has come, and what it has refused
//! /hatchway/v1-rollouts/plans/TENANT/NAME       what was asked for, and how far it has come
//! /hatchway/v1-rollouts/evidence/TENANT/NAME    what has been made of all counts
//! /hatchway/v1-rollouts/counts/TENANT/NAME/ID   leased: what one gateway has counted, while the rollout runs
//! /hatchway/v1-rollouts/leader/                 leased: the gateway that moves them, and those that would
//! /hatchway/v1-growth/plans/TENANT/NAME         how many sandboxes of a function are meant to be where
//! /hatchway/v1-growth/gateways/ID               leased: what one gateway is asked for, of functions that grow
//! /hatchway/v1-growth/nodes/NAME                leased: what one node has of them, and has room for
//! /hatchway/v1-growth/leader/                   leased: the gateway that plans, and those that would
//! ```

use std::fmt;

use crate::name::{FunctionName, NameError, VersionId};

/// Where objects stand when nobody says otherwise.
pub const DEFAULT_PREFIX: &str = "/hatchway/v1/";

/// The longest name of a route, in bytes: as long as a DNS name.
const ROUTE_NAME_BYTES: usize = 253;

/// Folders and keys below the prefix that hold no objects.
const ASIDE: [&str; 3] = ["changes/", "gateways/", ALLOW_EMPTY];
const NODES: &str = "nodes/";
const FIRST: &str = "first/";
const ALLOW_EMPTY: &str = "allow-empty";

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// What users call.
    Function(FunctionName),
    /// A build of it.
    Version(VersionId),
    /// A host and a path.
    Route(String),
    /// Which version of a function answers.
    Release(FunctionName),
}

/// Why a text is no key of an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The first part says what it is.
    #[error("is no kind of object: it starts with functions/, versions/, routes/ or releases/")]
    Kind,
    /// A function and its release are found by tenant and name.
    #[error("the tenant is missing: TENANT/NAME")]
    NoTenant,
    /// A name in it is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name of a route.
    #[error(
        "{0:?} is not the name of a route: use letters, digits, '-', '_' and '.', at most {ROUTE_NAME_BYTES}"
    )]
    Route(String),
    /// No text at all.
    #[error("is no UTF-8")]
    NoText,
}

impl Key {
    /// Reads the part of a key that follows the prefix: `routes/shop`.
    ///
    /// # Errors
    /// [`KeyError`] says what it should have been.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (kind, name) = text.split_once('/').ok_or(KeyError::Kind)?;
        match kind {
            "functions" => function_name(name).map(Self::Function),
            "versions" => Ok(Self::Version(VersionId::parse(name)?)),
            "routes" if is_route_name(name) => Ok(Self::Route(name.to_owned())),
            "routes" => Err(KeyError::Route(name.to_owned())),
            "releases" => function_name(name).map(Self::Release),
            _ => Err(KeyError::Kind),
        }
    }
}

/// With its tenant: of two ways to write a key, etcd would keep both.
fn function_name(text: &str) -> Result<FunctionName, KeyError> {
    if text.contains('/') { Ok(FunctionName::parse(text)?) } else { Err(KeyError::NoTenant) }
}

fn is_route_name(name: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=ROUTE_NAME_BYTES).contains(&name.len())
        && name.bytes().all(is_inside)
        && !name.starts_with('.')
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(name) => write!(f, "functions/{name}"),
            Self::Version(id) => write!(f, "versions/{id}"),
            Self::Route(name) => write!(f, "routes/{name}"),
            Self::Release(name) => write!(f, "releases/{name}"),
        }
    }
}

/// A prefix, and what stands below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

/// What a key below the prefix is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It holds an object.
    Object(Key),
    /// A node of this name is registered.
    Node(String),
    /// It is for others to read.
    Aside,
    /// It is on trial, at the gateway whose key it is.
    Trial,
    /// The operator's word that an empty catalog is meant.
    AllowEmpty,
}

/// What a prefix must look like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no prefix: it starts with a slash, as in {DEFAULT_PREFIX}")]
pub struct PrefixError(String);

impl Default for Keys {
    fn default() -> Self {
        Self { prefix: DEFAULT_PREFIX.to_owned() }
    }
}

impl std::str::FromStr for Keys {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        if !text.starts_with('/') || text.chars().any(char::is_control) {
            return Err(PrefixError(text.to_owned()));
        }
        Ok(Self { prefix: format!("{}/", text.trim_end_matches('/')) })
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix)
    }
}

impl Keys {
    /// The prefix, which ends with a slash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The whole key of an object.
    pub fn of(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The whole key by which an operator allows that every object goes.
    pub fn allow_empty(&self) -> String {
        format!("{}{ALLOW_EMPTY}", self.prefix)
    }

    /// The whole key of what is on trial at a gateway.
    pub fn first(&self, gateway: &str) -> String {
        format!("{}{FIRST}{gateway}", self.prefix)
    }

    /// The folder of nodes that are registered.
    pub fn nodes(&self) -> String {
        format!("{}{NODES}", self.prefix)
    }

    /// The folder of records of changes.
    pub fn history(&self) -> String {
        self.beside("history/")
    }

    /// The folder of what followers of `kind`, such as `gateways`, say of themselves.
    pub fn applied(&self, kind: &str) -> String {
        self.beside(&format!("applied/{kind}/"))
    }

    /// The folder of what gateways are asked for, where they divide limits among themselves.
    pub fn demand(&self) -> String {
        self.beside("demand/")
    }

    /// A prefix ends with a slash, so that this is not below it.
    fn beside(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix.trim_end_matches('/'))
    }

    /// A folder of what belongs to rollouts: `plans`, `evidence`, `counts` or `leader`.
    pub fn rollouts(&self, folder: &str) -> String {
        self.beside(&format!("rollouts/{folder}/"))
    }

    /// A folder of what belongs to growth: `plans`, `gateways`, `nodes` or `leader`.
    pub fn growth(&self, folder: &str) -> String {
        self.beside(&format!("growth/{folder}/"))
    }

    /// The part that follows the prefix, for people; all of it where it is no text below the prefix.
    pub fn short(&self, key: &[u8]) -> String {
        let short = key.strip_prefix(self.prefix.as_bytes()).unwrap_or(key);
        String::from_utf8_lossy(short).into_owned()
    }

    /// What a whole key is for.
    ///
    /// # Errors
    /// [`KeyError`] when it is for nothing that we know.
    pub fn place(&self, key: &[u8]) -> Result<Place, KeyError> {
        let below = key.strip_prefix(self.prefix.as_bytes()).ok_or(KeyError::Kind)?;
        let below = std::str::from_utf8(below).map_err(|_| KeyError::NoText)?;
        if below == ALLOW_EMPTY {
            Ok(Place::AllowEmpty)
        } else if below.starts_with(FIRST) {
            Ok(Place::Trial)
        } else if let Some(name) = below.strip_prefix(NODES) {
            Ok(Place::Node(name.to_owned()))
        } else if ASIDE.iter().any(|aside| below.starts_with(aside)) {
            Ok(Place::Aside)
        } else {
            Key::parse(below).map(Place::Object)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_what_it_was() {
        let keys: Keys = "/my/place".parse().unwrap();
        assert_eq!(keys.prefix(), "/my/place/");
        for text in
            ["functions/local/a", "versions/0123456789abcdef", "routes/local.a.0", "releases/t/a"]
        {
            let key = Key::parse(text).unwrap();
            assert_eq!(key.to_string(), text);
            assert_eq!(keys.place(keys.of(&key).as_bytes()), Ok(Place::Object(key)));
        }
    }

    #[test]
    fn what_is_no_key_says_why() {
        for (text, why) in [
            ("function/local/a", "no kind"),
            ("functions", "no kind"),
            ("functions/a", "tenant"),
            ("functions/local/A", "not a name"),
            ("functions/local/a/b", "not a name"),
            ("versions/abc", "not a version"),
            ("routes/", "not the name"),
            ("routes/../x", "not the name"),
            ("routes/a b", "not the name"),
            ("releases//a", "empty"),
        ] {
            let error = Key::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn what_belongs_to_others_is_told_apart() {
        let keys = Keys::default();
        assert_eq!(keys.place(b"/hatchway/v1/nodes/n1"), Ok(Place::Node("n1".to_owned())));
        assert_eq!(keys.place(b"/hatchway/v1/gateways/g1"), Ok(Place::Aside));
        assert_eq!(keys.place(keys.first("gw-1").as_bytes()), Ok(Place::Trial));
        for beside in [keys.history(), keys.applied("gateways"), keys.demand()] {
            assert!(!beside.starts_with(keys.prefix()), "{beside}");
        }
        assert_eq!(keys.place(keys.allow_empty().as_bytes()), Ok(Place::AllowEmpty));
        assert_eq!(keys.place(b"/hatchway/v1/routes/\xff"), Err(KeyError::NoText));
        assert_eq!(keys.place(b"/elsewhere/routes/a"), Err(KeyError::Kind));
        assert_eq!(keys.short(b"/hatchway/v1/routes/a"), "routes/a");
    }

    #[test]
    fn a_prefix_starts_with_a_slash() {
        assert!("hatchway".parse::<Keys>().is_err());
        assert_eq!("/".parse::<Keys>().unwrap().prefix(), "/");
    }
}
