//! What a program prints, line by line, with somebody waiting for a certain line.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::PATIENCE;

/// Which stream a line came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<(Source, String)>,
    open: usize,
}

/// The lines so far; clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<(Mutex<Lines>, Condvar)>);

impl Output {
    /// Reads `stream` to its end on a thread of its own.
    pub(crate) fn read(
        &self,
        source: Source,
        stream: impl Read + Send + 'static,
    ) -> JoinHandle<()> {
        self.lock().open += 1;
        let output = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                output.lock().lines.push((source, line));
                output.0.1.notify_all();
            }
            output.lock().open -= 1;
            output.0.1.notify_all();
        })
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the first line that `find` makes something of, among those that were printed already too.
    ///
    /// # Panics
    /// With all that was printed, when the program ends or [`PATIENCE`] does.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, find: impl FnMut(&str) -> Option<T>) -> T {
        self.wait_from(0, what, find).1
    }

    /// As [`wait`](Self::wait), from line number `first` on; also says the number of the line after the found one.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_from<T>(
        &self,
        first: usize,
        what: &str,
        mut find: impl FnMut(&str) -> Option<T>,
    ) -> (usize, T) {
        let deadline = Instant::now() + PATIENCE;
        let (mut next, mut lines) = (first, self.lock());
        loop {
            while next < lines.lines.len() {
                next += 1;
                if let Some(found) = find(&lines.lines[next - 1].1) {
                    return (next, found);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.open == 0 || left.is_zero() {
                drop(lines);
                panic!("waited in vain for {what} in the output:\n{self}");
            }
            lines = self.0.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a line that contains `part`; that line.
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for(&self, part: &str) -> String {
        self.wait(&format!("{part:?}"), |line| line.contains(part).then(|| line.to_owned()))
    }

    /// How many lines there are: a mark for [`wait_from`](Self::wait_from).
    pub fn len(&self) -> usize {
        self.lock().lines.len()
    }

    /// Whether nothing was printed yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lines that contain `part`.
    pub fn with(&self, part: &str) -> Vec<String> {
        let lines = self.lock();
        let found = lines.lines.iter().filter(|(_, line)| line.contains(part));
        found.map(|(_, line)| line.clone()).collect()
    }

    /// Everything that came by one stream.
    pub fn text(&self, source: Source) -> String {
        let lines = self.lock();
        let of = lines.lines.iter().filter(|(from, _)| *from == source);
        of.map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
    }
}

/// Lines that are shown to a person; more of them bury the reason.
const SHOWN: usize = 200;

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.lock();
        let hidden = lines.lines.len().saturating_sub(SHOWN);
        if hidden > 0 {
            writeln!(f, "    ({hidden} lines before)")?;
        }
        for (source, line) in &lines.lines[hidden..] {
            writeln!(f, "    {} {line}", if *source == Source::Out { '|' } else { '!' })?;
        }
        Ok(())
    }
}
