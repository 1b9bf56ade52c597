//! `hatchway apply`: from projects to a catalog file, whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::failure::{Failure, Outcome, count};
use crate::{output, project, report};

/// What `hatchway apply` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders with a hatchway.toml, or folders of such folders.
    #[arg(default_value = ".")]
    dirs: Vec<PathBuf>,
    /// The file that gateways and nodes read.
    #[arg(long, value_name = "FILE")]
    catalog: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks, then writes.
pub(crate) fn run(args: &Args) -> Outcome {
    let project = project::load(&args.dirs).map_err(Failure::Project)?;
    let mut text = serde_json::to_vec_pretty(&project.objects)
        .expect("catalog objects are strings, numbers and maps with text keys");
    text.push(b'\n');
    let written = write_whole(&args.catalog, &text);
    written.map_err(|source| Failure::Io {
        what: format!("could not write {}", args.catalog.display()),
        source,
    })?;
    if args.json {
        let releases = &project.objects.releases;
        return output::json(&json!({ "catalog": args.catalog, "releases": releases }));
    }
    report::print_notes(&project.notes);
    let functions = count(project.functions.len(), "function");
    output::line(&format!("{functions} in {}", args.catalog.display()))
}

/// Replaces a file so that a reader, and a machine that loses power, sees the old text or the new one:
/// temporary file beside it, fsync, rename, fsync of the folder (rename(2), fsync(2)).
pub(crate) fn write_whole(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let readable = Permissions::from_mode(0o644);
    let mut builder = tempfile::Builder::new();
    let mut file = builder.prefix(".catalog-").permissions(readable).tempfile_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}
