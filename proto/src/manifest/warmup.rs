//! What a function is asked before it is forked.

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeValue;

use super::quantity::RuntimeWord;
use super::read::{Field, Kind, Report, wrong_type};
use super::written::FunctionTable;
use crate::catalog::{Protocol, Warmup};

/// `"/products"`, or `["/products", "/"]`.
#[derive(Clone, Debug, Default)]
pub(super) struct WarmupList(Vec<Warmup>);

impl Kind for WarmupList {
    fn read(value: &Spanned<DeValue<'_>>, field: &Field, report: &mut Report<'_>) -> Option<Self> {
        let Some(array) = value.get_ref().as_array() else {
            return read_path(value, field, report).map(|path| Self(vec![path]));
        };
        if array.len() > Warmup::MOST {
            let message = format!("`warmup` has {} paths", array.len());
            let help =
                format!("write at most {}: those that most clients begin with", Warmup::MOST);
            report.wrong_with_help(&value.span(), message, help);
            return None;
        }
        let paths: Vec<_> = array.iter().map(|path| read_path(path, field, report)).collect();
        paths.into_iter().collect::<Option<_>>().map(Self)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let path = json_schema!({ "type": "string", "pattern": Warmup::PATTERN });
        json_schema!({
            "anyOf": [path, { "type": "array", "items": path, "maxItems": Warmup::MOST }],
        })
    }
}

fn read_path(
    path: &Spanned<DeValue<'_>>,
    field: &Field,
    report: &mut Report<'_>,
) -> Option<Warmup> {
    let Some(text) = path.get_ref().as_str() else {
        return wrong_type(path, field, "a path or a list of paths", report);
    };
    text.parse().map_err(|why: String| report.wrong(&path.span(), why)).ok()
}

/// The paths, where the function is one that can be asked before it is forked.
pub(super) fn paths(
    table: &FunctionTable,
    protocol: Protocol,
    report: &mut Report<'_>,
) -> Vec<Warmup> {
    let Some(warmup) = table.warmup.as_right() else { return Vec::new() };
    let runtime = table.runtime.as_right().map(|at| at.value);
    let message = match (runtime, protocol) {
        (Some(RuntimeWord::Python | RuntimeWord::Command), _) => {
            Some("only functions of the node runtime are warmed up by requests")
        }
        (_, Protocol::H2c) => Some("requests that warm up are HTTP/1.1"),
        (Some(RuntimeWord::Node) | None, Protocol::Http1) => None,
    };
    if let Some(message) = message {
        report.wrong_with_help(&warmup.span, message, "remove `warmup`");
    }
    warmup.value.0.clone()
}
