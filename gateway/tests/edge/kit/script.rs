//! A node that does what a test says, frame by frame, written with the codec alone.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZero;

use hatchway_proto::link::{Cancel, Frame, Hello};

use super::GUARD;

/// A frame that a gateway sent, as far as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Call {
        call: u64,
        version: String,
        head: String,
        deadline_ms: Option<NonZero<u32>>,
        is_choosy: bool,
    },
    Data {
        call: u64,
        bytes: Vec<u8>,
    },
    Cancel {
        call: u64,
        reason: Cancel,
    },
    Credit {
        call: u64,
    },
    Error {
        code: u16,
    },
}

/// The node's end of one link.
pub(crate) struct Peer {
    stream: TcpStream,
    ahead: Vec<u8>,
}

/// Starts a node; `play` has each connection after the greetings. The thread ends with the test's process.
pub(crate) fn play(play: impl Fn(&mut Peer) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("a listener has an address");
    play_at(listener, None, play);
    address
}

/// The same where somebody has connected already, and may have been accepted.
pub(crate) fn play_at(
    listener: TcpListener,
    accepted: Option<TcpStream>,
    play: impl Fn(&mut Peer) + Send + 'static,
) {
    std::thread::spawn(move || {
        for stream in accepted.into_iter().chain(listener.incoming().flatten()) {
            stream.set_read_timeout(Some(GUARD)).expect("a socket has a clock");
            let mut peer = Peer { stream, ahead: Vec::new() };
            peer.send(&[Frame::Hello(Hello::of_node(1, 64 * 1024, 100))]);
            play(&mut peer);
        }
    });
}

impl Peer {
    pub(crate) fn send(&mut self, frames: &[Frame<'_>]) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut bytes));
        self.send_raw(&bytes);
    }

    /// A gateway that has closed is not told.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// An answer, whole and with its end.
    pub(crate) fn answer(&mut self, call: u64, answer: &str) {
        self.send(&[Frame::Data { call, end: true, bytes: answer.as_bytes() }]);
    }

    /// The next frame that matters; none at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<Said> {
        loop {
            let decoded = Frame::decode(&self.ahead).expect("a gateway sends frames");
            if let Some((frame, length)) = decoded {
                let said = said(&frame);
                self.ahead.drain(..length);
                if said.is_some() {
                    return said;
                }
            } else if self.more().ok()? == 0 {
                return None;
            }
        }
    }

    /// The next call.
    pub(crate) fn call(&mut self) -> Option<u64> {
        loop {
            if let Said::Call { call, .. } = self.next()? {
                return Some(call);
            }
        }
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 * 1024];
        let count = self.stream.read(&mut bytes)?;
        self.ahead.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

fn said(frame: &Frame<'_>) -> Option<Said> {
    Some(match *frame {
        Frame::Call { call, about, head } => {
            let head = head.iter().copied().map(char::from).collect();
            let version = about.version.to_owned();
            let (deadline_ms, is_choosy) = (about.deadline_ms, about.is_choosy);
            Said::Call { call, version, head, deadline_ms, is_choosy }
        }
        Frame::Data { call, bytes, .. } => Said::Data { call, bytes: bytes.to_vec() },
        Frame::Cancel { call, reason } => Said::Cancel { call, reason },
        Frame::Credit { call, .. } => Said::Credit { call },
        Frame::Error { code, .. } => Said::Error { code },
        Frame::Hello(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Drain { .. } => return None,
        Frame::Answer { .. } | Frame::Refused { .. } | Frame::Load(_) => {
            panic!("only a node says {frame:?}")
        }
    })
}
