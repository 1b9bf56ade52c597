//! Mistakes in a project as a person reads them: the line, what in it is wrong, what would be right.

use std::fmt::Write;
use std::io::IsTerminal;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use hatchway_proto::manifest::Diagnostic;

use crate::count::count;

/// Prints mistakes on stderr, in colour where a person is watching.
pub(crate) fn print(mistakes: &[Diagnostic]) {
    let (text, found) = (render(mistakes, is_coloured()), count(mistakes.len(), "mistake"));
    eprintln!("{text}{found} in the project; nothing was started");
}

fn is_coloured() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// The exit code for a project with mistakes (`EX_DATAERR` of sysexits.h).
pub(crate) const BAD_PROJECT: u8 = 65;

/// Prints the mistakes that an edit has brought while an earlier version is served.
pub(crate) fn print_reload(mistakes: &[Diagnostic]) {
    let (text, found) = (render(mistakes, is_coloured()), count(mistakes.len(), "mistake"));
    eprintln!("{text}{found} in the project; what ran before the edit goes on");
}

/// Prints notes on stderr.
pub(crate) fn print_notes(notes: &[String]) {
    for note in notes {
        eprintln!("note: {note}");
    }
}

/// Mistakes as text, each followed by an empty line.
fn render(mistakes: &[Diagnostic], is_coloured: bool) -> String {
    let renderer = if is_coloured { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for mistake in mistakes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}\n", renderer.render(&[group(mistake)]));
    }
    text
}

fn group(mistake: &Diagnostic) -> Group<'_> {
    let title = Level::ERROR.primary_title(&mistake.message);
    let group = match &mistake.place {
        None => title.element(Origin::path(&mistake.file)),
        Some(place) => {
            let before = place.source_line.chars().take(place.column - 1).map(char::len_utf8);
            let start = before.sum::<usize>();
            // Where something is missing there is no text: the caret stands at the place.
            let end = (start + place.text.len().max(1)).min(place.source_line.len()).max(start);
            title.element(
                Snippet::source(&place.source_line)
                    .line_start(place.line)
                    .path(&mistake.file)
                    .annotation(AnnotationKind::Primary.span(start..end)),
            )
        }
    };
    match &mistake.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::manifest::parse;

    use super::*;

    #[test]
    fn a_mistake_shows_its_line_with_a_caret_and_its_help() {
        let found = parse("shop/hatchway.toml", "[function.a]\nmemry = \"1GiB\"\n").unwrap_err();
        let text = render(&found[..], false);
        let expected = "\
error: unknown field `memry`
 --> shop/hatchway.toml:2:1
  |
2 | memry = \"1GiB\"
  | ^^^^^
  |
  = help: did you mean `memory`?
";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_place_beyond_the_last_character_and_a_whole_file_are_shown_too() {
        let found = parse("f", "é = 1\n").unwrap_err();
        assert!(render(&found, false).contains("f:1:1"));
        let found = parse("f", "").unwrap_err();
        assert!(render(&found, true).contains("no function"));
        let file = Diagnostic::of_file("shop", "cannot be read");
        let text = render(&[file], false);
        assert!(text.contains("error: cannot be read\n--> shop\n"), "{text}");
    }
}
