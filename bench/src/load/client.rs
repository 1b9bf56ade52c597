//! One request over a connection of its own, read to its end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::{BenchError, During as _, Result};

/// Longer than any clock of the gateway, so that it is the gateway that gives up.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (given, value) = line.split_once(':')?;
            given.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// `GET path`, with `Connection: close`, so that the end of the answer is the end of the stream.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).during("connect")?;
    stream.set_nodelay(true).during("set nodelay")?;
    stream.set_read_timeout(Some(LIMIT)).during("set a time limit")?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).during("send a request")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).during("read an answer")?;
    parse(&String::from_utf8_lossy(&bytes))
}

fn parse(text: &str) -> Result<Answer> {
    let unexpected = || BenchError::Unexpected { what: "an answer", text: text.to_owned() };
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(unexpected)?;
    let status =
        head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(unexpected)?;
    let mut answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    if answer.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        answer.body = join_chunks(body).ok_or_else(unexpected)?;
    }
    Ok(answer)
}

fn join_chunks(mut text: &str) -> Option<String> {
    let mut joined = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(joined);
        }
        joined.push_str(rest.get(..size)?);
        text = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        let answer = parse(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\n",
        );
        assert_eq!(answer.expect("well formed").body, "abcd");
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let answer =
            parse("HTTP/1.1 503 Busy\r\nserver-timing: start;dur=1\r\n\r\n").expect("well formed");
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("Server-Timing"), Some("start;dur=1"));
    }
}
