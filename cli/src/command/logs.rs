//! `hatchway logs`: what functions print, line by line, as it comes.

use std::io::{self, IsTerminal, Write};

use hatchway_proto::name::FunctionName;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::status::Status;
use crate::admin::{Admin, AdminArgs};
use crate::failure::{Failure, Outcome};
use crate::output;

/// What `hatchway logs` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the lines of this function.
    name: Option<String>,
    /// Go on with new lines as they come.
    #[arg(short, long)]
    follow: bool,
    /// How many of the latest lines.
    #[arg(long, value_name = "N", default_value_t = 100)]
    lines: u32,
    #[command(flatten)]
    admin: AdminArgs,
    /// Print a JSON object per line, as the admin API does.
    #[arg(long)]
    json: bool,
}

/// One line of `GET /v1/logs`.
#[derive(Debug, Deserialize)]
struct Line {
    unix_ms: u64,
    function: FunctionName,
    sandbox: Option<Value>,
    request_id: Option<String>,
    stream: Stream,
    line: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stream {
    Stdout,
    Stderr,
    Platform,
}

/// Shows lines until there are no more, or for ever with `--follow`.
pub(crate) fn run(args: &Args) -> Outcome {
    let admin = Admin::new(&args.admin)?;
    let lines = args.lines.to_string();
    let mut query = vec![("lines", lines.as_str())];
    let function = match &args.name {
        Some(name) => Some(Status::ask(&admin)?.function(name)?.name.clone()),
        None => None,
    };
    if let Some(function) = &function {
        query.push(("function", function.as_str()));
    }
    if args.follow {
        query.push(("follow", "true"));
    }
    let is_coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut stdout = io::stdout().lock();
    for line in admin.lines("/v1/logs", &query)? {
        let line = line.map_err(|source| {
            let what = "the log broke off".to_owned();
            Failure::Unavailable { what, source: Box::new(source) }
        })?;
        let shown = if args.json { line } else { pretty(&line, is_coloured) };
        writeln!(stdout, "{shown}").and_then(|()| stdout.flush()).map_err(output::broken)?;
    }
    Ok(())
}

/// `13:05:59.042 hello sb-3 err | text`; a line that is none of ours is shown as it came.
fn pretty(json: &str, is_coloured: bool) -> String {
    let Ok(line) = serde_json::from_str::<Line>(json) else { return json.to_owned() };
    let (word, colour) = match line.stream {
        Stream::Stdout => ("out", "0"),
        Stream::Stderr => ("err", "33"),
        Stream::Platform => ("---", "36"),
    };
    let sandbox = match &line.sandbox {
        Some(Value::String(id)) => format!(" {id}"),
        Some(Value::Number(id)) => format!(" sb-{id}"),
        _ => String::new(),
    };
    let request = line.request_id.as_deref().map(short_id).unwrap_or_default();
    let time = output::time_of_day(line.unix_ms);
    let function = output::short_name(&line.function);
    let text = plain(&structured(&line.line).unwrap_or(line.line));
    if is_coloured {
        return format!(
            "\x1b[2m{time}\x1b[0m {function}{sandbox}{request} \x1b[{colour}m{word}\x1b[0m | {text}"
        );
    }
    format!("{time} {function}{sandbox}{request} {word} | {text}")
}

/// As much of a request's id as tells it apart from its neighbours; `--json` has the whole.
fn short_id(id: &str) -> String {
    format!(" {}", id.get(..8).unwrap_or(id))
}

/// A structured line, as handlers' loggers write it, with the message first: `info greeting name=Ada`.
fn structured(line: &str) -> Option<String> {
    let mut fields: Map<String, Value> = serde_json::from_str(line).ok()?;
    let level = fields.remove("level")?;
    let message = fields.remove("message")?;
    let mut text = format!("{} {}", level.as_str()?, message.as_str()?);
    for (name, value) in &fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!(" {name}={value}"));
    }
    Some(text)
}

/// A function's text must not move the cursor of whoever reads it: of the control characters only tabs
/// and colours (`ESC [ ... m`) pass.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let colour = rest.strip_prefix("\x1b[").and_then(|codes| {
            let end = codes.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            codes[end..].starts_with('m').then_some(2 + end + 1)
        });
        let taken = colour.unwrap_or(c.len_utf8());
        if colour.is_some() || c == '\t' || !c.is_control() {
            shown.push_str(&rest[..taken]);
        } else {
            shown.extend(c.escape_default());
        }
        rest = &rest[taken..];
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_who_and_what() {
        let line = r#"{"unix_ms":47159042,"function":"local/hello","version":"v","sandbox":"sb-3","request_id":"r1","stream":"stderr","line":"oh"}"#;
        assert_eq!(pretty(line, false), "13:05:59.042 hello sb-3 r1 err | oh");
        assert_eq!(pretty("not ours", false), "not ours");
    }

    #[test]
    fn a_structured_line_has_its_message_first() {
        let line = r#"{"level":"info","message":"greeting","name":"Ada","n":[1]}"#;
        assert_eq!(structured(line).as_deref(), Some("info greeting n=[1] name=Ada"));
        for other in ["{}", "plain", "[1]", r#"{"level":1,"message":"x"}"#] {
            assert_eq!(structured(other), None);
        }
    }

    #[test]
    fn colours_pass_and_what_moves_the_cursor_does_not() {
        assert_eq!(plain("\x1b[1;31mred\x1b[0m\tx"), "\x1b[1;31mred\x1b[0m\tx");
        assert_eq!(plain("\x1b[2Ja\x1b]0;t\x07"), "\\u{1b}[2Ja\\u{1b}]0;t\\u{7}");
    }
}
