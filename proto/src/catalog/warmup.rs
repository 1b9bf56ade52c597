//! What a version is asked before it serves: requests that load what only requests load.

use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// A path, with its query where it has one, that a process asks of its own code by GET once that is loaded and before it
/// is forked: every fork then has what the request loads and what was compiled for it. The code has to do nothing for it
/// that it may not do more than once, or that belongs to a caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Warmup(Box<str>);

impl Warmup {
    /// The longest list.
    pub const MOST: usize = 8;
    /// The longest path, in bytes.
    pub const MAX_BYTES: usize = 512;
    /// As JSON schemas describe it.
    pub const PATTERN: &'static str = "^/[!\"$-~]{0,511}$";

    /// As a request line has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Warmup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("{text:?} is no path: write it from its `/` on, without a host"));
        }
        if text.len() > Self::MAX_BYTES {
            return Err(format!("a path of {} bytes, at most {} fit", text.len(), Self::MAX_BYTES));
        }
        // What a request line may hold of a URI (RFC 9112 section 3.2.1): no fragment, nothing to be encoded.
        match text.chars().find(|c| !c.is_ascii_graphic() || *c == '#') {
            Some(odd) => Err(format!("a path cannot hold {odd:?}")),
            None => Ok(Self(text.into())),
        }
    }
}

impl<'de> Deserialize<'de> for Warmup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Warmup {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Warmup".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_a_request_line_can_hold() {
        for good in ["/", "/products?limit=3", "/a%20b"] {
            assert_eq!(good.parse::<Warmup>().expect(good).as_str(), good);
        }
        let long = format!("/{}", "a".repeat(Warmup::MAX_BYTES));
        for bad in ["", "products", "http://a/", "/a b", "/a\r\nx: y", "/ä", "/a#b", &long] {
            assert!(bad.parse::<Warmup>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Warmup>("\"products\"").is_err());
    }
}
