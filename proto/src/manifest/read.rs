//! From TOML values to typed ones: each wrong value is reported where it stands, and reading goes on.

use std::borrow::Cow;
use std::ops::Range;

use schemars::{Schema, SchemaGenerator};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Source};
use super::nearest::nearest;

/// A value and the bytes it stands at.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) span: Range<usize>,
    pub(super) value: T,
}

/// What stands in a field of a table.
#[derive(Clone, Debug, Default)]
pub(super) enum Given<T> {
    /// Nothing.
    #[default]
    Absent,
    /// Something that is reported already.
    Wrong,
    /// A value.
    Right(At<T>),
}

impl<T> Given<T> {
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(super) fn as_right(&self) -> Option<&At<T>> {
        match self {
            Self::Right(at) => Some(at),
            Self::Absent | Self::Wrong => None,
        }
    }

    pub(super) fn span(&self) -> Option<Range<usize>> {
        self.as_right().map(|at| at.span.clone())
    }

    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Right(at) => Some(at.value),
            Self::Absent | Self::Wrong => None,
        }
    }
}

/// The mistakes found so far.
#[derive(Debug)]
pub(super) struct Report<'s> {
    pub(super) source: &'s Source,
    pub(super) found: Vec<Diagnostic>,
}

impl Report<'_> {
    pub(super) fn wrong(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.found.push(self.source.at(span.clone(), message));
    }

    pub(super) fn wrong_with_help(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found.push(self.source.at(span.clone(), message).with_help(help));
    }
}

/// A field of a table, and a value that would be right in it.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// As TOML.
    pub(super) example: &'static str,
}

/// What can stand on the right of a field.
pub(super) trait Kind: Sized {
    /// Reads a value, or reports why it cannot.
    fn read(value: &Spanned<DeValue<'_>>, field: &Field, report: &mut Report<'_>) -> Option<Self>;

    /// Its JSON schema.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// A [`Kind`] that is written as a string.
pub(super) trait Text: Sized {
    /// What every right string matches (ECMA 262); not all that match it are right.
    const PATTERN: &'static str;

    /// Reads the string.
    fn parse(text: &str) -> Result<Self, Wrong>;

    /// Its JSON schema.
    fn schema() -> Schema {
        schemars::json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }
}

/// Why a text is not what it should be, and what would be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn with_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()) }
    }
}

impl<T: Text> Kind for T {
    fn read(value: &Spanned<DeValue<'_>>, field: &Field, report: &mut Report<'_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            return wrong_type(value, field, "a string", report);
        };
        match T::parse(text) {
            Ok(parsed) => Some(parsed),
            Err(Wrong { message, help }) => {
                let diagnostic = report.source.at(value.span(), message);
                report.found.push(Diagnostic { help, ..diagnostic });
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        <T as Text>::schema()
    }
}

impl<T: Kind> schemars::JsonSchema for Given<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        std::any::type_name::<T>().into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

/// Reports a value of the wrong type, with an example of the right one.
pub(super) fn wrong_type<T>(
    value: &Spanned<DeValue<'_>>,
    field: &Field,
    expected: &str,
    report: &mut Report<'_>,
) -> Option<T> {
    let Field { name, example } = field;
    let found = value.get_ref().type_str();
    report.wrong_with_help(
        &value.span(),
        format!("`{name}` is {expected}, not {}", with_article(found)),
        format!("for example `{name} = {example}`"),
    );
    None
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// A table whose fields are known.
pub(super) trait Table: Sized + Default {
    /// Every field it may have.
    const FIELDS: &'static [Field];

    /// Where a field that belongs to another table should have been written.
    fn stray(_field: &str) -> Option<String> {
        None
    }

    /// Reads the known fields; the unknown ones are [`unknown_fields`]'s business.
    fn read_fields(table: &DeTable<'_>, report: &mut Report<'_>) -> Self;
}

/// Reads a table and reports the fields it should not have.
pub(super) fn read_table<T: Table>(table: &DeTable<'_>, report: &mut Report<'_>) -> T {
    unknown_fields::<T>(table, report);
    T::read_fields(table, report)
}

/// Reads one field of a table, if it is there.
pub(super) fn take<T: Kind>(
    table: &DeTable<'_>,
    field: &Field,
    report: &mut Report<'_>,
) -> Given<T> {
    match table.get(field.name) {
        None => Given::Absent,
        Some(value) => match T::read(value, field, report) {
            Some(read) => Given::Right(At { span: value.span(), value: read }),
            None => Given::Wrong,
        },
    }
}

fn unknown_fields<T: Table>(table: &DeTable<'_>, report: &mut Report<'_>) {
    let names = || T::FIELDS.iter().map(|field| field.name);
    for key in table.keys() {
        let given: &str = key.get_ref();
        if names().any(|name| name == given) {
            continue;
        }
        let help = match (T::stray(given), nearest(given, names())) {
            (Some(home), _) => home,
            (None, Some(name)) => format!("did you mean `{name}`?"),
            (None, None) => {
                format!("known fields here are {}", names().collect::<Vec<_>>().join(", "))
            }
        };
        report.wrong_with_help(&key.span(), format!("unknown field `{given}`"), help);
    }
}
