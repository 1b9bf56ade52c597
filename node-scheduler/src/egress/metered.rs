//! A connection to the outside, whose bytes are counted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// What goes out, and what comes in.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) out: IntCounter,
    pub(crate) into: IntCounter,
}

/// Counts while it passes on.
#[derive(Debug)]
pub(super) struct Metered {
    stream: TcpStream,
    moved: Moved,
    activity: Activity,
}

/// Whether anything still moves.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<AtomicU64>);

impl Activity {
    fn note(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Waits until nothing has moved for `patience`, or nearly twice as long.
    pub(super) async fn ceases(&self, patience: Duration) {
        let mut before = self.0.load(Ordering::Relaxed);
        loop {
            sleep(patience).await;
            let now = self.0.load(Ordering::Relaxed);
            if now == before {
                return;
            }
            before = now;
        }
    }
}

impl Metered {
    pub(super) fn new(stream: TcpStream, moved: Moved) -> Self {
        Self { stream, moved, activity: Activity::default() }
    }

    pub(super) fn activity(&self) -> Activity {
        self.activity.clone()
    }

    fn sent(&self, written: io::Result<usize>) -> io::Result<usize> {
        let bytes = written?;
        self.moved.out.inc_by(bytes as u64);
        self.activity.note(bytes);
        Ok(bytes)
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let bytes = buffer.filled().len() - before;
        self.moved.into.inc_by(bytes as u64);
        self.activity.note(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.sent(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, pieces));
        Poll::Ready(self.sent(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
