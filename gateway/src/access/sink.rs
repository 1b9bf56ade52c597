//! Where lines end up: a file that may be renamed, or standard output that may be closed or full. Only whole lines are ever left there,
//! or one that is ended before the next begins.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use super::config::Target;

/// Who may read: the lines name clients.
const MODE: u32 = 0o640;

/// Takes lines.
#[derive(Debug)]
pub(super) struct Sink {
    target: Target,
    /// None for standard output.
    file: Option<File>,
    /// The last write broke off within a line.
    is_torn: bool,
}

/// Lines that could not be written, and why.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) lines: u64,
    pub(super) why: io::Error,
}

impl Sink {
    /// Opens the file for what follows its end.
    ///
    /// # Errors
    /// As open(2).
    pub(super) fn open(target: Target) -> io::Result<Self> {
        let file = match &target {
            Target::Stdout => None,
            Target::File(path) => {
                Some(OpenOptions::new().append(true).create(true).mode(MODE).open(path)?)
            }
        };
        Ok(Self { target, file, is_torn: false })
    }

    /// Opens the file by its name again: it was renamed.
    ///
    /// # Errors
    /// As open(2); the file that is open stays then.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            *self = Self::open(self.target.clone())?;
        }
        Ok(())
    }

    /// Writes whole lines.
    ///
    /// # Errors
    /// Those that were not written, of which the first may have begun.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), Lost> {
        if self.is_torn {
            self.put(b"\n").map_err(|(_, why)| Lost { lines: count(lines), why })?;
            self.is_torn = false;
        }
        self.put(lines).map_err(|(written, why)| {
            self.is_torn = written > 0 && lines[written - 1] != b'\n';
            Lost { lines: count(&lines[written..]), why }
        })
    }

    /// Gives how much was written, where not all was.
    fn put(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        match &mut self.file {
            Some(file) => put(file, bytes),
            // Held for all of them: what others print stands between lines.
            None => put(&mut io::stdout().lock(), bytes),
        }
    }
}

fn put(to: &mut impl Write, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, then none.
    struct Full(Vec<u8>, usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.1 - self.0.len());
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_does_not_fit_is_told_by_where_it_broke_off() {
        let mut full = Full(Vec::new(), 5);
        let (written, why) = put(&mut full, b"one\ntwo\nthree\n").unwrap_err();
        assert_eq!((written, why.kind()), (5, io::ErrorKind::StorageFull));
        assert_eq!(count(b"wo\nthree\n"), 2);
    }

    #[test]
    fn a_full_disk_loses_lines_and_says_so() {
        let mut sink = Sink::open(Target::File("/dev/full".into())).unwrap();
        let lost = sink.write(b"one\ntwo\n").unwrap_err();
        assert_eq!((lost.lines, lost.why.kind()), (2, io::ErrorKind::StorageFull));
        assert!(!sink.is_torn, "nothing was written of the first");
    }

    #[test]
    fn a_line_that_broke_off_is_ended_before_the_next() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("access.log");
        let mut sink = Sink::open(Target::File(path.clone())).unwrap();
        sink.write(b"{\"a\":1").unwrap();
        sink.is_torn = true;
        sink.write(b"{\"b\":2}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1\n{\"b\":2}\n");
    }

    #[test]
    fn after_a_rename_a_new_file_is_begun_and_the_old_one_stays_whole() {
        let folder = tempfile::TempDir::new().unwrap();
        let [path, old] = ["access.log", "access.log.1"].map(|name| folder.path().join(name));
        let mut sink = Sink::open(Target::File(path.clone())).unwrap();
        sink.write(b"1\n").unwrap();
        std::fs::rename(&path, &old).unwrap();
        sink.write(b"2\n").unwrap();
        sink.reopen().unwrap();
        sink.write(b"3\n").unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!((read(&old), read(&path)), ("1\n2\n".to_owned(), "3\n".to_owned()));
        // A folder that went away: the open file stays.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(sink.reopen().is_err());
        sink.write(b"4\n").unwrap();
    }
}
