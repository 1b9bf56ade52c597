//! One TLS session without I/O: records in, plain bytes out, and back.

use std::io;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, Error, HandshakeKind, ServerConfig};

use crate::scratch;

/// One end of a session. Keeps what has come of a record that is not whole, and nothing else.
pub(super) struct Session {
    tls: End,
    partial: Vec<u8>,
    stage: Stage,
}

/// Which of the two we are. Boxed, for each is some hundreds of bytes of rustls' own.
enum End {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// How far a session is.
#[derive(Clone, Copy, Debug, Default)]
struct Stage {
    is_open: bool,
    is_ended: bool,
}

impl Session {
    /// The end that is connected to.
    pub(super) fn serve(config: &Arc<ServerConfig>) -> Result<Self, Error> {
        let tls = UnbufferedServerConnection::new(Arc::clone(config))?;
        Ok(Self::new(End::Server(Box::new(tls))))
    }

    /// The end that connects. It speaks first: see [`Tls::poll_greet`](super::Tls::poll_greet).
    pub(super) fn call(
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, Error> {
        let tls = UnbufferedClientConnection::new(Arc::clone(config), name)?;
        Ok(Self::new(End::Client(Box::new(tls))))
    }

    fn new(tls: End) -> Self {
        Self { tls, partial: Vec::new(), stage: Stage::default() }
    }

    /// The handshake is over: plain bytes may be sent.
    pub(super) fn is_open(&self) -> bool {
        self.stage.is_open
    }

    /// The other end has said that it sends no more (`close_notify`).
    pub(super) fn is_ended(&self) -> bool {
        self.stage.is_ended
    }

    /// What the two have agreed to speak (ALPN, RFC 7301).
    pub(super) fn protocol(&self) -> Option<&[u8]> {
        match &self.tls {
            End::Server(tls) => tls.alpn_protocol(),
            End::Client(tls) => tls.alpn_protocol(),
        }
    }

    /// The certificate that the other end has shown.
    pub(super) fn peer(&self) -> Option<&CertificateDer<'static>> {
        let chain = match &self.tls {
            End::Server(tls) => tls.peer_certificates(),
            End::Client(tls) => tls.peer_certificates(),
        };
        chain?.first()
    }

    /// The client came back with a ticket.
    pub(super) fn is_resumed(&self) -> bool {
        let kind = match &self.tls {
            End::Server(tls) => tls.handshake_kind(),
            End::Client(tls) => tls.handshake_kind(),
        };
        kind == Some(HandshakeKind::Resumed)
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
        let used = self.drive(received, Hands { plain, out, at_rest: &mut |_| () })?;
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
        self.with_traffic(out, &mut |traffic| traffic.encrypt(plain, buffer))
    }

    /// Appends to `out` that we send no more.
    ///
    /// # Errors
    /// As [`encrypt`](Self::encrypt).
    pub(super) fn close(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut alert = [0; 256];
        let len = self.with_traffic(out, &mut |traffic| traffic.close(&mut alert))?;
        out.extend_from_slice(&alert[..len]);
        Ok(())
    }

    fn with_traffic(
        &mut self,
        out: &mut Vec<u8>,
        work: &mut dyn FnMut(&mut dyn Traffic) -> Result<usize, EncryptError>,
    ) -> io::Result<usize> {
        let mut result = None;
        let mut partial = std::mem::take(&mut self.partial);
        let at_rest = &mut |traffic: &mut dyn Traffic| result = Some(work(traffic));
        let driven = self.drive(&mut partial, Hands { plain: &mut |_| (), out, at_rest });
        self.partial = partial;
        let used = driven.map_err(io::Error::other)?;
        self.partial.drain(..used);
        result.ok_or(io::ErrorKind::NotConnected)?.map_err(io::Error::other)
    }

    fn drive(&mut self, incoming: &mut [u8], hands: Hands<'_>) -> Result<usize, Error> {
        match &mut self.tls {
            End::Server(tls) => drive(&mut **tls, &mut self.stage, incoming, hands),
            End::Client(tls) => drive(&mut **tls, &mut self.stage, incoming, hands),
        }
    }
}

/// What both ends of rustls do, each with a type of its own.
trait Records {
    type Data;
    /// As rustls' method of this name.
    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ServerConnectionData> {
        self.process_tls_records(incoming)
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, ClientConnectionData> {
        self.process_tls_records(incoming)
    }
}

/// What an open session can be asked for.
trait Traffic {
    fn encrypt(&mut self, plain: &[u8], records: &mut [u8]) -> Result<usize, EncryptError>;
    fn close(&mut self, records: &mut [u8]) -> Result<usize, EncryptError>;
}

impl<Data> Traffic for WriteTraffic<'_, Data> {
    fn encrypt(&mut self, plain: &[u8], records: &mut [u8]) -> Result<usize, EncryptError> {
        WriteTraffic::encrypt(self, plain, records)
    }

    fn close(&mut self, records: &mut [u8]) -> Result<usize, EncryptError> {
        self.queue_close_notify(records)
    }
}

/// Where the results of a turn go.
struct Hands<'h> {
    /// Takes the content of each record.
    plain: &'h mut dyn FnMut(&[u8]),
    /// Has what is to be sent appended.
    out: &'h mut Vec<u8>,
    /// Called once if the session is open at the end.
    at_rest: &'h mut dyn FnMut(&mut dyn Traffic),
}

/// Goes on as far as `incoming` allows; gives how much of it was used.
fn drive<R: Records>(
    tls: &mut R,
    stage: &mut Stage,
    incoming: &mut [u8],
    Hands { plain, out, at_rest }: Hands<'_>,
) -> Result<usize, Error> {
    let mut used = 0;
    loop {
        let UnbufferedStatus { discard, state } = tls.process(&mut incoming[used..]);
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                collect_alert(tls, &mut incoming[used + discard..], out);
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
                stage.is_open = true;
                at_rest(&mut traffic);
                true
            }
            ConnectionState::PeerClosed => {
                stage.is_ended = true;
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
fn collect_alert<R: Records>(tls: &mut R, rest: &mut [u8], out: &mut Vec<u8>) {
    while let Ok(ConnectionState::EncodeTlsData(mut message)) = tls.process(rest).state {
        encode(out, |buffer| message.encode(buffer));
    }
}

/// Appends a message, whose length is known once it did not fit.
fn encode(out: &mut Vec<u8>, mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    if let Err(EncodeError::InsufficientSize(size)) = encode(&mut []) {
        let start = out.len();
        if out.capacity() == 0 {
            *out = scratch::take_large();
        }
        out.resize(start + size.required_size, 0);
        let encoded = encode(&mut out[start..]);
        debug_assert!(encoded.is_ok(), "the room is what was asked for");
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        scratch::give(std::mem::take(&mut self.partial));
    }
}
