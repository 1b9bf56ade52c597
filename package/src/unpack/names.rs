//! Which names a package may use: pure.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::limits::Limits;

/// The longest name of a file (NAME_MAX, limits.h(0p) on Linux).
const NAME_BYTES: usize = 255;

/// A member's path: below the folder, of plain names. Empty for the folder itself.
///
/// # Errors
/// What is wrong with it.
pub(super) fn path(bytes: &[u8], limits: &Limits) -> Result<PathBuf, &'static str> {
    if bytes.len() > limits.path_bytes {
        return Err("has too long a path");
    }
    if bytes.contains(&0) {
        return Err("has a NUL byte in its path");
    }
    let mut path = PathBuf::new();
    let mut depth = 0;
    for component in Path::new(OsStr::from_bytes(bytes)).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) if name.len() <= NAME_BYTES => {
                path.push(name);
                depth += 1;
            }
            Component::Normal(_) => return Err("has a name of more than 255 bytes"),
            Component::ParentDir => return Err("has a path with .. in it"),
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute path"),
        }
    }
    if depth > limits.depth {
        return Err("is in too many folders");
    }
    Ok(path)
}

/// True when a link at `path`, which is in real folders only, could lead out of the package.
///
/// `..` may stand at the beginning alone, and not more often than there are folders above: what follows are names, some of
/// them links perhaps, which are bound by the same rule where they stand. So no chain of them leads out. A `..` behind
/// a name would mean the parent of whatever that name is a link to.
pub(crate) fn link_leads_out(path: &Path, target: &Path) -> bool {
    let above = path.components().count().saturating_sub(1);
    let mut up = 0;
    let mut has_name = false;
    for component in target.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(_) => has_name = true,
            Component::ParentDir if has_name => return true,
            Component::ParentDir => up += 1,
            Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    up > above
}

/// What a link points to.
///
/// # Errors
/// What is wrong with it.
pub(super) fn target(path: &Path, bytes: &[u8], limits: &Limits) -> Result<PathBuf, &'static str> {
    if bytes.is_empty() || bytes.len() > limits.path_bytes || bytes.contains(&0) {
        return Err("is a link to no path");
    }
    let target = PathBuf::from(OsStr::from_bytes(bytes));
    if link_leads_out(path, &target) { Err("is a link out of the package") } else { Ok(target) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_down_by_plain_names() {
        let limits = Limits { path_bytes: 300, depth: 3, ..Limits::default() };
        let read = |bytes: &[u8]| path(bytes, &limits);
        assert_eq!(read(b"a/b.js"), Ok("a/b.js".into()));
        assert_eq!(read(b"./a//b/./"), Ok("a/b".into()));
        assert_eq!(read(b"./"), Ok("".into()), "the folder itself");
        assert_eq!(read(b"\xff"), Ok(OsStr::from_bytes(b"\xff").into()), "any bytes are a name");
        let long = [b'x'; 256];
        for wrong in [&b"/etc/passwd"[..], b"../a", b"a/../b", b"a/..", b"a\0b", b"a/b/c/d", &long]
        {
            assert!(read(wrong).is_err(), "{:?}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn a_link_leads_up_no_further_than_the_folder() {
        for (path, target) in [
            ("a", "b"),
            ("a", "./b/c"),
            ("bin/x", "../lib/x.js"),
            ("a/b/c", "../.."),
            ("node_modules/.bin/tsc", "../typescript/bin/tsc"),
        ] {
            assert!(!link_leads_out(Path::new(path), Path::new(target)), "{path} -> {target}");
        }
        for (path, target) in [
            ("a", "/etc/passwd"),
            ("a", ".."),
            ("a", "../b"),
            ("a/b", "../../b"),
            // d/up may be a link upwards itself, so that its parent is outside.
            ("x", "d/up/.."),
        ] {
            assert!(link_leads_out(Path::new(path), Path::new(target)), "{path} -> {target}");
        }
    }
}
