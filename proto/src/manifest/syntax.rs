//! From text to tables: mistakes of the TOML syntax, and what can still be said about the rest.

use std::collections::HashSet;

use toml::de::{DeTable, Error};

use super::read::{Report, read_table};
use super::written::Document;

/// The document as written; none when its syntax is broken, after reporting what is broken and, of the
/// lines that can be read, which values are wrong.
pub(super) fn document(report: &mut Report<'_>) -> Option<Document> {
    let source = report.source;
    let (table, errors) = DeTable::parse_recoverable(source.text());
    let document = read_table::<Document>(table.get_ref(), report);
    if errors.is_empty() {
        return Some(document);
    }
    let broken: HashSet<usize> =
        errors.iter().map(|error| source.line_of(start_of(error))).collect();
    // A broken header leaves its fields in the document itself, where they look unknown.
    let document_fields: Vec<usize> =
        table.get_ref().keys().map(|key| source.line_of(key.span().start)).collect();
    report.found.retain(|mistake| {
        let line = mistake.place.as_ref().map_or(0, |place| place.line);
        !broken.contains(&line) && !document_fields.contains(&line)
    });
    for error in &errors {
        report_error(error, report);
    }
    None
}

fn start_of(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

fn report_error(error: &Error, report: &mut Report<'_>) {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    let written = report.source.text().get(span.clone()).unwrap_or("").trim();
    let is_bare = !written.is_empty() && !written.contains(['"', '\'', '\n', '[', '{', '=']);
    if is_bare && (message.contains("must be quoted") || message.starts_with("invalid float")) {
        report.wrong_with_help(&span, "a text stands in quotes", format!("write {written:?}"));
    } else {
        report.wrong(&span, message.replace("basic string", "string"));
    }
}
