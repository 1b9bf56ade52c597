//! The small text files of which groups are made.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Writes `value` in one call, as the kernel wants it; the path is in the error.
pub(crate) fn write(dir: &Path, name: &str, value: &str) -> io::Result<()> {
    let path = dir.join(name);
    let written = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(value.as_bytes()));
    written.map_err(|error| named(&error, &path))
}

/// Writes where the file exists; an older kernel does not have every one.
pub(crate) fn write_if_offered(dir: &Path, name: &str, value: &str) -> io::Result<()> {
    match write(dir, name, value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written,
    }
}

pub(crate) fn read(dir: &Path, name: &str) -> io::Result<String> {
    let path = dir.join(name);
    fs::read_to_string(&path).map_err(|error| named(&error, &path))
}

pub(crate) fn read_number(dir: &Path, name: &str) -> io::Result<u64> {
    let text = read(dir, name)?;
    text.trim().parse().map_err(|_| garbled(dir, name))
}

/// The number behind `key` in a file of `key number` lines; 0 when there is no such line.
pub(crate) fn value_of(text: &str, key: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find_map(|(name, value)| (name == key).then(|| value.trim().parse().ok())?)
        .unwrap_or(0)
}

pub(crate) fn open_for_writing(dir: &Path, name: &str) -> io::Result<OwnedFd> {
    let path = dir.join(name);
    let file = fs::OpenOptions::new().write(true).open(&path);
    Ok(file.map_err(|error| named(&error, &path))?.into())
}

/// Makes a folder, which the kernel fills; one that is there already is somebody else's.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir(dir).map_err(|error| named(&error, dir))
}

/// Removes a folder; one that is gone is as good.
pub(crate) fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(named(&error, dir)),
        _ => Ok(()),
    }
}

pub(crate) fn garbled(dir: &Path, name: &str) -> io::Error {
    let path = dir.join(name);
    io::Error::new(io::ErrorKind::InvalidData, format!("{} is not a number", path.display()))
}

/// Keeps the kind and the number, and says where.
fn named(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(
        error.kind(),
        Named { path: path.display().to_string(), errno: error.raw_os_error() },
    )
}

/// An error with the path it happened at.
#[derive(Debug)]
pub(crate) struct Named {
    path: String,
    errno: Option<i32>,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.errno {
            Some(errno) => write!(f, "{}: {}", self.path, io::Error::from_raw_os_error(errno)),
            None => f.write_str(&self.path),
        }
    }
}

impl std::error::Error for Named {}

/// The error number, also behind a path.
pub(crate) fn errno(error: &io::Error) -> i32 {
    let named = error.get_ref().and_then(|inner| inner.downcast_ref::<Named>());
    named.and_then(|named| named.errno).or(error.raw_os_error()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_key() {
        let text = "oom_kill_disable 0\nunder_oom 1\noom_kill 3\n";
        assert_eq!(value_of(text, "oom_kill"), 3);
        assert_eq!(value_of(text, "oom"), 0);
    }

    #[test]
    fn an_error_says_where_and_keeps_its_number() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let error = write(dir.path(), "memory.max", "1").expect_err("no such file");
        assert!(error.to_string().contains("memory.max"));
        assert_eq!(errno(&error), libc::ENOENT);
        write_if_offered(dir.path(), "memory.max", "1").expect("not offered is fine");
    }

    #[test]
    fn a_number_that_is_none_is_an_error() {
        let dir = tempfile::tempdir().expect("temporary folder");
        fs::write(dir.path().join("pids.current"), "max\n").expect("write");
        let error = read_number(dir.path(), "pids.current").expect_err("not a number");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
