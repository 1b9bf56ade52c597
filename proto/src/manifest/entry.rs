//! What of a package is run: a handler, a script, an application, a command; and the paths they stand in.

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeValue;

use super::read::{Field, Kind, Report, Text, Wrong, wrong_type};

/// A path inside the package or the project, `/` between its parts, `.` for the folder itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inside(pub(super) String);

impl Text for Inside {
    const PATTERN: &'static str = "^[^/]";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let example = || text.trim_start_matches(['/', '.']).to_owned();
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(Wrong::with_help(
                "a path cannot be empty",
                "for the folder itself write \".\"",
            ));
        }
        if text.starts_with('/') {
            let help = format!("write it relative to its folder, for example {:?}", example());
            return Err(Wrong::with_help(format!("{text:?} is an absolute path"), help));
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.contains(&"..") {
            let help = "a package holds everything its function needs";
            return Err(Wrong::with_help(format!("{text:?} leaves its folder"), help));
        }
        Ok(Self(if parts.is_empty() { ".".to_owned() } else { parts.join("/") }))
    }
}

/// `"src/hello.mjs#hello"`: a file and what it exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handler {
    pub(super) module: String,
    pub(super) export: String,
}

impl Text for Handler {
    const PATTERN: &'static str = "^[^/#][^#]*#[^#]+$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let Some((module, export)) = text.split_once('#') else {
            let help = format!("name the function after a `#`, for example \"{text}#handler\"");
            return Err(Wrong::with_help(format!("{text:?} does not say which function"), help));
        };
        let Inside(module) = Inside::parse(module)?;
        if !is_identifier(export) {
            let message = format!("{export:?} cannot be the name of a function");
            return Err(Wrong::with_help(message, format!("for example \"{module}#handler\"")));
        }
        Ok(Self { module, export: export.to_owned() })
    }
}

/// `"main:app"`: a dotted Python module and the WSGI or ASGI application in it, which may have dots as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct App {
    pub(super) module: String,
    pub(super) attribute: String,
}

impl Text for App {
    const PATTERN: &'static str = "^[^:/]+:[^:/]+$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let dotted = text.trim_end_matches(".py").trim_start_matches("./").replace('/', ".");
        let Some((module, attribute)) = text.split_once(':') else {
            let help = format!("name it after a colon, for example \"{dotted}:app\"");
            return Err(Wrong::with_help(format!("{text:?} does not say which application"), help));
        };
        if !module.split('.').all(is_identifier) || module.ends_with(".py") {
            let module = module.trim_end_matches(".py").trim_start_matches("./").replace('/', ".");
            return Err(Wrong::with_help(
                "the part before the colon is a module as Python imports it",
                format!("for example \"{module}:{attribute}\""),
            ));
        }
        if !attribute.split('.').all(is_identifier) {
            let message = format!("{attribute:?} cannot be the name of an application");
            return Err(Wrong::with_help(message, format!("for example \"{module}:app\"")));
        }
        Ok(Self { module: module.to_owned(), attribute: attribute.to_owned() })
    }
}

/// A name in JavaScript or Python, not checked against their reserved words.
fn is_identifier(text: &str) -> bool {
    let is_start = |c: char| c.is_alphabetic() || c == '_' || c == '$';
    text.starts_with(is_start) && text.chars().all(|c| is_start(c) || c.is_alphanumeric())
}

/// `["./server", "--quiet"]`: a program and its arguments, no shell between.
#[derive(Clone, Debug)]
pub(super) struct Argv(pub(super) Vec<String>);

impl Kind for Argv {
    fn read(value: &Spanned<DeValue<'_>>, field: &Field, report: &mut Report<'_>) -> Option<Self> {
        if let Some(line) = value.get_ref().as_str() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let message = "a command is a list of the program and its arguments, no shell reads it";
            report.wrong_with_help(&value.span(), message, format!("write {words:?}"));
            return None;
        }
        let Some(array) = value.get_ref().as_array() else {
            return wrong_type(value, field, "a list of strings", report);
        };
        let words: Vec<Option<&str>> = array.iter().map(|word| word.get_ref().as_str()).collect();
        for (item, word) in array.iter().zip(&words) {
            match word {
                Some(word) if word.contains('\0') => {
                    report.wrong(&item.span(), "an argument cannot hold a zero byte");
                    return None;
                }
                Some(_) => {}
                None => return wrong_type(item, field, "a list of strings", report),
            }
        }
        match words.first() {
            Some(Some(program)) if !program.is_empty() => {}
            _ => {
                let help = format!("for example `{} = {}`", field.name, field.example);
                report.wrong_with_help(&value.span(), "the command names no program", help);
                return None;
            }
        }
        let argv = words.into_iter().flatten().map(str::to_owned).collect();
        Some(Self(argv))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
    }
}
