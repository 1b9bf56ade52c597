//! A mistake in a manifest as people and programs read it: where, what stands there, what would be right.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

/// One mistake in a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file as the reader of it named it.
    pub file: String,
    /// Where in the file; none when the file or folder itself is the mistake.
    #[serde(flatten)]
    pub place: Option<Box<Place>>,
    /// What is wrong: small letters, no full stop.
    pub message: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// A stretch of one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The offending text, cut at the end of its line; empty where something is missing.
    pub text: String,
    /// The whole line it stands in.
    pub source_line: String,
}

impl Diagnostic {
    /// A mistake that is a whole file or folder.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), place: None, message: message.into(), help: None }
    }

    /// Says what would be right.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: message (help)`, one line, as editors and compilers write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

/// Orders mistakes as their texts do, and drops repetitions.
pub(super) fn sort(found: &mut Vec<Diagnostic>) {
    let position =
        |found: &Diagnostic| found.place.as_ref().map(|place| (place.line, place.column));
    found.sort_by_key(position);
    found.dedup();
}

/// The text of one manifest and the name people know it by. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    file: Arc<str>,
    text: Arc<str>,
}

impl Source {
    /// Names a text.
    pub fn new(file: &str, text: &str) -> Self {
        Self { file: file.into(), text: text.into() }
    }

    /// The name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A mistake at the bytes `span`, which need not fall on characters.
    pub fn at(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        let place = Some(Box::new(self.place(span)));
        Diagnostic { place, ..Diagnostic::of_file(&*self.file, message) }
    }

    /// The line of the byte `offset`, from 1.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        1 + self.text[..self.boundary(offset)].matches('\n').count()
    }

    fn place(&self, span: Range<usize>) -> Place {
        let start = self.boundary(span.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let rest = &self.text[line_start..];
        let source_line = rest.lines().next().unwrap_or("");
        let end = self.boundary(span.end).clamp(start, (line_start + source_line.len()).max(start));
        Place {
            line: self.line_of(start),
            column: 1 + self.text[line_start..start].chars().count(),
            text: self.text[start..end].to_owned(),
            source_line: source_line.to_owned(),
        }
    }

    /// The nearest character boundary at or before `offset`, inside the text.
    fn boundary(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one_and_ends_with_its_line() {
        let source = Source::new("hatchway.toml", "a = 1\nné = [\n  2,\n]\n");
        let start = source.text().find('[').unwrap();
        let place = source.at(start..source.text().len(), "x").place.unwrap();
        assert_eq!((place.line, place.column, place.text.as_str()), (2, 6, "["));
        assert_eq!(place.source_line, "né = [");
    }

    #[test]
    fn a_span_outside_the_text_is_its_end() {
        let place = Source::new("f", "é\n").at(1..900, "x").place.unwrap();
        assert_eq!((place.line, place.column, place.text.as_str()), (1, 1, "é"));
        let place = Source::new("f", "a\n").at(70..900, "x").place.unwrap();
        assert_eq!((place.line, place.column, place.source_line.as_str()), (2, 1, ""));
    }
}
