//! The environment that a manifest gives its function.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeValue;

use super::read::{Field, Kind, Report, wrong_type};

/// `{ GREETING = "hi" }`.
#[derive(Clone, Debug, Default)]
pub(super) struct Env(pub(super) BTreeMap<String, String>);

impl Kind for Env {
    fn read(value: &Spanned<DeValue<'_>>, field: &Field, report: &mut Report<'_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            return wrong_type(value, field, "a table of names and texts", report);
        };
        let mut env = BTreeMap::new();
        for (key, value) in table {
            check_name(key, report);
            match value.get_ref() {
                DeValue::String(text) if text.contains('\0') => {
                    report.wrong(&value.span(), "an environment variable cannot hold a zero byte");
                }
                DeValue::String(text) => {
                    env.insert(key.get_ref().clone().into_owned(), text.clone().into_owned());
                }
                other => {
                    let written = report.source.at(value.span(), "").place.map(|place| place.text);
                    report.wrong_with_help(
                        &value.span(),
                        format!("an environment variable is a string, not {}", other.type_str()),
                        format!("write {:?}", written.unwrap_or_default()),
                    );
                }
            }
        }
        Some(Self(env))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "not": { "pattern": "^(HATCHWAY_|PORT$)" } },
            "additionalProperties": { "type": "string" },
        })
    }
}

fn check_name(key: &Spanned<Cow<'_, str>>, report: &mut Report<'_>) {
    let name: &str = key.get_ref();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let needs_start = name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit());
    if needs_start || !name.chars().all(is_word) {
        let meant: String = name.chars().map(|c| if is_word(c) { c } else { '_' }).collect();
        report.wrong_with_help(
            &key.span(),
            format!("{name:?} cannot be an environment variable: use letters, digits and `_`"),
            format!("for example `{}{meant}`", if needs_start { "_" } else { "" }),
        );
    } else if name.starts_with("HATCHWAY_") || name == "PORT" {
        let message = format!("`{name}` is set by the platform");
        report.wrong_with_help(&key.span(), message, "use another name");
    }
}
