//! The catalog as a file.

use std::path::Path;

use serde_json::json;

use crate::catalog_file::CatalogFile;
use crate::failure::{Outcome, count};
use crate::project::Project;
use crate::{output, report};

/// Replaces the file by the objects of the project.
pub(super) fn apply(path: &Path, project: &Project, is_json: bool) -> Outcome {
    CatalogFile::lock(path)?.write(&project.objects)?;
    if is_json {
        let releases = &project.objects.releases;
        return output::json(&json!({ "catalog": path, "releases": releases }));
    }
    report::print_notes(&project.notes);
    let functions = count(project.functions.len(), "function");
    output::line(&format!("{functions} in {}", path.display()))
}
