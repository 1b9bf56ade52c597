//! Bytes in and out, over TCP, a Unix socket, or as one call of a link.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hatchway_proto::link::AnswerHead;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop;
use tokio::time::{Instant, sleep};

use crate::http2::outbound::Outbound;
use crate::link::Call;
use crate::scratch;
use crate::tls::Tls;

/// How long a full queue of a listening Unix socket is waited for, and how often it is tried. The kernel
/// tells of no event here: connect(2) fails with `EAGAIN` and leaves nothing to wait on.
const QUEUE_CLOCK: Duration = Duration::from_secs(1);
const QUEUE_PAUSE: Duration = Duration::from_millis(1);

/// A connection to a client, a node or a function.
#[derive(Debug)]
pub enum Stream {
    /// Over IP.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
    /// One of many on a connection between a gateway and a node.
    Call(Call),
    /// Over either, encrypted.
    Tls(Box<Tls>),
    /// One of many on a connection to a function that speaks HTTP/2.
    Outbound(Box<Outbound>),
}

impl Stream {
    /// Connects to a Unix socket; waits up to a second while its queue is full.
    ///
    /// # Errors
    /// As connect(2): `ENOENT` and `ECONNREFUSED` while nobody listens, `EAGAIN` when the queue stays full.
    pub async fn connect_unix(path: &Path) -> io::Result<Self> {
        let until = Instant::now() + QUEUE_CLOCK;
        loop {
            match UnixStream::connect(path).await {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until =>
                {
                    sleep(QUEUE_PAUSE).await;
                }
                result => return result.map(Self::Unix),
            }
        }
    }

    /// Connects over TCP, with small messages sent at once.
    ///
    /// # Errors
    /// As connect(2).
    pub async fn connect_tcp(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::Tcp(stream))
    }

    /// Reads what is there, at most `buffer.len()` bytes, which must not be 0; 0 is the end. A short read
    /// tells the runtime that the socket is empty, so no call is spent on hearing `EAGAIN`.
    ///
    /// # Errors
    /// As recv(2).
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        debug_assert!(!buffer.is_empty(), "reading into nothing looks like the end");
        let mut buffer = ReadBuf::new(buffer);
        self.poll_read_buf(cx, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    /// Shows what is there to `step`, nothing at the end. From a socket it comes through the core's scratch buffer; what came
    /// for a call is shown where it is.
    ///
    /// # Errors
    /// As recv(2).
    ///
    /// # Panics
    /// When called from inside another `step`: one of them reads one stream.
    pub(crate) fn poll_bytes<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&[u8], &mut Context<'_>) -> T,
    ) -> Poll<io::Result<T>> {
        if let Self::Call(call) = self {
            return call.poll_bytes(cx, step);
        }
        scratch::with_scratch(|buffer| {
            let count = ready!(self.poll_read(cx, buffer))?;
            Poll::Ready(Ok(step(&buffer[..count], cx)))
        })
    }

    /// What a node has said of the head that is read next: whole, and first among what there is to read. Once.
    pub(crate) fn take_told(&self) -> Option<AnswerHead> {
        match self {
            Self::Call(call) => call.take_told(),
            Self::Tcp(_) | Self::Unix(_) | Self::Tls(_) | Self::Outbound(_) => None,
        }
    }

    /// The same as [`poll_read`](Self::poll_read) into memory that need not be initialised.
    ///
    /// # Errors
    /// As recv(2).
    pub(crate) fn poll_read_buf(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Call(call) => {
                let count = ready!(call.poll_read(cx, into.initialize_unfilled()))?;
                into.advance(count);
                Poll::Ready(Ok(()))
            }
            Self::Tls(stream) => stream.poll_read(cx, into),
            Self::Outbound(request) => {
                let count = ready!(request.poll_read(cx, into.initialize_unfilled()))?;
                into.advance(count);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Writes what fits. Behind TLS, what was taken may not have left yet; it goes with the calls that follow, of which
    /// [`poll_shutdown`](Self::poll_shutdown) waits for it.
    ///
    /// # Errors
    /// As send(2); writing nothing is `WriteZero`.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Call(call) => call.poll_send(cx, bytes, &[]),
            Self::Tls(stream) => stream.poll_write(cx, bytes),
            Self::Outbound(request) => request.poll_write(cx, bytes),
        };
        not_zero(polled)
    }

    /// Writes what fits of `first` and then of `second`, as one message where both fit.
    ///
    /// # Errors
    /// As writev(2); writing nothing is `WriteZero`.
    pub fn poll_write_both(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        if first.is_empty() || second.is_empty() {
            return self.poll_write(cx, if first.is_empty() { second } else { first });
        }
        let parts = [IoSlice::new(first), IoSlice::new(second)];
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, &parts),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, &parts),
            Self::Call(call) => call.poll_send(cx, first, second),
            Self::Tls(stream) => stream.poll_write_both(cx, first, second),
            // A head and what follows it are two things there.
            Self::Outbound(request) => request.poll_write(cx, first),
        };
        not_zero(polled)
    }

    /// Writes what fits of many parts, as one message where they fit; of a plain socket.
    ///
    /// # Errors
    /// As writev(2); `Unsupported` for what is no socket.
    pub(crate) fn poll_write_parts(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Call(_) | Self::Tls(_) | Self::Outbound(_) => {
                Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
            }
        }
    }

    /// Ends the writing half; the peer reads an end.
    ///
    /// # Errors
    /// As shutdown(2).
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Call(call) => call.poll_shutdown(cx),
            Self::Tls(stream) => stream.poll_shutdown(cx),
            // The end of a request is said by its framing.
            Self::Outbound(_) => Poll::Ready(Ok(())),
        }
    }

    /// True while something that was taken by a write has not left: behind TLS, what the socket had no room for.
    pub(crate) fn holds_unsent(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.holds_unsent(),
            Self::Tcp(_) | Self::Unix(_) | Self::Call(_) | Self::Outbound(_) => false,
        }
    }

    /// Closes a connection that is between two messages. Behind TLS the peer is told so first, as far as the socket takes that
    /// at once: an end without it looks like a cut.
    pub fn close(mut self) {
        if let Self::Tls(stream) = &mut self {
            let _ = stream.poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Closes by a reset, so that what was sent cannot be taken for a whole message. A Unix socket knows no
    /// reset and is closed; a call is cancelled.
    pub fn reset(self) {
        match self {
            // The close that follows says less without it, and nothing else can be done.
            Self::Tcp(stream) => drop(stream.set_zero_linger()),
            Self::Unix(_) | Self::Call(_) | Self::Outbound(_) => {}
            Self::Tls(stream) => stream.reset(),
        }
    }

    /// True while an idle connection has heard nothing, neither bytes that nobody asked for nor an end, as
    /// far as the runtime knows. Costs no system call, and may be late by a turn of the runtime's loop. A connection behind TLS
    /// never is: even its end has to be said.
    pub fn is_quiet(&self) -> bool {
        if let Self::Tls(_) | Self::Outbound(_) = self {
            return false;
        }
        // Without budget the runtime would answer that nothing is ready, whatever there is.
        if !coop::has_budget_remaining() {
            return self.is_silent();
        }
        let mut cx = Context::from_waker(Waker::noop());
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(&mut cx).is_pending(),
            Self::Unix(stream) => stream.poll_read_ready(&mut cx).is_pending(),
            Self::Call(call) => call.is_quiet(),
            Self::Tls(_) | Self::Outbound(_) => false,
        }
    }

    /// The same as [`is_quiet`](Self::is_quiet), asked of the kernel: one system call, and never late.
    pub fn is_silent(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match self {
            Self::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
            Self::Unix(stream) => SockRef::from(stream).peek(&mut byte),
            Self::Call(call) => return call.is_quiet(),
            Self::Tls(stream) => return stream.is_silent(),
            Self::Outbound(_) => return false,
        };
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

fn not_zero(polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
    match polled {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        polled => polled,
    }
}
