//! Finding the real interpreters, once, when the daemon starts.
//!
//! What stands on `PATH` may be a shim (a shell script that looks for the interpreter at every
//! start, slowly), and it may live outside the folders that a sandbox mounts. So the interpreter
//! itself is asked where it is and what it loads.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What Debian 12 and Ubuntu 24.04 bring along; the adapters are tested from here on.
const OLDEST_NODE: Version = (18, 0, 0);
/// The oldest that is still maintained.
const OLDEST_PYTHON: Version = (3, 9, 0);

/// What every sandbox mounts anyway.
const SYSTEM_FOLDERS: [&str; 5] = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];

/// Path, version, then the folders it needs: one per line. What it has loaded names them: itself
/// and its libraries.
const ASK_NODE: &str =
    "const loaded = [process.execPath, ...process.report.getReport().sharedObjects];
const folders = loaded.map((file) => require('path').dirname(file));
console.log([process.execPath, process.versions.node, ...new Set(folders)].join('\\n'))";

const ASK_PYTHON: &str = "import os, sys
base = os.path.realpath(sys.base_prefix)
print(os.path.realpath(getattr(sys, '_base_executable', sys.executable)))
print('.'.join(map(str, sys.version_info[:3])))
for folder in ('bin', 'lib', 'lib64'):
    if os.path.isdir(os.path.join(base, folder)): print(os.path.join(base, folder))";

/// Major, minor, patch.
pub type Version = (u32, u32, u32);

/// Which interpreters to use; without a path, the first on this process's `PATH`.
#[derive(Clone, Debug, Default)]
pub struct InterpreterSettings {
    pub node: Option<PathBuf>,
    pub python: Option<PathBuf>,
}

/// The interpreters of this machine, or why there is none.
#[derive(Clone, Debug)]
pub struct Interpreters {
    pub node: Result<Interpreter, Missing>,
    pub python: Result<Interpreter, Missing>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// The program itself: absolute, no shim, no link.
    pub path: String,
    pub version: Version,
    /// The folders it needs beside the system's, to be mounted read-only: `(on the host, inside)`.
    pub mounts: Vec<(PathBuf, PathBuf)>,
}

/// Why an interpreter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("{program} is not installed, or not on PATH")]
    NotFound { program: String },
    #[error("{program} did not say where it is: {reason}")]
    Silent { program: String, reason: String },
    #[error("{program} is version {}.{}.{}; {}.{} or newer is needed", found.0, found.1, found.2, oldest.0, oldest.1)]
    TooOld { program: String, found: Version, oldest: Version },
}

impl Interpreters {
    /// Starts each interpreter once and asks it. Blocks for as long as that takes, some 100 ms.
    pub fn discover(settings: &InterpreterSettings) -> Self {
        let node = settings.node.as_deref().unwrap_or(Path::new("node"));
        let python = settings.python.as_deref().unwrap_or(Path::new("python3"));
        Self {
            node: ask(node, &["-e", ASK_NODE], OLDEST_NODE),
            python: ask(python, &["-S", "-s", "-c", ASK_PYTHON], OLDEST_PYTHON),
        }
    }
}

fn ask(program: &Path, question: &[&str], oldest: Version) -> Result<Interpreter, Missing> {
    let name = program.display().to_string();
    let mut command = Command::new(program);
    // Both would run code of someone's choice, or slow the answer down.
    command.env_remove("NODE_OPTIONS").env_remove("NODE_EXTRA_CA_CERTS");
    let output =
        command.args(question).stdin(Stdio::null()).output().map_err(|error| {
            match error.kind() {
                io::ErrorKind::NotFound => Missing::NotFound { program: name.clone() },
                _ => Missing::Silent { program: name.clone(), reason: error.to_string() },
            }
        })?;
    let silent = |reason: String| Missing::Silent { program: name.clone(), reason };
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(silent(words.lines().last().unwrap_or("no message").to_owned()));
    }
    let answer =
        String::from_utf8(output.stdout).map_err(|_| silent("a path is not UTF-8".to_owned()))?;
    let found = parse(&answer).ok_or_else(|| silent(format!("unexpected answer {answer:?}")))?;
    if found.version < oldest {
        return Err(Missing::TooOld { program: name, found: found.version, oldest });
    }
    Ok(found)
}

fn parse(answer: &str) -> Option<Interpreter> {
    let mut lines = answer.lines();
    let path = lines.next().filter(|path| path.starts_with('/'))?.to_owned();
    let version = parse_version(lines.next()?)?;
    let mounts = lines.filter(|path| path.starts_with('/') && !is_system(Path::new(path)));
    Some(Interpreter {
        path,
        version,
        mounts: mounts.map(|path| (path.into(), path.into())).collect(),
    })
}

/// Reads `20.20.2`; a suffix of the last part (`3.14.0rc1`) is ignored.
fn parse_version(text: &str) -> Option<Version> {
    let mut parts = text.splitn(3, '.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse().ok()
    });
    Some((parts.next()??, parts.next()??, parts.next()??))
}

fn is_system(path: &Path) -> bool {
    SYSTEM_FOLDERS.iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_outside_the_system_folders_is_mounted() {
        let answer = "/opt/node/bin/node\n20.20.2\n/opt/node/bin\n.\n/lib/x86_64-linux-gnu\n";
        let node = parse(answer).expect("the answer is complete");
        assert_eq!((node.path.as_str(), node.version), ("/opt/node/bin/node", (20, 20, 2)));
        assert_eq!(node.mounts, [("/opt/node/bin".into(), "/opt/node/bin".into())]);
        let system = parse("/usr/bin/node\n22.1.0\n/usr/bin\n").expect("the answer is complete");
        assert_eq!(system.mounts, []);
    }

    #[test]
    fn an_answer_without_path_or_version_is_no_answer() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("node\n20.0.0\n"), None);
        assert_eq!(parse("/usr/bin/node\nlatest\n"), None);
        assert_eq!(parse_version("3.14.0rc1"), Some((3, 14, 0)));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let missing = ask(Path::new("/nowhere/node"), &[], OLDEST_NODE);
        assert_eq!(missing, Err(Missing::NotFound { program: "/nowhere/node".into() }));
    }

    #[test]
    fn an_old_interpreter_is_refused_with_both_versions() {
        let old =
            ask(Path::new("/bin/sh"), &["-c", "printf '/usr/bin/node\n16.1.0\n'"], OLDEST_NODE);
        let refused = old.expect_err("16 is older than 18").to_string();
        assert_eq!(refused, "/bin/sh is version 16.1.0; 18.0 or newer is needed");
    }

    #[test]
    fn a_failing_program_is_quoted() {
        let failed = ask(
            Path::new("/bin/sh"),
            &["-c", "echo pyenv: version not installed >&2; exit 1"],
            OLDEST_PYTHON,
        );
        assert_eq!(
            failed,
            Err(Missing::Silent {
                program: "/bin/sh".into(),
                reason: "pyenv: version not installed".into()
            })
        );
    }
}
