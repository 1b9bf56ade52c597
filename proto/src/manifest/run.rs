//! Which of the ways to run a function a table chose: exactly one, and one that its runtime has.

use std::ops::Range;

use super::nearest::one_of;
use super::quantity::RuntimeWord;
use super::read::{At, Report};
use super::written::FunctionTable;
use crate::catalog::{Protocol, Runtime};

/// A field that says what to run.
struct Program {
    field: &'static str,
    /// The runtimes that have it.
    runtimes: &'static [RuntimeWord],
    example: &'static str,
}

const PROGRAMS: [Program; 4] = {
    use RuntimeWord::{Command, Node, Python};
    [
        Program { field: "handler", runtimes: &[Node, Python], example: "src/hello.mjs#hello" },
        Program { field: "main", runtimes: &[Node], example: "server.js" },
        Program { field: "app", runtimes: &[Python], example: "main:app" },
        Program { field: "command", runtimes: &[Command], example: "./server" },
    ]
};

/// The endings that node reads as JavaScript.
const JAVASCRIPT: [&str; 3] = [".mjs", ".js", ".cjs"];

/// The runtime, and where its program is named.
pub(super) fn runtime(
    name: &At<String>,
    table: &FunctionTable,
    report: &mut Report<'_>,
) -> Option<At<Runtime>> {
    let given = given(table);
    let Some(At { value: word, .. }) = table.runtime.as_right() else {
        if table.runtime.is_absent() {
            let guess = given.first().map_or(RuntimeWord::Node, |(program, _)| program.runtimes[0]);
            let message = format!("`{}` does not say its runtime", name.value);
            let help = format!("add `runtime = \"{}\"`", guess.text());
            report.wrong_with_help(&name.span, message, help);
        }
        return None;
    };
    let (own, foreign): (Vec<_>, Vec<_>) =
        given.into_iter().partition(|(program, _)| program.runtimes.contains(word));
    for (program, span) in &foreign {
        let Some(span) = span else { continue };
        let owner = program.runtimes[0].text();
        let message = format!("`{}` belongs to the {owner} runtime", program.field);
        let help = format!("the {} runtime has {}", word.text(), fields_of(*word));
        report.wrong_with_help(span, message, help);
    }
    match own.as_slice() {
        [] if foreign.is_empty() => {
            let message = format!("`{}` does not say what to run", name.value);
            report.wrong_with_help(&name.span, message, format!("add {}", fields_of(*word)));
            None
        }
        [] => None,
        [_] => compile(*word, table, report),
        [(first, _), (second, span), ..] => {
            let message = format!("`{}` and `{}` exclude each other", first.field, second.field);
            report.wrong_with_help(span.as_ref().unwrap_or(&name.span), message, "keep one");
            None
        }
    }
}

/// The fields that stand in the table, with their places unless they are reported already.
fn given(table: &FunctionTable) -> Vec<(&'static Program, Option<Range<usize>>)> {
    let spans = [
        (!table.handler.is_absent(), table.handler.span()),
        (!table.main.is_absent(), table.main.span()),
        (!table.app.is_absent(), table.app.span()),
        (!table.command.is_absent(), table.command.span()),
    ];
    let present = PROGRAMS.iter().zip(spans).filter(|(_, (is_present, _))| *is_present);
    present.map(|(program, (_, span))| (program, span)).collect()
}

fn fields_of(word: RuntimeWord) -> String {
    let own = PROGRAMS.iter().filter(|program| program.runtimes.contains(&word));
    let words: Vec<String> = own
        .map(|Program { field, example, .. }| match (*field, word) {
            ("command", _) => format!("`command = [{example:?}]`"),
            ("handler", RuntimeWord::Python) => "`handler = \"src/hello.py#hello\"`".to_owned(),
            _ => format!("`{field} = {example:?}`"),
        })
        .collect();
    one_of(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The runtime of the one program that is given, if it is written right.
fn compile(
    word: RuntimeWord,
    table: &FunctionTable,
    report: &mut Report<'_>,
) -> Option<At<Runtime>> {
    let (span, runtime) = if let Some(At { span, value }) = table.handler.as_right() {
        let (module, export) = (value.module.clone(), value.export.clone());
        (span, handler(word, module, export, span, report)?)
    } else if let Some(At { span, value: script }) = table.main.as_right() {
        is_javascript(&script.0, span, report).then_some(())?;
        (span, Runtime::NodeMain { script: script.0.clone() })
    } else if let Some(At { span, value: app }) = table.app.as_right() {
        let (module, attribute) = (app.module.clone(), app.attribute.clone());
        (span, Runtime::PythonApp { module, attribute })
    } else {
        let At { span, value: argv } = table.command.as_right()?;
        (span, Runtime::Command { argv: argv.0.clone() })
    };
    Some(At { span: span.clone(), value: runtime })
}

/// What the program speaks. Only a server of somebody's own can speak anything but what our adapters do.
pub(super) fn protocol(table: &FunctionTable, report: &mut Report<'_>) -> Protocol {
    let Some(At { span, value }) = table.protocol.as_right() else { return Protocol::default() };
    let is_adapted = !table.handler.is_absent() || !table.app.is_absent();
    if *value != Protocol::Http1 && is_adapted {
        let message = "only a server of your own speaks another protocol: `main` or `command`";
        report.wrong_with_help(span, message, "remove `protocol`");
    }
    *value
}

fn handler(
    word: RuntimeWord,
    module: String,
    export: String,
    span: &Range<usize>,
    report: &mut Report<'_>,
) -> Option<Runtime> {
    if word == RuntimeWord::Python {
        if module.ends_with(".py") {
            return Some(Runtime::PythonHandler { module, attribute: export });
        }
        let message = format!("{module:?} is not a Python file");
        report.wrong_with_help(span, message, "python runs files that end in .py");
        return None;
    }
    is_javascript(&module, span, report).then_some(Runtime::NodeHandler { module, export })
}

fn is_javascript(file: &str, span: &Range<usize>, report: &mut Report<'_>) -> bool {
    let is_javascript = JAVASCRIPT.iter().any(|ending| file.ends_with(ending));
    if !is_javascript {
        let help = if file.ends_with(".ts") || file.ends_with(".mts") {
            "compile TypeScript first, and name the JavaScript file".to_owned()
        } else {
            format!("node runs files that end in {}", one_of(&JAVASCRIPT))
        };
        report.wrong_with_help(span, format!("{file:?} is not a JavaScript file"), help);
    }
    is_javascript
}
