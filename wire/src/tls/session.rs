//! One TLS session without I/O: records in, plain bytes out, and back.

use std::io;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{Error, HandshakeKind};

use crate::scratch;
use crate::tls::server::{HTTP2, Server};

type Traffic<'c> = WriteTraffic<'c, ServerConnectionData>;

/// The server's end of a session. Keeps what has come of a record that is not whole, and nothing else.
pub(super) struct Session {
    tls: UnbufferedServerConnection,
    partial: Vec<u8>,
    is_open: bool,
    is_ended: bool,
}

impl Session {
    pub(super) fn new(server: &Server) -> Result<Self, Error> {
        let tls = UnbufferedServerConnection::new(Arc::clone(&server.config))?;
        Ok(Self { tls, partial: Vec::new(), is_open: false, is_ended: false })
    }

    /// The handshake is over: plain bytes may be sent.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// The client has said that it sends no more (`close_notify`).
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// The client chose HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.tls.alpn_protocol() == Some(HTTP2)
    }

    /// The client came back with a ticket.
    pub(super) fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Puts what has come of a record to the front of `buffer`; gives its length. What is read goes behind it.
    pub(super) fn recall(&self, buffer: &mut [u8]) -> usize {
        buffer[..self.partial.len()].copy_from_slice(&self.partial);
        self.partial.len()
    }

    /// Takes records off `received`, which begins with what was [recalled](Self::recall). Gives their content to `plain`, and
    /// appends to `out` what has to be sent.
    ///
    /// # Errors
    /// The session is over; `out` has the alert that says why.
    pub(super) fn receive(
        &mut self,
        received: &mut [u8],
        plain: &mut dyn FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let used = self.drive(received, plain, out, &mut |_| ())?;
        self.partial.clear();
        match &received[used..] {
            [] => scratch::give(std::mem::take(&mut self.partial)),
            rest => {
                if self.partial.capacity() == 0 {
                    self.partial = scratch::take();
                }
                self.partial.extend_from_slice(rest);
            }
        }
        Ok(())
    }

    /// Encrypts `plain` into `buffer`, whose room is sufficient; gives the length. Messages of the protocol that are due go
    /// before it, into `out`.
    ///
    /// # Errors
    /// The session is not open, or its keys are used up.
    pub(super) fn encrypt(
        &mut self,
        plain: &[u8],
        buffer: &mut [u8],
        out: &mut Vec<u8>,
    ) -> io::Result<usize> {
        self.with_traffic(out, |traffic| traffic.encrypt(plain, buffer))
    }

    /// Appends to `out` that we send no more.
    ///
    /// # Errors
    /// As [`encrypt`](Self::encrypt).
    pub(super) fn close(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut alert = [0; 256];
        let len = self.with_traffic(out, |traffic| traffic.queue_close_notify(&mut alert))?;
        out.extend_from_slice(&alert[..len]);
        Ok(())
    }

    fn with_traffic(
        &mut self,
        out: &mut Vec<u8>,
        work: impl FnOnce(&mut Traffic<'_>) -> Result<usize, EncryptError>,
    ) -> io::Result<usize> {
        let (mut work, mut result) = (Some(work), None);
        let mut partial = std::mem::take(&mut self.partial);
        let driven = self.drive(&mut partial, &mut |_| (), out, &mut |traffic| {
            result = work.take().map(|work| work(traffic));
        });
        self.partial = partial;
        let used = driven.map_err(io::Error::other)?;
        self.partial.drain(..used);
        result.ok_or(io::ErrorKind::NotConnected)?.map_err(io::Error::other)
    }

    /// Goes on as far as `incoming` allows; gives how much of it was used. `at_rest` is called once if the session is open then.
    fn drive(
        &mut self,
        incoming: &mut [u8],
        plain: &mut dyn FnMut(&[u8]),
        out: &mut Vec<u8>,
        at_rest: &mut dyn FnMut(&mut Traffic<'_>),
    ) -> Result<usize, Error> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state } =
                self.tls.process_tls_records(&mut incoming[used..]);
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    self.collect_alert(&mut incoming[used + discard..], out);
                    return Err(error);
                }
            };
            let is_at_rest = match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        plain(record?.payload);
                    }
                    false
                }
                ConnectionState::EncodeTlsData(mut message) => {
                    encode(out, |buffer| message.encode(buffer));
                    false
                }
                ConnectionState::TransmitTlsData(message) => {
                    message.done();
                    false
                }
                ConnectionState::WriteTraffic(mut traffic) => {
                    self.is_open = true;
                    at_rest(&mut traffic);
                    true
                }
                ConnectionState::PeerClosed => {
                    self.is_ended = true;
                    false
                }
                ConnectionState::BlockedHandshake | ConnectionState::Closed => true,
                // Early data is not offered, and a state of a later rustls is none that we asked for.
                _ => return Err(Error::General("a state that was not asked for".to_owned())),
            };
            used += discard;
            if is_at_rest {
                return Ok(used);
            }
        }
    }

    /// A session that breaks says why. Its place in `rest`, which is not read again, is remembered by rustls.
    fn collect_alert(&mut self, rest: &mut [u8], out: &mut Vec<u8>) {
        while let Ok(ConnectionState::EncodeTlsData(mut message)) =
            self.tls.process_tls_records(rest).state
        {
            encode(out, |buffer| message.encode(buffer));
        }
    }
}

/// Appends a message, whose length is known once it did not fit.
fn encode(out: &mut Vec<u8>, mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    if let Err(EncodeError::InsufficientSize(size)) = encode(&mut []) {
        let start = out.len();
        if out.capacity() == 0 {
            *out = scratch::take();
        }
        out.resize(start + size.required_size, 0);
        let encoded = encode(&mut out[start..]);
        debug_assert!(encoded.is_ok(), "the room is what was asked for");
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("is_open", &self.is_open)
            .field("is_ended", &self.is_ended)
            .finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        scratch::give(std::mem::take(&mut self.partial));
    }
}
