//! A client that sends bytes as they are.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::GUARD;
use super::reader::{Message, Reader};

/// A connection to the gateway.
pub(crate) struct Client {
    stream: TcpStream,
    reader: Reader<TcpStream>,
}

/// What a client was answered.
pub(crate) type Answer = Message;

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.words()[1].parse().expect("a status is a number")
    }

    /// The body of an answer that the gateway made.
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{}", self.head);
        serde_json::from_slice(&self.body).expect("a problem is JSON")
    }

    /// Why the gateway answered.
    pub(crate) fn reason(&self) -> String {
        self.problem()["reason"].as_str().expect("a problem has a reason").to_owned()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        stream.set_read_timeout(Some(GUARD)).expect("a socket has a clock");
        stream.set_write_timeout(Some(GUARD)).expect("a socket has a clock");
        let reader = Reader::new(stream.try_clone().expect("descriptors are left"));
        Self { stream, reader }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the gateway reads");
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends no more.
    pub(crate) fn shutdown(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the gateway is there");
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        if !matches!(answer.status(), 100..=199 | 204 | 304) {
            self.reader.body(&mut answer).expect("an answer is whole");
        }
        answer
    }

    /// The head of the next answer alone.
    pub(crate) fn head(&mut self) -> Answer {
        let head = self.reader.head().expect("an answer has a head");
        Answer { head: head.expect("an answer comes"), ..Answer::default() }
    }

    /// The body of an answer that breaks off, and how.
    pub(crate) fn broken_body(&mut self, answer: &mut Answer) -> io::ErrorKind {
        self.reader.body(answer).expect_err("the answer is cut").kind()
    }

    /// An answer that ends with its connection.
    ///
    /// # Errors
    /// `ConnectionReset` when it was cut.
    pub(crate) fn end_of_answer(&mut self) -> io::Result<Vec<u8>> {
        self.reader.rest()
    }

    /// Sends a request and gives its answer.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer()
    }

    /// Everything until the connection ends, by an end or a reset.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        match self.reader.rest() {
            Ok(rest) => rest,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Vec::new(),
            Err(error) => panic!("the gateway does not close: {error}"),
        }
    }

    /// The connection ends without another byte.
    pub(crate) fn is_closed(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.rest()), "");
    }
}
