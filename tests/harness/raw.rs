//! A connection of which every byte is ours.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::RecvFlags;

use crate::PATIENCE;

/// A client that sends what it is told and reads what it is asked to.
#[derive(Debug)]
pub struct Raw<S = TcpStream> {
    reader: BufReader<S>,
}

/// The head of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Names in small letters, in their order.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// A field; empty when it is not there.
    pub fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(2 * PATIENCE)).expect("it is not zero");
        stream.set_nodelay(true).expect("it is a TCP socket");
        Self { reader: BufReader::new(stream) }
    }

    /// Connects, and from then on waits no longer than `patience` for anything.
    ///
    /// # Errors
    /// When nobody listens, or nothing comes back.
    pub fn try_connect(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream) })
    }
}

impl<S: Read + Write> Raw<S> {
    /// Over what is connected already.
    pub fn over(stream: S) -> Self {
        Self { reader: BufReader::new(stream) }
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When the other side is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes.as_ref()).expect("the other side reads");
        self
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the other side is gone.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Sends the head of a GET request.
    ///
    /// # Panics
    /// When the other side is gone.
    pub fn get(&mut self, path: &str) -> &mut Self {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }

    /// Sends the head of a POST request with a body of `length` bytes, which are still to be sent.
    ///
    /// # Panics
    /// When the other side is gone.
    pub fn post(&mut self, path: &str, length: u64) -> &mut Self {
        self.send(format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"))
    }

    /// Reads a head.
    ///
    /// # Panics
    /// When what comes is none.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        self.try_head().expect("a head of an answer")
    }

    /// Reads a head.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn try_head(&mut self) -> io::Result<Head> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Head { status, fields });
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| io::Error::other(format!("no field: {line}")))?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads a line, without its end.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Reads exactly so many bytes.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a chunk of a chunked body; the last one is empty.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.line()?;
        let length = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|_| io::Error::other(format!("no length of a chunk: {line:?}")))?;
        let bytes = self.exactly(length)?;
        self.line()?;
        Ok(bytes)
    }

    /// Reads to the end of the connection. What came before a reset counts.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset is an end as well.
        let _ = self.reader.read_to_end(&mut bytes);
        bytes
    }
}

impl Raw {
    /// True while the other side has neither ended the connection nor said anything that was not read.
    pub fn is_quiet(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let seen = rustix::net::recv(self.reader.get_ref(), &mut [0][..], flags);
        seen.is_err_and(|error| error == rustix::io::Errno::AGAIN)
    }

    /// The other side's address.
    ///
    /// # Panics
    /// When the connection has broken.
    pub fn peer(&self) -> SocketAddr {
        self.reader.get_ref().peer_addr().expect("it is connected")
    }

    /// Goes away without a word, whatever is still to be read.
    pub fn leave(self) {
        // Closed already by the other side, there is nobody to leave.
        let _ = self.reader.get_ref().shutdown(Shutdown::Both);
    }
}
