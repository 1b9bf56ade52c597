//! What functions print: line by line, with function, sandbox and request, bounded and rate limited.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hatchway_proto::name::{FunctionName, SandboxId, VersionId};
use prometheus::IntCounter;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{broadcast, watch};

/// The rest of a longer line is a line of its own.
const LINE_BYTES: usize = 8 * 1024;

/// Lines kept per function for whoever asks later.
const KEPT_LINES: usize = 1000;

/// Lines a second that one stream of a sandbox may print; more are counted and dropped.
const LINES_PER_SECOND: u32 = 1000;

/// Lines that a slow follower may be behind before it misses some.
const FOLLOWER_LINES: usize = 4096;

/// Marks a line that an adapter has attributed: the mark, the request id, a space, the line.
const REQUEST_MARK: u8 = 0x1e;

/// One line.
#[derive(Debug, Serialize)]
pub struct LogLine {
    /// When it was read.
    pub unix_ms: u64,
    /// Whose.
    pub function: FunctionName,
    /// Which build.
    pub version: VersionId,
    /// Which process.
    pub sandbox: SandboxId,
    /// The request that was being served, where it is known.
    pub request_id: Option<Box<str>>,
    /// Which stream.
    pub stream: &'static str,
    /// The text, without its end; what is no UTF-8 is replaced.
    pub line: String,
}

/// The last lines of every function, and whoever follows them.
#[derive(Clone, Debug)]
pub struct Logs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kept: Mutex<Kept>,
    followers: broadcast::Sender<Arc<LogLine>>,
    dropped: IntCounter,
    /// Set once another daemon reads on.
    has_left: watch::Sender<bool>,
}

/// The last lines of each function, numbered as they came: the wall clock may be set back.
#[derive(Debug, Default)]
struct Kept {
    next: u64,
    of: HashMap<FunctionName, VecDeque<(u64, Arc<LogLine>)>>,
}

/// Whose lines a stream carries.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Function.
    pub function: FunctionName,
    /// Build.
    pub version: VersionId,
    /// Process.
    pub sandbox: SandboxId,
    /// Which stream: `stdout` or `stderr`.
    pub stream: &'static str,
}

impl Logs {
    /// `dropped` counts lines over the rate.
    pub fn new(dropped: IntCounter) -> Self {
        let (followers, _) = broadcast::channel(FOLLOWER_LINES);
        let has_left = watch::Sender::new(false);
        Self(Arc::new(Inner { kept: Mutex::default(), followers, dropped, has_left }))
    }

    /// The last lines, oldest first: of one function, or of all.
    pub fn last(&self, function: Option<&FunctionName>, count: usize) -> Vec<Arc<LogLine>> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines: Vec<_> = match function {
            Some(function) => kept.of.get(function).into_iter().flatten().collect(),
            None => kept.of.values().flatten().collect(),
        };
        lines.sort_unstable_by_key(|(number, _)| *number);
        let last = lines.split_off(lines.len().saturating_sub(count));
        last.into_iter().map(|(_, line)| Arc::clone(line)).collect()
    }

    /// Every line from now on.
    pub fn follow(&self) -> broadcast::Receiver<Arc<LogLine>> {
        self.0.followers.subscribe()
    }

    /// Reads no more of any stream: another daemon reads on.
    pub(crate) fn leave(&self) {
        self.0.has_left.send_replace(true);
    }

    /// Keeps one line.
    pub fn write(&self, line: LogLine) {
        let line = Arc::new(line);
        {
            let Kept { next, of } =
                &mut *self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let lines = of.entry(line.function.clone()).or_default();
            if lines.len() == KEPT_LINES {
                lines.pop_front();
            }
            lines.push_back((*next, Arc::clone(&line)));
            *next += 1;
        }
        // An error says that nobody follows.
        let _ = self.0.followers.send(line);
    }

    /// Reads a stream to its end. `current` names the request of a sandbox that serves one at a time.
    pub async fn capture(
        self,
        origin: Origin,
        mut stream: impl AsyncRead + Unpin,
        current: impl Fn() -> Option<Box<str>>,
    ) {
        let mut lines = Lines::default();
        let mut rate = LineRate::new();
        let mut buffer = vec![0; LINE_BYTES];
        let mut has_left = self.0.has_left.subscribe();
        loop {
            let count = tokio::select! {
                biased;
                // What has come of the last line is the beginning of one.
                _ = has_left.wait_for(|has_left| *has_left) => 0,
                count = stream.read(&mut buffer) => match count {
                    Ok(count) => count,
                    Err(_) => return,
                },
            };
            let at_end = count == 0;
            lines.push(&buffer[..count], at_end, |line| {
                if rate.pass(Instant::now()) {
                    self.write(log_line(&origin, line, &current));
                } else {
                    self.0.dropped.inc();
                }
            });
            if at_end {
                return;
            }
        }
    }
}

fn log_line(origin: &Origin, line: &[u8], current: impl Fn() -> Option<Box<str>>) -> LogLine {
    let (request_id, text) = attributed(line);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LogLine {
        unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        function: origin.function.clone(),
        version: origin.version,
        sandbox: origin.sandbox,
        request_id: request_id.or_else(current),
        stream: origin.stream,
        line: String::from_utf8_lossy(text).into_owned(),
    }
}

/// Splits an adapter's mark off a line.
fn attributed(line: &[u8]) -> (Option<Box<str>>, &[u8]) {
    let Some(marked) = line.strip_prefix(&[REQUEST_MARK]) else { return (None, line) };
    match marked.iter().position(|byte| *byte == b' ') {
        Some(space) => match std::str::from_utf8(&marked[..space]) {
            Ok(id) => (Some(id.into()), &marked[space + 1..]),
            Err(_) => (None, line),
        },
        None => (None, line),
    }
}

/// Cuts bytes into lines of bounded length.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], at_end: bool, mut each: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if self.partial.ends_with(b"\n") || self.partial.len() >= LINE_BYTES {
                let line = self.partial.strip_suffix(b"\n").unwrap_or(&self.partial);
                each(line.strip_suffix(b"\r").unwrap_or(line));
                self.partial.clear();
            }
        }
        if at_end && !self.partial.is_empty() {
            each(&self.partial);
            self.partial.clear();
        }
    }
}

/// So many lines in each second.
#[derive(Debug)]
struct LineRate {
    second: Option<Instant>,
    passed: u32,
}

impl LineRate {
    fn new() -> Self {
        Self { second: None, passed: 0 }
    }

    fn pass(&mut self, now: Instant) -> bool {
        let is_over = |since: &Instant| now.duration_since(*since) >= Duration::from_secs(1);
        if self.second.as_ref().is_none_or(is_over) {
            self.second = Some(now);
            self.passed = 0;
        }
        self.passed += 1;
        self.passed <= LINES_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for (index, piece) in pieces.iter().enumerate() {
            lines.push(piece, index + 1 == pieces.len(), |line| {
                found.push(String::from_utf8_lossy(line).into_owned());
            });
        }
        found
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        assert_eq!(cut(&[b"a\nb\r\n\nc"]), ["a", "b", "", "c"]);
        assert_eq!(cut(&[b"a", b"\nb\r", b"\n\n", b"c"]), ["a", "b", "", "c"]);
        assert_eq!(cut(&[b"a\n", b""]), ["a"]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_never_kept_whole() {
        let long = vec![b'x'; 3 * LINE_BYTES + 1];
        assert_eq!(cut(&[&long]).len(), 1, "one piece is one line at most twice the bound");
        let pieces: Vec<&[u8]> = long.chunks(LINE_BYTES / 2).collect();
        assert!(cut(&pieces).iter().all(|line| line.len() <= LINE_BYTES + LINE_BYTES / 2));
    }

    #[test]
    fn a_mark_attributes_a_line_to_its_request() {
        assert_eq!(attributed(b"\x1er-1 hello you"), (Some("r-1".into()), &b"hello you"[..]));
        assert_eq!(attributed(b"plain"), (None, &b"plain"[..]));
        assert_eq!(attributed(b"\x1ebroken"), (None, &b"\x1ebroken"[..]));
    }

    #[test]
    fn the_last_lines_are_those_that_came_last_whatever_the_clock_says() {
        let logs = Logs::new(IntCounter::new("dropped", "of a test").expect("a good name"));
        for (n, unix_ms) in [500, 600, 100, 50].into_iter().enumerate() {
            let name = ["local/a", "local/b"][n % 2];
            logs.write(LogLine {
                unix_ms,
                function: FunctionName::parse(name).expect("a name"),
                version: VersionId::parse("0123456789abcdef").expect("a version"),
                sandbox: SandboxId(1),
                request_id: None,
                stream: "stdout",
                line: n.to_string(),
            });
        }
        let last = |function: Option<&str>, count| -> Vec<String> {
            let function = function.map(|name| FunctionName::parse(name).expect("a name"));
            logs.last(function.as_ref(), count).iter().map(|line| line.line.clone()).collect()
        };
        assert_eq!(last(None, 3), ["1", "2", "3"]);
        assert_eq!(last(Some("local/a"), 1), ["2"]);
    }

    #[test]
    fn more_lines_than_the_rate_are_dropped_until_the_next_second() {
        let (mut rate, t0) = (LineRate::new(), Instant::now());
        let passed = (0..5000).filter(|_| rate.pass(t0)).count();
        assert_eq!(passed, LINES_PER_SECOND as usize);
        assert!(rate.pass(t0 + Duration::from_secs(1)));
    }
}
