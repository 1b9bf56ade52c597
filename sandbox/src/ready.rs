//! Reading the ready pipe: one line of JSON by which a function says that it serves, or why
//! it does not.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tokio::net::unix::pipe;

use crate::exit::Exit;
use crate::protocol::order::Door;

/// A stack trace fits; a function that writes without end does not cost us more.
const MAX_REPORT_BYTES: usize = 64 << 10;

/// What a function said when it was ready to serve.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadyReport {
    /// What stood in `ready`; null for a probed function, which says nothing.
    pub value: Value,
    /// Where a probed function answered.
    pub door: Option<Door>,
}

/// Why a function will not serve.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotReady {
    /// It said so itself: what stood in `failed`, with `reason`, `message` and `stack`.
    #[error("the function could not start: {}", message(.report))]
    Failed { report: Value },
    #[error("{0} before it was ready")]
    Ended(Exit),
    #[error("closed its ready pipe without a word")]
    Silent,
    #[error("wrote something else than a report to its ready pipe: {text:?}")]
    Garbled { text: String },
    #[error("cannot wait for it: {message}")]
    Io { message: String },
}

fn message(report: &Value) -> &str {
    let message = report.get("message").or_else(|| report.get("reason"));
    message.and_then(Value::as_str).unwrap_or("no reason given")
}

/// The reading end, and what has come of the line so far.
#[derive(Debug)]
pub(crate) struct ReadyPipe {
    pipe: OwnedFd,
    line: Mutex<Vec<u8>>,
}

impl ReadyPipe {
    pub(crate) fn new(pipe: OwnedFd) -> Self {
        Self { pipe, line: Mutex::default() }
    }

    /// Waits for the line. Cancel safe: what has come is kept for the next call.
    pub(crate) async fn read(&self) -> Result<ReadyReport, NotReady> {
        let pipe = self.pipe.try_clone().and_then(pipe::Receiver::from_owned_fd);
        let pipe = pipe.map_err(|error| io_error(&error))?;
        loop {
            if let Some(done) = self.parse() {
                return done;
            }
            pipe.readable().await.map_err(|error| io_error(&error))?;
            let mut piece = [0; 4096];
            match pipe.try_read(&mut piece) {
                Ok(0) => return Err(NotReady::Silent),
                Ok(n) => self.line().extend_from_slice(&piece[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(io_error(&error)),
            }
        }
    }

    /// What has come after the line so far, and the pipe for the rest.
    pub(crate) fn rest(&self) -> io::Result<(Vec<u8>, OwnedFd)> {
        let line = self.line();
        let end = line.iter().position(|byte| *byte == b'\n').map_or(line.len(), |end| end + 1);
        Ok((line[end..].to_vec(), self.pipe.try_clone()?))
    }

    /// What the function had said when it ended. It may have ended before we heard of it.
    pub(crate) fn last_words(&self) -> Option<Result<ReadyReport, NotReady>> {
        let mut piece = [0; 4096];
        // The writing end is closed by now, so this never waits; a report that does not fit the
        // pipe's buffer has been read along the way.
        while let Ok(read @ 1..) = rustix::io::read(&self.pipe, &mut piece) {
            self.line().extend_from_slice(&piece[..read]);
            if self.line().len() > MAX_REPORT_BYTES {
                break;
            }
        }
        self.parse()
    }

    fn line(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The report, once the line is whole or longer than any report is.
    fn parse(&self) -> Option<Result<ReadyReport, NotReady>> {
        let line = self.line();
        match line.iter().position(|byte| *byte == b'\n') {
            Some(end) => Some(parse(&line[..end])),
            None if line.len() > MAX_REPORT_BYTES => Some(Err(garbled(&line))),
            None => None,
        }
    }
}

fn io_error(error: &io::Error) -> NotReady {
    NotReady::Io { message: error.to_string() }
}

fn parse(line: &[u8]) -> Result<ReadyReport, NotReady> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(line) else {
        return Err(garbled(line));
    };
    if let Some(value) = fields.remove("ready") {
        return Ok(ReadyReport { value, door: None });
    }
    match fields.remove("failed") {
        Some(report) => Err(NotReady::Failed { report }),
        None => Err(garbled(line)),
    }
}

fn garbled(line: &[u8]) -> NotReady {
    let start = &line[..line.len().min(200)];
    NotReady::Garbled { text: String::from_utf8_lossy(start).into_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ready_line_carries_whatever_the_runtime_put_there() {
        let report = parse(br#"{"ready":{"load_ms":12}}"#).expect("ready");
        assert_eq!(report.value, json!({"load_ms": 12}));
    }

    #[test]
    fn a_failed_line_is_the_reason() {
        let error = parse(br#"{"failed":{"reason":"load","message":"no such module"}}"#);
        let error = error.expect_err("failed");
        assert_eq!(error.to_string(), "the function could not start: no such module");
    }

    #[test]
    fn anything_else_is_shown_in_part() {
        for line in ["hello", "[]", "{}", "7"] {
            assert!(matches!(parse(line.as_bytes()), Err(NotReady::Garbled { .. })), "{line}");
        }
        let long = vec![b'x'; 100_000];
        let NotReady::Garbled { text } = garbled(&long) else {
            panic!("garbled");
        };
        assert_eq!(text.len(), 200);
    }
}
