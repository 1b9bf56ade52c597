//! Files of a version that are answered without starting its function.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use hatchway_proto::catalog::Version;
use hatchway_wire::backend::AssetRequest;
use hatchway_wire::http1::{Answer, Body};
use http_range_header::parse_range_header;
use percent_encoding::percent_decode_str;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

/// Answers a folder.
const INDEX: &str = "index.html";

/// The answer, when the version has such a file among its `files`; the function is asked otherwise.
pub(crate) fn find(version: &Version, files: &Path, request: &AssetRequest) -> Option<Answer> {
    let root = files.join(version.assets.as_ref()?);
    let path = relative(&request.path)?;
    let (file, name) = open(&root, &path)?;
    let metadata = file.metadata().ok()?;
    let etag = match &version.package.root {
        Some(_) => {
            format!("\"{:x}-{:x}\"", metadata.mtime_nsec() + metadata.mtime(), metadata.len())
        }
        // Every node has unpacked it at another time: only the package is the same for all.
        None => format!("\"{:.16}-{:x}\"", version.package.digest, metadata.len()),
    };
    let is_known = |tags: &str| tags == "*" || tags.split(',').any(|tag| matches(tag, &etag));
    if request.if_none_match.as_deref().is_some_and(is_known) {
        return Some(Answer::new(304, Vec::new()).with("etag", etag));
    }
    let kind = mime_guess::from_path(&name).first_or_octet_stream();
    let answer = part(file, metadata.len(), request.range.as_deref());
    Some(
        answer
            .with("content-type", kind.essence_str().to_owned())
            .with("etag", etag)
            .with("accept-ranges", "bytes")
            .with("x-content-type-options", "nosniff"),
    )
}

/// Weak comparison (RFC 9110 section 8.8.3.2).
fn matches(tag: &str, etag: &str) -> bool {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag) == etag
}

/// The whole file, or the one range that is asked for; several ranges are answered with the whole file,
/// as RFC 9110 section 14.2 allows.
fn part(file: File, len: u64, range: Option<&str>) -> Answer {
    let whole =
        |file| Answer { body: Body::File { file, offset: 0, len }, ..Answer::new(200, Vec::new()) };
    let Some(parsed) = range.and_then(|range| parse_range_header(range).ok()) else {
        return whole(file);
    };
    match parsed.validate(len).as_deref() {
        Ok([one]) => {
            let (first, last) = (*one.start(), *one.end());
            let body = Body::File { file, offset: first, len: last - first + 1 };
            Answer { body, ..Answer::new(206, Vec::new()) }
                .with("content-range", format!("bytes {first}-{last}/{len}"))
        }
        Ok(_) => whole(file),
        Err(_) => Answer::new(416, Vec::new()).with("content-range", format!("bytes */{len}")),
    }
}

/// The path of a URL as a path below a folder; none when it is no plain way down.
fn relative(path: &str) -> Option<PathBuf> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    if decoded.contains(['\0', '\\']) {
        return None;
    }
    let path = PathBuf::from(decoded.trim_start_matches('/'));
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

/// Opens a regular file below `root`; the kernel sees to it that no link leads out (openat2(2)).
fn open(root: &Path, path: &Path) -> Option<(File, PathBuf)> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root, folder, Mode::empty()).ok()?;
    let open = |path: &Path| {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let below = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&root, path, flags, Mode::empty(), below).ok().map(File::from)
    };
    let is_folder = path.as_os_str().is_empty() || open(path)?.metadata().ok()?.is_dir();
    let path = if is_folder { path.join(INDEX) } else { path.to_owned() };
    let file = open(&path)?;
    file.metadata().ok()?.is_file().then_some((file, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_way_down_is_a_path() {
        assert_eq!(relative("/a/b.css"), Some("a/b.css".into()));
        assert_eq!(relative("/"), Some("".into()));
        assert_eq!(relative("/a%20b"), Some("a b".into()));
        for bad in ["/../x", "/a/../../x", "/%2e%2e/x", "/a%00", "/a\\..\\x", "/%ff"] {
            assert_eq!(relative(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_link_that_leads_out_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("in.txt"), "in").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("out")).unwrap();
        std::os::unix::fs::symlink("in.txt", root.path().join("inner")).unwrap();
        assert!(open(root.path(), Path::new("out")).is_none());
        assert!(open(root.path(), Path::new("inner")).is_some());
        assert!(open(root.path(), Path::new("absent")).is_none());
        assert!(open(root.path(), Path::new("")).is_none(), "no index");
    }

    #[test]
    fn a_range_is_answered_with_its_bytes_and_a_wrong_one_with_the_size() {
        let file = || tempfile::tempfile().unwrap();
        let some = part(file(), 100, Some("bytes=10-19"));
        assert_eq!((some.status, some.len()), (206, 10));
        assert_eq!(part(file(), 100, Some("bytes=100-")).status, 416);
        assert_eq!(part(file(), 100, Some("bytes=0-1,5-6")).status, 200);
        assert_eq!(part(file(), 100, None).len(), 100);
    }
}
