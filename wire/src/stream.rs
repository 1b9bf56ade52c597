//! Bytes in and out, over TCP or a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection to a client, a node or a function.
#[derive(Debug)]
pub enum Stream {
    /// Over IP.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
}

impl Stream {
    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// As connect(2): `ENOENT` and `ECONNREFUSED` while nobody listens.
    pub async fn connect_unix(path: &Path) -> io::Result<Self> {
        UnixStream::connect(path).await.map(Self::Unix)
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

    /// Reads what is there, at most `buffer.len()` bytes; 0 is the end. A short read tells the runtime
    /// that the socket is empty, so no call is spent on hearing `EAGAIN`.
    ///
    /// # Errors
    /// As recv(2).
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        };
        polled.map_ok(|()| buffer.filled().len())
    }

    /// Writes what fits.
    ///
    /// # Errors
    /// As send(2).
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
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
        }
    }

    /// True while an idle connection has heard nothing: neither bytes that nobody asked for nor an end.
    /// Costs no system call.
    pub fn is_quiet(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(&mut cx).is_pending(),
            Self::Unix(stream) => stream.poll_read_ready(&mut cx).is_pending(),
        }
    }
}
