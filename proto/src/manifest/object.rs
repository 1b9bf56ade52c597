//! Parts of catalog objects that stand in a manifest as they stand in the catalog.

use schemars::{Schema, SchemaGenerator};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::read::{Field, Kind, Report, wrong_type};
use crate::catalog::{Degrade, Filters, Growth, Mirror};

/// Reads a table into the type that the catalog has for it: its own names, its own messages, the place in this file.
fn read<T: for<'de> Deserialize<'de>>(
    value: &Spanned<DeValue<'_>>,
    field: &Field,
    report: &mut Report<'_>,
) -> Option<T> {
    match T::deserialize(ValueDeserializer::from(value.clone())) {
        Ok(read) => Some(read),
        Err(error) => {
            let span = error.span().unwrap_or_else(|| value.span());
            let help = format!("for example `{} = {}`", field.name, field.example);
            report.wrong_with_help(&span, error.message().to_owned(), help);
            None
        }
    }
}

macro_rules! table_of_the_catalog {
    ($name:ident) => {
        impl Kind for $name {
            fn read(
                value: &Spanned<DeValue<'_>>,
                field: &Field,
                report: &mut Report<'_>,
            ) -> Option<Self> {
                match value.get_ref().is_table() {
                    true => read(value, field, report),
                    false => wrong_type(value, field, "a table", report),
                }
            }

            fn schema(generator: &mut SchemaGenerator) -> Schema {
                generator.subschema_for::<Self>()
            }
        }
    };
}

table_of_the_catalog!(Filters);
table_of_the_catalog!(Growth);
table_of_the_catalog!(Mirror);

/// What takes the place of failures.
#[derive(Clone, Debug, Default)]
pub(super) struct Degrades(pub(super) Vec<Degrade>);

impl Kind for Degrades {
    fn read(value: &Spanned<DeValue<'_>>, field: &Field, report: &mut Report<'_>) -> Option<Self> {
        match value.get_ref().is_array() {
            true => read(value, field, report).map(Self),
            false => wrong_type(value, field, "a list of tables", report),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Vec<Degrade>>()
    }
}
