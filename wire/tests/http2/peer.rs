//! The test's end of a connection: a client or an upstream that does exactly what it is told.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One end of a connection.
pub(crate) struct Peer {
    stream: TcpStream,
    /// Read, and not asked for yet.
    ahead: Vec<u8>,
}

/// A message as it was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// With its empty line.
    pub(crate) head: String,
    /// Without chunk framing.
    pub(crate) body: Vec<u8>,
    /// Lines after the last chunk.
    pub(crate) trailers: String,
}

impl Message {
    /// The value of a field, named in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The value of a field of `head`.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a socket can be told not to wait");
        Self { stream, ahead: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the other side reads");
    }

    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Sends `piece` again and again until nothing moves any more; gives the count of bytes that were taken.
    pub(crate) async fn send_until_it_stalls(&mut self, piece: &[u8]) -> usize {
        let (mut sent, mut tries) = (0, 0);
        // Whatever can be read in this runtime is read while the tries go on.
        while tries < 1000 {
            match self.stream.try_write(piece) {
                Ok(count) => (sent, tries) = (sent + count, 0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tries += 1,
                Err(error) => panic!("the other side does not stall, it ends: {error}"),
            }
            tokio::task::yield_now().await;
        }
        sent
    }

    /// At most `count` bytes, at least one.
    pub(crate) async fn some(&mut self, count: usize) -> Vec<u8> {
        if self.ahead.is_empty() {
            let mut bytes = vec![0; count];
            let read = self.stream.read(&mut bytes).await.expect("the other side is there");
            assert!(read > 0, "ended early");
            self.ahead.extend_from_slice(&bytes[..read]);
        }
        let count = count.min(self.ahead.len());
        self.ahead.drain(..count).collect()
    }

    /// Leaves by a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().expect("a socket can be told to reset");
    }

    /// Bytes through the next empty line.
    pub(crate) async fn head(&mut self) -> String {
        let mut looked = 0;
        loop {
            let found = self.ahead[looked..].windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(at) = found {
                let head = self.ahead.drain(..looked + at + 4).collect();
                return String::from_utf8(head).expect("a head is ASCII");
            }
            looked = self.ahead.len().saturating_sub(3);
            let count = self.more().await.expect("the other side is there");
            assert!(count > 0, "ended in a head: {:?}", lossy(&self.ahead));
        }
    }

    pub(crate) async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            let more = self.more().await.expect("the other side is there");
            assert!(more > 0, "ended after {} of {count} bytes", self.ahead.len());
        }
        self.ahead.drain(..count).collect()
    }

    /// The next bytes are `bytes`.
    pub(crate) async fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let got = self.exactly(bytes.len()).await;
        assert!(got == bytes, "{:.1000?} is not {:.1000?}", lossy(&got), lossy(bytes));
    }

    /// A message with its body, by the framing that its head declares.
    pub(crate) async fn message(&mut self) -> Message {
        let head = self.head().await;
        let mut message = Message { body: Vec::new(), trailers: String::new(), head };
        if let Some(length) = message.field("content-length") {
            let length = length.parse().expect("a length is a number");
            message.body = self.exactly(length).await;
        } else if message.field("transfer-encoding").is_some() {
            self.chunks(&mut message).await;
        }
        message
    }

    async fn chunks(&mut self, message: &mut Message) {
        loop {
            let line = self.line().await;
            let size = line.split(';').next().expect("a line has a first part").trim();
            let size = usize::from_str_radix(size, 16).expect("a size is hex");
            if size == 0 {
                break;
            }
            message.body.extend(self.exactly(size).await);
            self.expect("\r\n").await;
        }
        loop {
            match self.line().await.as_str() {
                "" => return,
                line => message.trailers.push_str(line),
            }
        }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..at + 2).take(at).collect();
                return String::from_utf8(line).expect("a line is ASCII");
            }
            let count = self.more().await.expect("the other side is there");
            assert!(count > 0, "ended in a line");
        }
    }

    /// Everything until the end.
    ///
    /// # Errors
    /// `ConnectionReset` when the connection was cut rather than ended.
    pub(crate) async fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.more().await? > 0 {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// The connection is over, by an end or by a reset, without another byte.
    pub(crate) async fn is_cut(&mut self) {
        if let Ok(rest) = self.rest().await {
            assert_eq!(lossy(&rest), "");
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.ahead).await
    }
}
