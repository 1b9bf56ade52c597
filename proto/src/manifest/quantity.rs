//! Quantities, counts and choices as fields hold them.

use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeValue;

use super::nearest::{nearest, one_of};
use super::read::{Field, Kind, Report, Text, Wrong, wrong_type};
use crate::catalog::{Network, Protocol};
use crate::name::TenantName;
use crate::units;

/// `"128MiB"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes(pub(super) u64);

impl Text for Bytes {
    const PATTERN: &'static str = r"^[0-9]+\s*(B|KiB|MiB|GiB)$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        units::parse_bytes(text).map(Self).map_err(|error| Wrong::new(error.to_string()))
    }
}

/// `"500m"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuMillis(pub(super) u32);

impl Text for CpuMillis {
    const PATTERN: &'static str = r"^[0-9]+\s*m?$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        units::parse_cpu_millis(text).map(Self).map_err(|error| Wrong::new(error.to_string()))
    }
}

/// `"30s"`, never zero: a clock of zero has run out before it starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(pub(super) Duration);

impl Text for Span {
    const PATTERN: &'static str = r"^[0-9]+\s*(ms|s|m|h)$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match units::parse_duration(text) {
            Ok(Duration::ZERO) => Err(Wrong::new("a duration of zero has passed before it begins")),
            Ok(duration) => Ok(Self(duration)),
            Err(error) => Err(Wrong::new(error.to_string())),
        }
    }
}

impl Text for TenantName {
    const PATTERN: &'static str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        Self::parse(text).map_err(|error| Wrong::new(error.to_string()))
    }
}

/// Any text on one line: a label for people.
#[derive(Clone, Debug)]
pub(super) struct Label(pub(super) String);

impl Text for Label {
    const PATTERN: &'static str = r"\S";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return Err(Wrong::new("a project's name is one line of text"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A whole number of things.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole(pub(super) u64);

impl Kind for Whole {
    fn read(value: &Spanned<DeValue<'_>>, field: &Field, report: &mut Report<'_>) -> Option<Self> {
        let Some(integer) = value.get_ref().as_integer() else {
            return wrong_type(value, field, "a whole number", report);
        };
        match u64::from_str_radix(integer.as_str().trim_start_matches('+'), integer.radix()) {
            Ok(number) => Some(Self(number)),
            Err(_) => {
                let message = format!("`{}` cannot be {integer}", field.name);
                report.wrong_with_help(&value.span(), message, "write a number from 0 up");
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0 })
    }
}

impl Kind for bool {
    fn read(value: &Spanned<DeValue<'_>>, field: &Field, report: &mut Report<'_>) -> Option<Self> {
        match value.get_ref().as_bool() {
            Some(flag) => Some(flag),
            None => wrong_type(value, field, "true or false", report),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// The manifest's word for how a function is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RuntimeWord {
    Node,
    Python,
    Command,
}

impl RuntimeWord {
    /// The word itself.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Python => "python",
            Self::Command => "command",
        }
    }
}

/// A [`Kind`] that is one of a few words.
trait Choice: Copy + 'static {
    const NOUN: &'static str;
    const WORDS: &'static [(&'static str, Self)];
}

impl Choice for RuntimeWord {
    const NOUN: &'static str = "a runtime";
    const WORDS: &'static [(&'static str, Self)] =
        &[("node", Self::Node), ("python", Self::Python), ("command", Self::Command)];
}

impl Choice for Network {
    const NOUN: &'static str = "a network";
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("egress-proxy", Self::EgressProxy), ("open", Self::Open)];
}

impl Choice for Protocol {
    const NOUN: &'static str = "a protocol";
    const WORDS: &'static [(&'static str, Self)] = &[("http1", Self::Http1), ("h2c", Self::H2c)];
}

fn choose<T: Choice>(text: &str) -> Result<T, Wrong> {
    if let Some((_, choice)) = T::WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*choice);
    }
    let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
    let help = match nearest(text, words.iter().copied()) {
        Some(word) => format!("did you mean {word:?}?"),
        None => format!("write {}", one_of(&words)),
    };
    Err(Wrong::with_help(format!("{text:?} is not {}", T::NOUN), help))
}

fn choice_schema<T: Choice>() -> Schema {
    let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
    json_schema!({ "type": "string", "enum": words })
}

macro_rules! text_choice {
    ($name:ident) => {
        impl Text for $name {
            const PATTERN: &'static str = "";

            fn parse(text: &str) -> Result<Self, Wrong> {
                choose(text)
            }

            fn schema() -> Schema {
                choice_schema::<Self>()
            }
        }
    };
}

text_choice!(RuntimeWord);
text_choice!(Network);
text_choice!(Protocol);
