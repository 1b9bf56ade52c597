//! A project on disk: manifests, and the files that they speak of.
//!
//! [`find`] turns folders into manifests, [`files`] looks for what they name, [`exports`] asks the
//! interpreters whether a handler is really there, [`digest`] says what a package holds,
//! [`contents`] what of it goes into a store, [`stored`] what versions there are then. Nothing of the
//! user's code is run. All mistakes come at once; without any, there are objects for a catalog.

pub(crate) mod contents;
pub(crate) mod digest;
mod exports;
mod files;
mod find;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;

use hatchway_proto::catalog::{Objects, Package};
use hatchway_proto::manifest::{self, Diagnostic, Function, Manifest};
use hatchway_proto::name::{FunctionName, VersionId};

/// What some folders hold, checked.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    /// What a catalog needs to serve it. `package.root` of a version is absolute.
    pub(crate) objects: Objects,
    /// In the order of the folders and of their manifests.
    pub(crate) functions: Vec<Deployed>,
    /// What could not be checked or will likely be missed, a sentence each.
    pub(crate) notes: Vec<String>,
    /// The folders of the manifests, absolute: all that a version depends on is below one of them.
    pub(crate) folders: Vec<PathBuf>,
}

/// A function of a project.
#[derive(Clone, Debug)]
pub(crate) struct Deployed {
    pub(crate) name: FunctionName,
    pub(crate) version: VersionId,
    /// Its package, absolute.
    pub(crate) folder: PathBuf,
    /// The manifest, as the user would name it.
    pub(crate) manifest: String,
}

/// A manifest and the folder it stands in.
#[derive(Debug)]
struct Home {
    manifest: Manifest,
    folder: PathBuf,
}

/// A function whose files have been looked at.
#[derive(Debug)]
struct Located<'a> {
    home: &'a Home,
    function: &'a Function,
    /// Its package: absolute, links resolved.
    root: PathBuf,
}

impl Located<'_> {
    /// A mistake in what the function runs.
    fn wrong_program(&self, message: impl Into<String>) -> Diagnostic {
        self.home.manifest.source.at(self.function.places.runtime.clone(), message)
    }
}

/// Reads and checks the projects in `dirs`: folders with a manifest, or folders of such folders.
///
/// Blocks on files and on at most one process of each interpreter, which parse and do not run.
///
/// # Errors
/// Every mistake of every manifest and of the files that they name.
pub(crate) fn load(dirs: &[PathBuf]) -> Result<Project, Vec<Diagnostic>> {
    let (homes, mut mistakes) = find::homes(dirs);
    mistakes.extend(manifest::clashes(homes.iter().map(|home| &home.manifest)));
    let mut located = Vec::new();
    for home in &homes {
        for function in &home.manifest.functions {
            match files::locate(home, function) {
                Ok(root) => located.push(Located { home, function, root }),
                Err(found) => mistakes.extend(found),
            }
        }
    }
    let (digests, exports) = thread::scope(|scope| {
        let exports = scope.spawn(|| exports::check(&located));
        (digest_packages(&located), exports.join().expect("checking exports does not panic"))
    });
    mistakes.extend(exports.mistakes);
    let mut packages = BTreeMap::new();
    for (root, digest) in digests {
        match digest {
            Ok(digest) => _ = packages.insert(root, digest),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut notes = exports.notes;
    notes.extend(located.iter().filter_map(files::missing_dependencies));
    notes.dedup();
    let folders = homes.iter().map(|home| home.folder.clone()).collect();
    Ok(assemble(&located, &packages, notes, folders))
}

fn assemble(
    located: &[Located<'_>],
    digests: &BTreeMap<PathBuf, String>,
    notes: Vec<String>,
    folders: Vec<PathBuf>,
) -> Project {
    let package = |at: &Located<'_>| Package {
        root: Some(at.root.clone()),
        digest: digests.get(&at.root).expect("every package has been digested").clone(),
    };
    let objects = manifest::objects(located.iter().map(|at| (at.function, package(at))));
    let functions = located.iter().map(|at| Deployed {
        name: at.function.name.clone(),
        version: objects.releases[&at.function.name].stable,
        folder: at.root.clone(),
        manifest: at.home.manifest.source.file().to_owned(),
    });
    Project { functions: functions.collect(), objects, notes, folders }
}

/// Digests each package once, however many functions share it, on as many cores as there are.
fn digest_packages(located: &[Located<'_>]) -> BTreeMap<PathBuf, Result<String, Diagnostic>> {
    let mut programs: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
    for at in located {
        programs.entry(&at.root).or_default().extend(files::own_program(at.function));
    }
    let work: Vec<(&Path, Vec<&Path>)> = programs.into_iter().collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = work.len().div_ceil(workers).max(1);
    thread::scope(|scope| {
        let digest = |(root, programs): &(&Path, Vec<&Path>)| {
            (root.to_path_buf(), digest::package(root, programs))
        };
        let threads: Vec<_> = work
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(digest).collect::<Vec<_>>()))
            .collect();
        let parts = threads.into_iter().map(|one| one.join().expect("digesting does not panic"));
        parts.flatten().collect()
    })
}
