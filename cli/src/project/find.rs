//! From the folders that a user names to manifests.

use std::collections::HashSet;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use hatchway_proto::manifest::{self, Diagnostic, FILE_NAME, Manifest};

use super::Home;

/// A manifest of a thousand functions is a tenth of this.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// The manifests of `dirs`, as far as they could be read, and their mistakes. A folder that is named twice
/// counts once.
pub(super) fn homes(dirs: &[PathBuf]) -> (Vec<Home>, Vec<Diagnostic>) {
    let mut homes = Vec::new();
    let mut mistakes = Vec::new();
    let mut seen = HashSet::new();
    for dir in dirs {
        let manifests = manifests_in(dir).unwrap_or_else(|mistake| {
            mistakes.push(mistake);
            Vec::new()
        });
        for path in manifests {
            let folder = folder_of(&path);
            if !seen.insert(folder.clone()) {
                continue;
            }
            let (manifest, found) = read(&path);
            mistakes.extend(found);
            homes.extend(manifest.map(|manifest| Home { manifest, folder }));
        }
    }
    (homes, mistakes)
}

/// The folder that a manifest stands in, absolute where it can be found.
fn folder_of(manifest: &Path) -> PathBuf {
    let folder = manifest.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf())
}

/// The manifest in `dir`, or else those one level below, in the order of their names.
fn manifests_in(dir: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    if dir.file_name().is_some_and(|name| name == FILE_NAME) && dir.is_file() {
        return Ok(vec![dir.to_path_buf()]);
    }
    let own = dir.join(FILE_NAME);
    if own.is_file() {
        return Ok(vec![own]);
    }
    let shown = dir.display().to_string();
    let entries = fs::read_dir(dir)
        .map_err(|error| Diagnostic::of_file(&*shown, format!("cannot be read: {error}")))?;
    let mut below: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path().join(FILE_NAME)))
        .filter(|path| path.is_file())
        .collect();
    below.sort();
    if below.is_empty() {
        let message = format!("no {FILE_NAME} in this folder nor in the ones below it");
        let help = "`hatchway new NAME` makes a project to start from";
        return Err(Diagnostic::of_file(shown, message).with_help(help));
    }
    Ok(below)
}

/// What of a manifest is whole, and its mistakes.
fn read(path: &Path) -> (Option<Manifest>, Vec<Diagnostic>) {
    let shown = path.strip_prefix("./").unwrap_or(path).display().to_string();
    let mut text = String::new();
    let read = fs::File::open(path)
        .and_then(|file| file.take(MAX_MANIFEST_BYTES + 1).read_to_string(&mut text));
    let unreadable = match read {
        Ok(bytes) if bytes as u64 <= MAX_MANIFEST_BYTES => return manifest::examine(&shown, &text),
        Ok(_) => format!("is larger than {MAX_MANIFEST_BYTES} bytes"),
        Err(error) if error.kind() == ErrorKind::InvalidData => "is not UTF-8 text".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    (None, vec![Diagnostic::of_file(shown, unreadable)])
}
