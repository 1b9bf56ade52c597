//! One conversation with an interpreter: a list of files goes in, what each defines comes out.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interpreter {
    Node,
    Python,
}

/// A file, and the name that should be in it.
#[derive(Debug, Serialize)]
pub(super) struct Question<'a> {
    pub(super) path: &'a Path,
    pub(super) name: Option<&'a str>,
}

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// It cannot be parsed or read.
    Broken {
        /// From 1, where the interpreter says it.
        line: Option<u32>,
        message: String,
    },
    /// The names that it defines.
    Names {
        names: Vec<String>,
        /// There may be more, known only once it runs.
        is_open: bool,
    },
}

/// Asks one interpreter about all files.
///
/// # Errors
/// Why there is no answer, for a person to read: nothing about the files themselves.
pub(super) fn ask(
    interpreter: Interpreter,
    questions: &[Question<'_>],
) -> Result<Vec<Answer>, String> {
    let (program, arguments): (&str, &[&str]) = match interpreter {
        Interpreter::Node => (
            "node",
            &[
                "--experimental-vm-modules",
                "--no-warnings",
                "--input-type=module",
                "--eval",
                include_str!("names.mjs"),
            ],
        ),
        // Isolated, without site-packages: nothing of the machine's Python set-up is run either.
        Interpreter::Python => ("python3", &["-I", "-S", "-c", include_str!("names.py")]),
    };
    let asked = serde_json::to_vec(questions).map_err(|error| error.to_string())?;
    let answered = run(program, arguments, &asked).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{program} is not installed"),
        _ => format!("{program}: {error}"),
    })?;
    let answers: Vec<Answer> =
        serde_json::from_slice(&answered).map_err(|error| format!("{program}: {error}"))?;
    if answers.len() != questions.len() {
        return Err(format!("{program} answered {} of {}", answers.len(), questions.len()));
    }
    Ok(answers)
}

/// The program writes only after it has read all, so that neither side waits for the other.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> io::Result<Vec<u8>> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_remove("NODE_OPTIONS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("stdin was asked to be a pipe");
    // A program that ends early breaks this pipe; its stderr, read below, says why.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(io::Error::other(format!("{}, {last}", output.status)))
}
