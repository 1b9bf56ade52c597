//! Names that travel: parsed once at the edge, then carried as types.
//!
//! A tenant and a function are DNS labels (RFC 1123 section 2.1: letters, digits, hyphens, at most
//! 63 bytes), lower case, so that a name is safe in a host, a path, a metric and a file name without
//! any escaping.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest DNS label.
const LABEL_BYTES: usize = 63;

/// Bytes of a [`VersionId`] in text: 16 hex digits, enough that two versions of one function never meet.
pub const VERSION_ID_LEN: usize = 16;

/// What a name must look like, and what it looked like instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing stood where a name belongs.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than a DNS label.
    #[error("{text:?} is {} bytes long, a name has at most {LABEL_BYTES}", text.len())]
    TooLong {
        /// The text as given.
        text: String,
    },
    /// A byte outside `a-z`, `0-9`, `-`, or a hyphen at an end.
    #[error("{text:?} is not a name: use a-z, 0-9 and hyphens inside, for example {suggestion:?}")]
    NotALabel {
        /// The text as given.
        text: String,
        /// The nearest text that would be a name.
        suggestion: String,
    },
    /// Not a version id.
    #[error("{text:?} is not a version: it has {VERSION_ID_LEN} digits of 0-9 and a-f")]
    NotAVersion {
        /// The text as given.
        text: String,
    },
}

fn check_label(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > LABEL_BYTES {
        return Err(NameError::TooLong { text: text.to_owned() });
    }
    let is_inside = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    if !text.as_bytes().iter().all(is_inside) || text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::NotALabel {
            text: text.to_owned(),
            suggestion: nearest_label(text),
        });
    }
    Ok(())
}

/// Turns any text into the label a person most likely meant: `My_Shop!` becomes `my-shop`.
fn nearest_label(text: &str) -> String {
    let mapped: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let label = mapped.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if label.is_empty() { "my-function".to_owned() } else { label }
}

macro_rules! label_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads a name.
            ///
            /// # Errors
            /// [`NameError`] says what is wrong and, where it can, what was meant.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check_label(text)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl_text!($name);
    };
}

macro_rules! impl_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                String::json_schema(generator)
            }
        }
    };
}

label_type! {
    /// Who owns functions; the boundary that isolation is drawn along.
    TenantName
}

label_type! {
    /// A gateway's or a node's name for a machine that runs sandboxes.
    NodeId
}

impl TenantName {
    /// The tenant of a project that names none.
    pub fn local() -> Self {
        Self("local".into())
    }
}

/// `tenant/name`: what a user deploys and calls.
#[derive(Clone, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionName(Arc<str>);

/// A catalog has one allocation for a name and all that leads to it: where it is the same, nobody reads it.
impl PartialEq for FunctionName {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Hash for FunctionName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl FunctionName {
    /// Joins a tenant and a name that are checked already.
    ///
    /// # Errors
    /// [`NameError`] when `name` is no label.
    pub fn new(tenant: &TenantName, name: &str) -> Result<Self, NameError> {
        check_label(name)?;
        Ok(Self(format!("{tenant}/{name}").into()))
    }

    /// Reads `tenant/name`; a bare `name` belongs to [`TenantName::local`].
    ///
    /// # Errors
    /// [`NameError`] of the half that is wrong.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.split_once('/') {
            Some((tenant, name)) => Self::new(&TenantName::parse(tenant)?, name),
            None => Self::new(&TenantName::local(), text),
        }
    }

    /// The part before the slash.
    pub fn tenant(&self) -> &str {
        self.halves().0
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.halves().1
    }

    fn halves(&self) -> (&str, &str) {
        self.0.split_once('/').expect("it was made with a slash")
    }

    /// `tenant/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl_text!(FunctionName);

/// One immutable build of a function: the first digits of the SHA-256 over its spec and its package.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionId([u8; VERSION_ID_LEN]);

impl VersionId {
    /// The id of a version whose spec and package hash to `digest` (SHA-256).
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; VERSION_ID_LEN];
        for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Self(text)
    }

    /// Reads 16 lower-case hex digits.
    ///
    /// # Errors
    /// [`NameError::NotAVersion`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        <[u8; VERSION_ID_LEN]>::try_from(text.as_bytes())
            .ok()
            .filter(|bytes| bytes.iter().all(is_hex))
            .map(Self)
            .ok_or_else(|| NameError::NotAVersion { text: text.to_owned() })
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a version id holds hex digits only")
    }
}

impl_text!(VersionId);

/// One isolated process of one version, numbered within a node's life.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct SandboxId(pub u64);

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sb-{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_lower_case_dns_label_and_nothing_else() {
        for good in ["a", "shop", "shop-2", "0", &"x".repeat(63)] {
            assert!(TenantName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "..", "é", &"x".repeat(64)] {
            assert!(TenantName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_one_that_was_meant() {
        let error = TenantName::parse("My_Shop!").unwrap_err();
        assert!(error.to_string().contains("\"my-shop\""), "{error}");
    }

    #[test]
    fn a_function_without_tenant_is_local() {
        let name = FunctionName::parse("shop").unwrap();
        assert_eq!((name.tenant(), name.name(), name.as_str()), ("local", "shop", "local/shop"));
        assert_eq!(FunctionName::parse("a/b").unwrap().tenant(), "a");
        assert!(FunctionName::parse("a/b/c").is_err());
    }

    #[test]
    fn a_version_id_is_the_head_of_its_digest() {
        let id = VersionId::from_digest(&[0xab; 32]);
        assert_eq!(id.as_str(), "abababababababab");
        assert_eq!(VersionId::parse(id.as_str()), Ok(id));
        assert!(VersionId::parse("ABABABABABABABAB").is_err());
    }
}
