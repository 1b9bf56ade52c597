//! A reader of HTTP/1.1 that shares no code with ours and forgives nothing: what it does not take for plain
//! is ambiguous to somebody.

use std::io::{self, Read};

/// A message as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// With its empty line, a byte a character.
    pub(crate) head: String,
    /// Without chunk framing.
    pub(crate) body: Vec<u8>,
    /// The lines between the last chunk and the empty line.
    pub(crate) trailers: String,
}

impl Message {
    /// The words of the first line.
    pub(crate) fn words(&self) -> Vec<&str> {
        self.head.split("\r\n").next().unwrap_or_default().split(' ').collect()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

/// The values of a field, named in lower case.
pub(crate) fn fields<'h>(head: &'h str, name: &str) -> Vec<&'h str> {
    let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    lines
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_matches([' ', '\t']))
        .collect()
}

/// The value of a field that is there at most once.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let values = fields(head, name);
    assert!(values.len() < 2, "{name} is there {} times: {head}", values.len());
    values.first().copied()
}

/// Reads bytes and keeps those that were not asked for.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    from: R,
    ahead: Vec<u8>,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, ahead: Vec::new() }
    }

    /// A head, or nothing at an end before its first byte.
    ///
    /// # Errors
    /// As read(2), and `UnexpectedEof` in the middle.
    pub(crate) fn head(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(at) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(Some(self.ahead.drain(..at + 4).map(char::from).collect()));
            }
            if self.more()? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(early()) };
            }
        }
    }

    /// The body that `message`'s head declares, into `message` as it comes.
    ///
    /// # Errors
    /// As read(2), `UnexpectedEof` in the middle, and `InvalidData` where chunks are none.
    pub(crate) fn body(&mut self, message: &mut Message) -> io::Result<()> {
        if let Some(length) = message.field("content-length") {
            let length: u64 = length.parse().map_err(io::Error::other)?;
            return self.data(length, message);
        }
        if message.field("transfer-encoding").is_none() {
            return Ok(());
        }
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let is_hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let size = u64::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or_else(bad)?;
            if size == 0 {
                break;
            }
            self.data(size, message)?;
            if !self.line()?.is_empty() {
                return Err(bad());
            }
        }
        loop {
            match self.line()? {
                line if line.is_empty() => return Ok(()),
                line => message.trailers.push_str(&format!("{line}\r\n")),
            }
        }
    }

    /// Everything until the end.
    ///
    /// # Errors
    /// As read(2).
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.more()? > 0 {}
        Ok(std::mem::take(&mut self.ahead))
    }

    fn data(&mut self, mut left: u64, message: &mut Message) -> io::Result<()> {
        while left > 0 {
            if self.ahead.is_empty() && self.more()? == 0 {
                return Err(early());
            }
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(self.ahead.len());
            message.body.extend(self.ahead.drain(..count));
            left -= count as u64;
        }
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.ahead.iter().position(|&byte| byte == b'\n') {
                let line: String = self.ahead.drain(..=at).map(char::from).collect();
                return line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(bad);
            }
            if self.more()? == 0 {
                return Err(early());
            }
        }
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 * 1024];
        let count = self.from.read(&mut bytes)?;
        self.ahead.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

fn early() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

fn bad() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// What some reader may take otherwise in the head of a request; nothing when it is plain.
pub(crate) fn ambiguities(head: &str) -> Vec<String> {
    let mut found = Vec::new();
    let text = head.strip_suffix("\r\n\r\n").unwrap_or(head);
    let mut lines = text.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    if words.len() != 3 || words[2] != "HTTP/1.1" || !words[1].starts_with(['/', '*']) {
        found.push(format!("the first line is {words:?}"));
    }
    if text.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        found.push("a bare line end or a zero byte".to_owned());
    }
    for line in lines {
        let name = line.split(':').next().unwrap_or_default();
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if !line.contains(':') || name.is_empty() || !name.bytes().all(is_name) {
            found.push(format!("no field: {line:?}"));
        }
        let folded = name.to_ascii_lowercase().replace(['_', '.'], "-");
        if folded != name.to_ascii_lowercase()
            && (folded.starts_with("hatchway-")
                || folded.starts_with("x-forwarded-")
                || ["content-length", "transfer-encoding"].contains(&folded.as_str()))
        {
            found.push(format!("a name that some fold: {name}"));
        }
    }
    let count = |name| fields(head, name).len();
    if count("content-length") + count("transfer-encoding") > 1 {
        found.push("two lengths".to_owned());
    }
    if count("host") != 1 {
        found.push(format!("{} hosts", count("host")));
    }
    if fields(head, "transfer-encoding").iter().any(|coding| *coding != "chunked") {
        found.push("another coding".to_owned());
    }
    let is_length = |text: &&str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
            && (*text == "0" || !text.starts_with('0'))
    };
    if !fields(head, "content-length").iter().all(is_length) {
        found.push("a length that is no number".to_owned());
    }
    for name in
        ["keep-alive", "proxy-connection", "proxy-authorization", "http2-settings", "expect"]
    {
        if count(name) > 0 {
            found.push(format!("a field of the hop before: {name}"));
        }
    }
    found
}

#[test]
fn the_reader_knows_what_is_ambiguous() {
    assert_eq!(ambiguities("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), [""; 0]);
    for head in [
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nhatchway_function: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
    ] {
        assert_eq!(ambiguities(head).len(), 1, "{head:?}");
    }
}
