//! What of a folder goes into a package for a store.
//!
//! Everything that counts for a version (see [`digest`]), but for what `.hatchwayignore` files say, which are read
//! as `.gitignore` files are: one in each folder, for that and those below. The manifest stays behind as well, so
//! that a change of memory or routes alone finds the package in the store, and on every node, already.

use std::path::{Path, PathBuf};

use hatchway_proto::manifest::FILE_NAME;
use ignore::WalkBuilder;

use super::digest;
use crate::failure::Failure;

/// Names what is not to be packed.
const IGNORE: &str = ".hatchwayignore";

/// Every file, link and folder that is packed, relative to `root`.
///
/// # Errors
/// A folder that cannot be read, or a line of an ignore file that means nothing.
pub(crate) fn paths(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let of = root.to_owned();
    let walk = WalkBuilder::new(root)
        .standard_filters(false)
        .add_custom_ignore_filename(IGNORE)
        .follow_links(false)
        .filter_entry(move |entry| {
            let path = entry.path().strip_prefix(&of).unwrap_or(Path::new(""));
            path.as_os_str().is_empty() || digest::counts(&of, path)
        })
        .build();
    let mut paths = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|error| unreadable(root, &error))?;
        if let Some(error) = entry.error() {
            return Err(unreadable(root, error));
        }
        let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let is_ours = path == Path::new(FILE_NAME) || path.ends_with(IGNORE);
        if !path.as_os_str().is_empty() && !is_ours {
            paths.push(path.to_owned());
        }
    }
    Ok(paths)
}

fn unreadable(root: &Path, error: &ignore::Error) -> Failure {
    Failure::Refused(format!("{} cannot be packed: {error}", root.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn packed(files: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let mut paths = paths(root.path())?;
        paths.retain(|path| !root.path().join(path).is_dir());
        paths.sort();
        Ok(paths.into_iter().map(|path| path.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn all_that_counts_is_packed_hidden_files_and_dependencies_too() {
        let files = [
            ("hatchway.toml", ""),
            ("server.js", ""),
            (".env", ""),
            ("node_modules/a/index.js", ""),
            (".git/HEAD", ""),
            ("lib/__pycache__/x.pyc", ""),
            ("server.js~", ""),
        ];
        assert_eq!(packed(&files).unwrap(), [".env", "node_modules/a/index.js", "server.js"]);
    }

    #[test]
    fn ignore_files_speak_for_their_folders() {
        let files = [
            (".hatchwayignore", "*.md\n/tests/\n!KEEP.md\n"),
            ("README.md", ""),
            ("KEEP.md", ""),
            ("tests/a.js", ""),
            ("lib/tests/b.js", ""),
            ("lib/.hatchwayignore", "c.js\n"),
            ("lib/c.js", ""),
            ("c.js", ""),
            // Of others, nothing is heard.
            (".gitignore", "c.js\n"),
        ];
        assert_eq!(packed(&files).unwrap(), [".gitignore", "KEEP.md", "c.js", "lib/tests/b.js"]);
        assert!(packed(&[(".hatchwayignore", "a[z-b]\n"), ("a", "")]).is_err());
    }
}
