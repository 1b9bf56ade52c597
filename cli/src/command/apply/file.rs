//! The catalog as a file.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use crate::failure::{Failure, Outcome, count};
use crate::project::Project;
use crate::{output, report};

/// Replaces the file by the objects of the project.
pub(super) fn apply(path: &Path, project: &Project, is_json: bool) -> Outcome {
    let mut text = serde_json::to_vec_pretty(&project.objects)
        .expect("catalog objects are strings, numbers and maps with text keys");
    text.push(b'\n');
    write_whole(path, &text).map_err(|source| Failure::Io {
        what: format!("could not write {}", path.display()),
        source,
    })?;
    if is_json {
        let releases = &project.objects.releases;
        return output::json(&json!({ "catalog": path, "releases": releases }));
    }
    report::print_notes(&project.notes);
    let functions = count(project.functions.len(), "function");
    output::line(&format!("{functions} in {}", path.display()))
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
