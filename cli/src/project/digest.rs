//! What a package holds, as one number: SHA-256 over every path, mode and content, in the order of the names.
//!
//! Four kinds of folder are made by tools and are too large to read on every save:
//! - `node_modules` and `.venv` count with the name, size and time of each file;
//! - of Cargo's `target` only what it has finished counts (`target/*/NAME`), with name, size and time, while
//!   the program that a function names counts with its content;
//! - `.git`, `.hatchway` and `__pycache__` do not change what a function does, and do not count; nor do the
//!   files that editors keep beside the one that is open.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use hatchway_proto::manifest::Diagnostic;
use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

/// Folders of installed packages.
const DEPENDENCIES: [&str; 2] = ["node_modules", ".venv"];
/// Folders that do not change what a function does.
const OUTSIDE: [&str; 3] = [".git", ".hatchway", "__pycache__"];
/// Cargo's folder, and how far below it finished programs stand: `target/release/server`.
const TARGET: &str = "target";
const TARGET_DEPTH: usize = 2;

/// How a file counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// Not at all.
    Nothing,
    /// With name, mode, size and time of the last change.
    Stamp,
    /// With name, mode and content.
    Content,
}

/// Whether a change of the file at `path`, relative to the folder `root`, can make a new version.
pub(crate) fn counts(root: &Path, path: &Path) -> bool {
    weight(root, path) != Weight::Nothing
}

fn weight(root: &Path, path: &Path) -> Weight {
    let parts: Vec<&OsStr> = path.iter().collect();
    let has = |names: &[&str]| parts.iter().any(|part| names.iter().any(|name| part == name));
    if has(&OUTSIDE) || parts.last().is_some_and(|name| is_editors(name)) {
        return Weight::Nothing;
    }
    if has(&DEPENDENCIES) {
        return Weight::Stamp;
    }
    let is_cargos = |above: &[&OsStr]| {
        root.join(above.iter().collect::<PathBuf>()).join("Cargo.toml").is_file()
    };
    match parts.iter().position(|part| *part == TARGET) {
        Some(target) if !is_cargos(&parts[..target]) => Weight::Content,
        Some(target) if parts.len() - 1 - target > TARGET_DEPTH => Weight::Nothing,
        Some(_) => Weight::Stamp,
        None => Weight::Content,
    }
}

/// A swap, lock or backup file of vim (`.x.swp`, `4913`, `x~`) or Emacs (`.#x`, `#x#`): without this, to open a
/// file would be to change it.
fn is_editors(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_swap = name.starts_with(b".") && (name.ends_with(b".swp") || name.ends_with(b".swx"));
    let is_lock = name.starts_with(b".#") || (name.starts_with(b"#") && name.ends_with(b"#"));
    is_swap || is_lock || name.ends_with(b"~") || name == b"4913"
}

/// Digests the package at `root`, in hex. `programs` are paths in it that always count with their content.
/// What goes away meanwhile does not count: an editor replaces a file by renaming another over it.
///
/// # Errors
/// A file or folder that cannot be read.
pub(super) fn package(root: &Path, programs: &[&Path]) -> Result<String, Diagnostic> {
    let mut hasher = Sha256::new();
    let relative = |path: &Path| path.strip_prefix(root).unwrap_or(path).to_path_buf();
    let walk = WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| counts(root, &relative(entry.path()))) {
        let path = match &entry {
            Ok(entry) => entry.path().to_path_buf(),
            Err(error) => error.path().unwrap_or(root).to_path_buf(),
        };
        let added = entry.map_err(io::Error::from).and_then(|entry| {
            let path = relative(&path);
            let is_program = programs.contains(&&*path);
            let weight = if is_program { Weight::Content } else { weight(root, &path) };
            add(&mut hasher, &entry, &path, weight)
        });
        match added {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                let message = format!("cannot be read: {error}");
                return Err(Diagnostic::of_file(path.display().to_string(), message));
            }
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Adds one entry, whole or not at all; every part is preceded by its length or has a fixed one, so that two
/// different packages never feed the same bytes.
fn add(hasher: &mut Sha256, entry: &DirEntry, path: &Path, weight: Weight) -> io::Result<()> {
    let metadata = entry.metadata()?;
    let kind = metadata.file_type();
    if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
        return Ok(());
    }
    if kind.is_dir() && weight == Weight::Stamp {
        return Ok(());
    }
    let inside = if kind.is_symlink() {
        fs::read_link(entry.path())?.into_os_string().into_vec()
    } else if kind.is_file() && weight == Weight::Content {
        digest_of(entry.path())?.to_vec()
    } else if kind.is_file() {
        stamp(&metadata)
    } else {
        Vec::new()
    };
    add_bytes(hasher, path.as_os_str().as_bytes());
    hasher.update(metadata.mode().to_le_bytes());
    add_bytes(hasher, &inside);
    Ok(())
}

fn add_bytes(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// The content by itself: a file may grow while it is read, and no length then fits it.
fn digest_of(path: &Path) -> io::Result<[u8; 32]> {
    let mut content = Sha256::new();
    io::copy(&mut File::open(path)?, &mut HashWriter(&mut content))?;
    Ok(content.finalize().into())
}

fn stamp(metadata: &Metadata) -> Vec<u8> {
    let words = [metadata.size().cast_signed(), metadata.mtime(), metadata.mtime_nsec()];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
