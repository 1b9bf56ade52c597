//! A session over a connection: reads and writes plain bytes.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use crate::tls::session::Session;
use crate::{Stream, scratch};

/// A core's buffer for records. Four whole ones and their framing go out in a call; as much comes in as is asked for.
const RECORDS_BYTES: usize = 128 * 1024;
/// What is encrypted before the socket has taken it: all that a connection may hold of an answer.
const WRITE_BYTES: usize = 64 * 1024;
/// Read beyond the room for plain bytes: the framing of a few records, so that a large body comes whole.
const FRAMING_BYTES: usize = 1024;
/// Read at once of a handshake: the first message of a client with the keys of today is 1.8 KiB.
const HANDSHAKE_BYTES: usize = 8 * 1024;

thread_local! {
    static RECORDS: RefCell<Box<[u8]>> = RefCell::new(vec![0; RECORDS_BYTES].into_boxed_slice());
}

/// A connection behind TLS. Idle, it owns no buffer beyond the session's own state.
#[derive(Debug)]
pub struct Tls {
    under: Stream,
    session: Session,
    /// Plain bytes that were read and not asked for yet.
    ahead: Vec<u8>,
    /// Records to be written, and how much of them was.
    out: Vec<u8>,
    sent: usize,
    is_closed: bool,
}

impl Tls {
    pub(super) fn new(under: Stream, session: Session) -> Self {
        Self { under, session, ahead: Vec::new(), out: Vec::new(), sent: 0, is_closed: false }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The connection below, for who gives up on TLS.
    pub(super) fn into_under(self) -> Stream {
        self.under
    }

    /// Reads plain bytes; none is the end that the client has announced. Writes on as well: the last records of an answer may
    /// wait here while its connection is asked for the next request.
    ///
    /// # Errors
    /// As recv(2); a session that is broken, or that ends without an announcement.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
            return Poll::Ready(Err(error));
        }
        let before = into.filled().len();
        while into.filled().len() == before {
            if !self.ahead.is_empty() {
                self.take_ahead(into);
            } else if self.session.is_ended() {
                break;
            } else if ready!(self.poll_records(cx, into))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take_ahead(&mut self, into: &mut ReadBuf<'_>) {
        let count = self.ahead.len().min(into.remaining());
        into.put_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        if self.ahead.is_empty() {
            scratch::give(std::mem::take(&mut self.ahead));
        }
    }

    /// Reads once; gives how much came. What does not go into `into` is kept.
    fn poll_records(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        RECORDS.with_borrow_mut(|records| {
            let room = into.remaining() + FRAMING_BYTES;
            let received = ready!(self.poll_receive(cx, records, room))?;
            Poll::Ready(self.take(received, into, cx))
        })
    }

    /// Says the first word of a handshake, which is that of who has connected.
    ///
    /// # Errors
    /// As send(2); what rustls finds wrong with its configuration.
    pub(super) fn poll_greet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let greeted = self.session.receive(&mut [], &mut |_| (), &mut self.out);
        greeted.map_err(io::Error::other)?;
        self.poll_flush(cx)
    }

    /// The same during the handshake: whatever comes behind it is kept for the first read. `is_first`: nothing has come so far.
    ///
    /// # Errors
    /// As recv(2); `Unsupported` when the other end does not speak TLS, `InvalidData` when it does not speak ours, and was told.
    pub(super) fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        is_first: bool,
    ) -> Poll<io::Result<usize>> {
        RECORDS.with_borrow_mut(|records| {
            let received = ready!(self.poll_receive(cx, records, HANDSHAKE_BYTES))?;
            // A record of a handshake begins with 22 (RFC 8446 section 5.1), HTTP with a letter, a short frame of a link with 0.
            let is_plain = |first: &u8| first.is_ascii_alphabetic() || *first == 0;
            if is_first && received.first().is_some_and(is_plain) {
                return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
            }
            Poll::Ready(self.take(received, &mut ReadBuf::new(&mut []), cx))
        })
    }

    /// Reads behind what there is of a record; gives both. Nothing is the end.
    fn poll_receive<'r>(
        &mut self,
        cx: &mut Context<'_>,
        records: &'r mut [u8],
        room: usize,
    ) -> Poll<io::Result<&'r mut [u8]>> {
        let start = self.session.recall(records);
        let end = records.len().min(start + room);
        let count = ready!(self.under.poll_read(cx, &mut records[start..end]))?;
        let received = if count == 0 { 0 } else { start + count };
        Poll::Ready(Ok(&mut records[..received]))
    }

    /// Decrypts, and says what the protocol wants said. Gives how many bytes were there.
    fn take(
        &mut self,
        received: &mut [u8],
        into: &mut ReadBuf<'_>,
        cx: &mut Context<'_>,
    ) -> io::Result<usize> {
        if received.is_empty() {
            return Ok(0);
        }
        let ahead = &mut self.ahead;
        let mut plain = |bytes: &[u8]| {
            let (now, later) = bytes.split_at(bytes.len().min(into.remaining()));
            into.put_slice(now);
            if !later.is_empty() {
                append(ahead, later);
            }
        };
        let result = self.session.receive(received, &mut plain, &mut self.out);
        // An alert is a word to the client; whether it hears it changes nothing.
        let flushed = self.poll_flush(cx);
        result.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        match flushed {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(received.len()),
        }
    }

    /// Encrypts and writes. What is taken here goes out with the next calls, reads included, if the socket is full now; while
    /// it is, nothing more is taken.
    ///
    /// # Errors
    /// As send(2); a session that is over.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let part = &bytes[..bytes.len().min(WRITE_BYTES)];
        RECORDS.with_borrow_mut(|records| {
            let len = self.session.encrypt(part, records, &mut self.out)?;
            let mut rest = &records[..len];
            if self.out.is_empty() {
                match self.under.poll_write(cx, rest) {
                    Poll::Ready(Ok(count)) => rest = &rest[count..],
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {}
                }
            }
            if !rest.is_empty() {
                append(&mut self.out, rest);
                if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                    return Poll::Ready(Err(error));
                }
            }
            Poll::Ready(Ok(part.len()))
        })
    }

    /// The same for two parts, in one record where both fit.
    ///
    /// # Errors
    /// As [`poll_write`](Self::poll_write).
    pub(crate) fn poll_write_both(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let mut joined = scratch::take();
        joined.extend_from_slice(&first[..first.len().min(WRITE_BYTES)]);
        joined.extend_from_slice(&second[..second.len().min(WRITE_BYTES - joined.len())]);
        let written = self.poll_write(cx, &joined);
        scratch::give(joined);
        written
    }

    /// Ready when the socket has taken every record.
    ///
    /// # Errors
    /// As send(2).
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            self.sent += ready!(self.under.poll_write(cx, &self.out[self.sent..]))?;
        }
        if !self.out.is_empty() {
            self.sent = 0;
            scratch::give(std::mem::take(&mut self.out));
        }
        Poll::Ready(Ok(()))
    }

    /// Says that no more is sent, then ends the writing half below.
    ///
    /// # Errors
    /// As shutdown(2).
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_closed {
            self.is_closed = true;
            // A session that is not open has nobody to say it to.
            let _ = self.session.close(&mut self.out);
        }
        ready!(self.poll_flush(cx))?;
        self.under.poll_shutdown(cx)
    }

    /// True while the socket has not taken every record.
    pub(crate) fn holds_unsent(&self) -> bool {
        self.sent < self.out.len()
    }

    /// See [`Stream::reset`].
    pub(crate) fn reset(self) {
        self.under.reset();
    }

    /// True while nothing was heard that has not been read.
    pub(crate) fn is_silent(&self) -> bool {
        self.ahead.is_empty() && !self.session.is_ended() && self.under.is_silent()
    }
}

fn append(buffer: &mut Vec<u8>, bytes: &[u8]) {
    if buffer.capacity() == 0 {
        *buffer = scratch::take();
    }
    buffer.extend_from_slice(bytes);
}
