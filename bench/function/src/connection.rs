//! One client: reads heads, throws bodies away, writes canned answers. One answer at a time; a
//! request that arrives early waits in the buffer.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use crate::canned::{Canned, Reply};
use crate::stream::Stream;

/// Longer heads are refused by closing: no load maker sends them.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Read,
    Write,
    Close,
}

pub(crate) struct Connection {
    stream: Stream,
    /// Bytes that arrived and could not be used yet; owns no memory between requests.
    early: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Head,
    Body { left: u64, then: Answer },
    Answering { answer: Answer, sent: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    reply: Reply,
    close: bool,
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, early: Vec::new(), state: State::Head }
    }

    /// True while the socket is full and an answer waits for room.
    pub(crate) fn is_writing(&self) -> bool {
        matches!(self.state, State::Answering { .. })
    }

    /// Does all that can be done without waiting.
    pub(crate) fn advance(&mut self, canned: &Canned, scratch: &mut [u8]) -> Next {
        if self.is_writing() {
            let early = std::mem::take(&mut self.early);
            match self.consume(&early, canned) {
                Next::Read => {}
                other => return other,
            }
        }
        loop {
            let read = match self.stream.read(scratch) {
                Ok(0) => return Next::Close,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Next::Read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Next::Close,
            };
            let next = self.feed(&scratch[..read], canned);
            // A short read has emptied the socket: asking again would only cost a call.
            if next != Next::Read || read < scratch.len() {
                return next;
            }
        }
    }

    fn feed(&mut self, bytes: &[u8], canned: &Canned) -> Next {
        if self.early.is_empty() {
            return self.consume(bytes, canned);
        }
        let mut joined = std::mem::take(&mut self.early);
        joined.extend_from_slice(bytes);
        self.consume(&joined, canned)
    }

    fn consume(&mut self, mut bytes: &[u8], canned: &Canned) -> Next {
        loop {
            match self.state {
                State::Head => {
                    let Some(length) = head_length(bytes) else {
                        self.early = bytes.to_vec();
                        return if bytes.len() < MAX_HEAD_BYTES { Next::Read } else { Next::Close };
                    };
                    let (head, rest) = bytes.split_at(length);
                    bytes = rest;
                    self.state = after_head(head);
                }
                State::Body { left, then } => {
                    let taken = left.min(bytes.len() as u64);
                    bytes = &bytes[usize::try_from(taken).unwrap_or(bytes.len())..];
                    if taken < left {
                        self.state = State::Body { left: left - taken, then };
                        return Next::Read;
                    }
                    self.state = State::Answering { answer: then, sent: 0 };
                }
                State::Answering { answer, sent } => match self.write(answer, sent, canned) {
                    Next::Read => self.state = State::Head,
                    other => {
                        self.early = bytes.to_vec();
                        return other;
                    }
                },
            }
        }
    }

    /// Writes on; `Next::Read` when the answer has left and the connection stays.
    fn write(&mut self, answer: Answer, mut sent: usize, canned: &Canned) -> Next {
        let message = canned.bytes(answer.reply, answer.close);
        while sent < message.len() {
            match self.stream.write(&message[sent..]) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.state = State::Answering { answer, sent };
                    return Next::Write;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Next::Close,
            }
        }
        if answer.close { Next::Close } else { Next::Read }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Length of the head with its empty line, once all of it is there.
fn head_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(end + 4)
}

/// The part of HTTP/1.1 that load makers and gateways use: a path, a length, a wish to close.
fn after_head(head: &[u8]) -> State {
    let mut lines = head.split(|&byte| byte == b'\n');
    let request_line = lines.next().unwrap_or_default();
    let path = request_line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let mut answer = Answer { reply: Reply::for_path(path), close: false };
    let mut left = 0;
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            left = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        } else if name.eq_ignore_ascii_case(b"connection") {
            answer.close = value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            answer = Answer { reply: Reply::Unreadable, close: true };
        }
    }
    State::Body { left, then: answer }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Feeds `pieces` one by one, and returns what came back.
    fn answers_to(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut client, server) = UnixStream::pair().expect("a pair needs two descriptors only");
        server.set_nonblocking(true).expect("a socket takes the flag");
        client.set_nonblocking(true).expect("a socket takes the flag");
        let mut connection = Connection::new(Stream::Unix(server));
        let (canned, mut scratch) = (Canned::default(), vec![0; 4096]);
        let mut received = Vec::new();
        for piece in pieces {
            client.write_all(piece).expect("a small piece fits the socket");
            while connection.advance(&canned, &mut scratch) == Next::Write {
                let _ = client.read_to_end(&mut received);
            }
            let _ = client.read_to_end(&mut received);
        }
        received
    }

    fn bodies_of(bytes: &[u8]) -> usize {
        bytes.windows(12).filter(|window| window == b"HTTP/1.1 200").count()
    }

    #[test]
    fn a_head_cut_anywhere_is_answered_once() {
        let request = b"GET /1k HTTP/1.1\r\nHost: a\r\n\r\n";
        let whole = answers_to(&[request]);
        assert!(whole.ends_with(&[b'x'; 1024]));
        for cut in 1..request.len() {
            assert_eq!(answers_to(&[&request[..cut], &request[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_body_is_swallowed_and_the_request_behind_it_answered() {
        let request = b"POST /post HTTP/1.1\r\ncontent-length: 4\r\n\r\nabcdGET / HTTP/1.1\r\n\r\n";
        assert_eq!(bodies_of(&answers_to(&[request])), 2);
    }

    #[test]
    fn a_large_answer_survives_a_full_socket_and_the_next_request_is_read() {
        let request = b"GET /1m HTTP/1.1\r\n\r\nGET /1k HTTP/1.1\r\n\r\n";
        let received = answers_to(&[request]);
        assert_eq!(bodies_of(&received), 2);
        assert!(received.len() > 1024 * 1024 + 1024);
    }

    #[test]
    fn close_is_announced_and_done() {
        let received = answers_to(&[b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"]);
        assert!(received.windows(17).any(|window| window == b"Connection: close"));
    }
}
