//! A client that does the same in every run: all requests of a round are sent before the first answer is read,
//! so how many of them the other side finds ready does not depend on who is scheduled when.

mod http1;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::{During as _, Result};
use crate::load::Http2;

use http1::Answers;

/// Longer than a slow machine takes under valgrind for anything here.
const LIMIT: Duration = Duration::from_secs(60);

/// A shape of load.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// HTTP/1.1 on kept connections; on each, `at_once` requests in one write.
    Kept { connections: usize, at_once: usize, request: fn(usize) -> Vec<u8> },
    /// A connection per request.
    Fresh { at_a_time: usize, request: fn(usize) -> Vec<u8> },
    /// HTTP/2 by prior knowledge; on each connection, `at_once` streams.
    Streams { connections: usize, at_once: usize, path: &'static str },
}

/// A load with its connections.
#[derive(Debug)]
pub(crate) struct Open {
    load: Load,
    address: SocketAddr,
    http1: Vec<Http1>,
    http2: Vec<Http2>,
    /// Requests sent so far.
    sent: usize,
}

#[derive(Debug)]
struct Http1 {
    stream: TcpStream,
    answers: Answers,
}

impl Load {
    pub(crate) fn open(self, address: SocketAddr) -> Result<Open> {
        let mut open = Open { load: self, address, http1: Vec::new(), http2: Vec::new(), sent: 0 };
        match self {
            Self::Kept { connections, .. } => {
                open.http1 =
                    (0..connections).map(|_| Http1::connect(address)).collect::<Result<_>>()?;
            }
            Self::Streams { connections, .. } => {
                let one = |_| Http2::begin(connect(address)?);
                open.http2 = (0..connections).map(one).collect::<Result<_>>()?;
            }
            Self::Fresh { .. } => {}
        }
        Ok(open)
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).during("connect")?;
    stream.set_nodelay(true).during("set nodelay")?;
    stream.set_read_timeout(Some(LIMIT)).during("set a time limit")?;
    Ok(stream)
}

impl Open {
    /// Sends and reads that many rounds; says how many requests those were.
    ///
    /// # Errors
    /// When an answer is not 200, or does not come.
    pub(crate) fn run(&mut self, rounds: usize) -> Result<usize> {
        let before = self.sent;
        for _ in 0..rounds {
            match self.load {
                Load::Kept { at_once, request, .. } => self.kept(at_once, request)?,
                Load::Fresh { at_a_time, request } => {
                    self.http1 = (0..at_a_time)
                        .map(|_| Http1::connect(self.address))
                        .collect::<Result<_>>()?;
                    self.kept(1, request)?;
                    for client in self.http1.drain(..) {
                        client.answers.end(&client.stream)?;
                    }
                }
                Load::Streams { at_once, path, .. } => {
                    for client in &mut self.http2 {
                        client.ask(path, at_once)?;
                    }
                    for client in &mut self.http2 {
                        client.answers(at_once)?;
                        self.sent += at_once;
                    }
                }
            }
        }
        Ok(self.sent - before)
    }

    fn kept(&mut self, at_once: usize, request: fn(usize) -> Vec<u8>) -> Result<()> {
        for client in &mut self.http1 {
            let requests: Vec<u8> = (self.sent..self.sent + at_once).flat_map(request).collect();
            client.stream.write_all(&requests).during("send a request")?;
            self.sent += at_once;
        }
        for client in &mut self.http1 {
            for _ in 0..at_once {
                client.answers.next(&client.stream)?;
            }
        }
        Ok(())
    }
}

impl Http1 {
    fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { stream: connect(address)?, answers: Answers::default() })
    }
}
