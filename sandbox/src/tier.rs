//! How warm a start was.

use serde::{Deserialize, Serialize};

/// What a sandbox was started from, coldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Nothing: its isolation was made for it.
    Fresh,
    /// A parked nest, isolated in advance.
    Nest,
    /// A stem cell: a runtime that had booted in advance, and then loaded its code.
    Stem,
    /// A zygote: a process that had loaded its code in advance.
    Fork,
}

impl Tier {
    /// The name used in labels and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Nest => "nest",
            Self::Stem => "stem",
            Self::Fork => "fork",
        }
    }
}
