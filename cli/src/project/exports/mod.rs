//! Whether a handler or an application is really in its file: the interpreter parses, and says which names
//! the file defines. Nothing of it is run. One process per runtime for all functions, side by side.

mod ask;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::thread;

use hatchway_proto::catalog::Runtime;
use hatchway_proto::manifest::{Diagnostic, nearest};

use self::ask::{Answer, Interpreter, Question, ask};
use super::{Located, files};

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Exports {
    pub(super) mistakes: Vec<Diagnostic>,
    /// What could not be asked.
    pub(super) notes: Vec<String>,
}

/// A name that should be in a file.
#[derive(Debug)]
struct Claim<'a> {
    at: &'a Located<'a>,
    /// Absolute.
    path: PathBuf,
    /// As the manifest says it: `src/hello.mjs`.
    shown: String,
    /// None for a script that is run as it is: only its syntax is looked at.
    name: Option<&'a str>,
    /// How the manifest would name another one: `src/hello.mjs#` or `main:`.
    prefix: String,
}

/// Asks both interpreters about all functions.
pub(super) fn check(located: &[Located<'_>]) -> Exports {
    let claims = |interpreter| {
        located.iter().filter_map(move |at| claim(at, interpreter)).collect::<Vec<Claim<'_>>>()
    };
    let (node, python) = (claims(Interpreter::Node), claims(Interpreter::Python));
    thread::scope(|scope| {
        let node = scope.spawn(|| check_with(Interpreter::Node, &node));
        let python = check_with(Interpreter::Python, &python);
        let node = node.join().expect("checking exports does not panic");
        Exports {
            mistakes: node.mistakes.into_iter().chain(python.mistakes).collect(),
            notes: node.notes.into_iter().chain(python.notes).collect(),
        }
    })
}

fn claim<'a>(at: &'a Located<'a>, interpreter: Interpreter) -> Option<Claim<'a>> {
    let (owner, shown, name, separator) = match &at.function.runtime {
        Runtime::NodeHandler { module, export } => {
            (Interpreter::Node, module.clone(), Some(export.as_str()), "#")
        }
        Runtime::NodeMain { script } => (Interpreter::Node, script.clone(), None, ""),
        Runtime::PythonHandler { module, attribute } => {
            (Interpreter::Python, module.clone(), Some(attribute.as_str()), "#")
        }
        Runtime::PythonApp { module, attribute } => {
            // Of `container.app` the file itself defines the first part.
            let name = attribute.split('.').next();
            (Interpreter::Python, module.clone(), name, ":")
        }
        Runtime::Command { .. } => return None,
    };
    if owner != interpreter {
        return None;
    }
    let path = match &at.function.runtime {
        Runtime::PythonApp { module, .. } => files::python_module(&at.root, module)?,
        _ => at.root.join(&shown),
    };
    let prefix = format!("{shown}{separator}");
    Some(Claim { at, path, shown, name, prefix })
}

fn check_with(interpreter: Interpreter, claims: &[Claim<'_>]) -> Exports {
    if claims.is_empty() {
        return Exports::default();
    }
    let questions: Vec<Question<'_>> =
        claims.iter().map(|claim| Question { path: &claim.path, name: claim.name }).collect();
    match ask(interpreter, &questions) {
        Ok(answers) => {
            let pairs = claims.iter().zip(answers);
            Exports {
                mistakes: pairs.filter_map(|(c, a)| judge(c, a)).collect(),
                notes: Vec::new(),
            }
        }
        Err(why) => {
            let names: Vec<&str> =
                claims.iter().map(|claim| claim.at.function.name.name()).collect();
            let note = format!("what {} run was not looked into: {why}", names.join(", "));
            Exports { mistakes: Vec::new(), notes: vec![note] }
        }
    }
}

fn judge(claim: &Claim<'_>, answer: Answer) -> Option<Diagnostic> {
    let Claim { at, shown, name, prefix, .. } = claim;
    match answer {
        Answer::Broken { line, message } => {
            let place = line.map(|line| format!(" line {line}")).unwrap_or_default();
            Some(at.wrong_program(format!("{shown}{place}: {message}")))
        }
        Answer::Names { is_open: true, .. } => None,
        Answer::Names { names, is_open: false } => {
            let name = (*name)?;
            if names.iter().any(|known| known == name) {
                return None;
            }
            let mistake = at.wrong_program(format!("{shown} has no {name:?}"));
            let nearest = nearest(name, names.iter().map(String::as_str));
            Some(match (nearest, names.as_slice()) {
                (Some(meant), _) => mistake.with_help(format!("did you mean \"{prefix}{meant}\"?")),
                (None, []) => mistake.with_help("it exports nothing"),
                (None, [only]) => mistake.with_help(format!("it has \"{prefix}{only}\"")),
                (None, names) => mistake.with_help(format!("it has {}", first_few(names))),
            })
        }
    }
}

/// Enough names to recognise the right one.
const NAMES_SHOWN: usize = 8;

fn first_few(names: &[String]) -> String {
    let more = if names.len() > NAMES_SHOWN { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(NAMES_SHOWN)].join(", "))
}
