//! Answers of declared length on a connection, one behind the other.

use std::io::Read;

use crate::error::{BenchError, During as _, Result};

const PIECE_BYTES: usize = 256 * 1024;

/// What has been read and belongs to answers to come.
#[derive(Debug, Default)]
pub(super) struct Answers {
    ahead: Vec<u8>,
}

impl Answers {
    /// Reads one answer to its end.
    ///
    /// # Errors
    /// When it is not 200, or has no declared length, or does not come.
    pub(super) fn next(&mut self, mut from: impl Read) -> Result<()> {
        let length = loop {
            if let Some(end) = self.ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4 + body_length(&self.ahead[..end])?;
            }
            self.more(&mut from)?;
        };
        while self.ahead.len() < length {
            self.more(&mut from)?;
        }
        self.ahead.drain(..length);
        Ok(())
    }

    /// Reads the end of the connection.
    ///
    /// # Errors
    /// When there is more.
    pub(super) fn end(&self, mut from: impl Read) -> Result<()> {
        let more = from.read(&mut [0]).during("read the end of a connection")?;
        if more == 0 && self.ahead.is_empty() { Ok(()) } else { Err(unexpected("more")) }
    }

    fn more(&mut self, from: &mut impl Read) -> Result<()> {
        let start = self.ahead.len();
        self.ahead.resize(start + PIECE_BYTES, 0);
        let count = from.read(&mut self.ahead[start..]).during("read an answer")?;
        self.ahead.truncate(start + count);
        if count == 0 { Err(unexpected("the end of the connection")) } else { Ok(()) }
    }
}

fn body_length(head: &[u8]) -> Result<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let mut lines = head.lines();
    let is_ok = lines.next().is_some_and(|line| line.starts_with("http/1.1 200 "));
    let length = lines.find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.filter(|_| is_ok).ok_or_else(|| unexpected(&head))
}

fn unexpected(text: &str) -> BenchError {
    BenchError::Unexpected { what: "an answer", text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_behind_each_other_are_told_apart() {
        let one = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let bytes = one.repeat(2);
        let mut from = bytes.as_bytes();
        let mut answers = Answers::default();
        answers.next(&mut from).unwrap();
        answers.next(&mut from).unwrap();
        answers.end(&mut from).unwrap();
        assert!(answers.next(&mut from).is_err());
    }

    #[test]
    fn another_status_is_no_answer_that_counts() {
        let mut from = &b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"[..];
        assert!(Answers::default().next(&mut from).is_err());
    }
}
