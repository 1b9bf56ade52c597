//! `hatchway check`: every mistake of a project, before anything is started.

use std::path::PathBuf;

use serde_json::json;

use crate::count::count;
use crate::failure::{Failure, Outcome};
use crate::project::{self, Project};
use crate::{output, report};

/// What `hatchway check` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders with a hatchway.toml, or folders of such folders.
    #[arg(default_value = ".")]
    dirs: Vec<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks, and says what there is.
pub(crate) fn run(args: &Args) -> Outcome {
    let loaded = project::load(&args.dirs);
    match (loaded, args.json) {
        (Ok(project), false) => show(&project),
        (Ok(project), true) => output::json(&summary(&project)),
        (Err(mistakes), false) => Err(Failure::Project(mistakes)),
        (Err(mistakes), true) => {
            output::json(&json!({ "ok": false, "mistakes": mistakes }))?;
            Err(Failure::Project(mistakes))
        }
    }
}

fn show(project: &Project) -> Outcome {
    let mut table = output::table(&["FUNCTION", "RUNTIME", "ROUTE", "VERSION", "MANIFEST"]);
    for function in &project.functions {
        let runtime = project.objects.versions[&function.version].runtime.word();
        let routes = routes_of(project, function).join("\n");
        let name = output::short_name(&function.name);
        table.add_row([name, runtime, &routes, function.version.as_str(), &function.manifest]);
    }
    output::show(&table)?;
    report::print_notes(&project.notes);
    output::line(&format!("\n{}, no mistakes", count(project.functions.len(), "function")))
}

fn routes_of(project: &Project, function: &project::Deployed) -> Vec<String> {
    let routes = project.objects.routes.values().filter(|route| route.function == function.name);
    routes.map(|route| format!("{}{}", route.host.as_deref().unwrap_or(""), route.path)).collect()
}

fn summary(project: &Project) -> serde_json::Value {
    let functions = project.functions.iter().map(|function| {
        json!({
            "name": function.name,
            "version": function.version,
            "runtime": project.objects.versions[&function.version].runtime.word(),
            "routes": routes_of(project, function),
            "package": function.folder,
            "manifest": function.manifest,
        })
    });
    json!({
        "ok": true,
        "functions": functions.collect::<Vec<_>>(),
        "folders": project.folders,
        "notes": project.notes,
    })
}
