//! `hatchway new`: a project that answers, to start from.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hatchway_proto::name::{FunctionName, TenantName};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::output;

/// What `hatchway new` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder to make; its last part names the function.
    name: PathBuf,
    /// What to start from.
    #[arg(short, long, value_enum)]
    template: Template,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What a project can start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Template {
    /// A JavaScript function.
    Node,
    /// A Python function.
    Python,
    /// An unmodified Express server.
    Express,
    /// An unmodified Flask application.
    Flask,
    /// An HTTP server in Rust.
    Rust,
}

/// Where a template's text has the project's name.
const NAME: &str = "{{name}}";

macro_rules! files {
    ($folder:literal: $($file:literal => $path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../templates/", $folder, "/", $file)))),*]
    };
}

impl Template {
    /// Each file's path and text. Names that tools would act on in our own folders are given here.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Node => files!("node":
                "hatchway.toml" => "hatchway.toml", "hello.mjs" => "src/hello.mjs"),
            Self::Python => files!("python":
                "hatchway.toml" => "hatchway.toml", "hello.py" => "src/hello.py"),
            Self::Express => files!("express":
                "hatchway.toml" => "hatchway.toml", "server.js" => "server.js",
                "package.json" => "package.json", "gitignore" => ".gitignore"),
            Self::Flask => files!("flask":
                "hatchway.toml" => "hatchway.toml", "main.py" => "main.py",
                "requirements.txt" => "requirements.txt", "gitignore" => ".gitignore"),
            Self::Rust => files!("rust":
                "hatchway.toml" => "hatchway.toml", "main.rs" => "src/main.rs",
                "cargo.toml" => "Cargo.toml", "gitignore" => ".gitignore"),
        }
    }

    /// What to run in the new folder before it can be served.
    fn set_up(self) -> Option<&'static str> {
        match self {
            Self::Node | Self::Python => None,
            Self::Express => Some("npm install"),
            Self::Flask => {
                Some("python3 -m venv .venv && .venv/bin/pip install -r requirements.txt")
            }
            Self::Rust => Some("cargo build --release"),
        }
    }
}

/// Makes the folder and says what to do next.
pub(crate) fn run(args: &Args) -> Outcome {
    let name = args.name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    FunctionName::new(&TenantName::local(), name)
        .map_err(|error| Failure::Refused(error.to_string()))?;
    let is_taken = args.name.symlink_metadata().is_ok()
        && !fs::read_dir(&args.name).is_ok_and(|mut entries| entries.next().is_none());
    if is_taken {
        let shown = args.name.display();
        return Err(Failure::Refused(format!("{shown} is there already, and stays as it is")));
    }
    for (path, text) in args.template.files() {
        let path = args.name.join(path);
        write_new(&path, &text.replace(NAME, name)).map_err(|source| Failure::Io {
            what: format!("could not write {}", path.display()),
            source,
        })?;
    }
    let next = next(args);
    if args.json {
        let files: Vec<&str> = args.template.files().iter().map(|(path, _)| *path).collect();
        return output::json(&json!({ "folder": args.name, "files": files, "next": next }));
    }
    output::line(&format!("made {}\nnext:\n  {}", args.name.display(), next.join("\n  ")))
}

fn next(args: &Args) -> Vec<String> {
    let folder = args.name.display();
    let set_up = args.template.set_up().map(|command| format!("(cd {folder} && {command})"));
    set_up.into_iter().chain([format!("hatchway up {folder}")]).collect()
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}
