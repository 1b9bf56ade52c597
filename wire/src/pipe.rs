//! Bytes from one socket to another without a copy (splice(2)), through a pipe that holds them in between.
//!
//! A pipe costs two descriptors and pins what it holds, so a core has only so many, keeps those that are empty for
//! the next body, and a body that finds none is copied.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use socket2::SockRef;
use tokio::io::Interest;

use crate::Stream;

/// What a pipe may hold, where the kernel allows it: a turn of the relay moves as much at once as the copying path
/// with its scratch buffer twice over. 64 KiB, the kernel's default, costs a third more system calls.
const PIPE_BYTES: usize = 256 * 1024;

/// Pipes of a core in use at a time; the next body is copied. 512 descriptors, and 64 MiB of pages at most.
const PIPES: usize = 256;

/// Empty pipes that a core keeps: opening and closing one costs about what it saves on a body of 128 KiB.
const SPARES: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
    static IN_USE: Cell<usize> = const { Cell::new(0) };
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe of this core. One that is dropped with bytes in it is closed: they belong to nobody any more.
#[derive(Debug)]
pub(crate) struct Pipe {
    ends: Option<Ends>,
    held: usize,
}

impl Pipe {
    /// A pipe that is empty; none when this core has as many as it may, or the process as many descriptors.
    pub(crate) fn take() -> Option<Self> {
        if IN_USE.get() >= PIPES {
            return None;
        }
        let spare = SPARE.with_borrow_mut(Vec::pop);
        let ends = spare.map_or_else(open, Some)?;
        IN_USE.set(IN_USE.get() + 1);
        Some(Self { ends: Some(ends), held: 0 })
    }

    /// True when all that went in has come out.
    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    fn ends(&self) -> &Ends {
        self.ends.as_ref().expect("the ends are there until the drop")
    }

    /// Takes what is there, at most `most` bytes, into a pipe that is empty; 0 is the end.
    ///
    /// # Errors
    /// As splice(2).
    pub(crate) fn poll_fill(
        &mut self,
        from: &Stream,
        most: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.is_empty(), "a full pipe and an empty socket look alike");
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(PIPE_BYTES);
        let write = &self.ends().write;
        let count = ready!(poll_io(from, Interest::READABLE, cx, |from| moved(from, write, most)))?;
        self.held = count;
        Poll::Ready(Ok(count))
    }

    /// Gives what it holds to `to`, once; says how much was taken.
    ///
    /// # Errors
    /// As splice(2).
    pub(crate) fn poll_drain(
        &mut self,
        to: &Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let (read, held) = (&self.ends().read, self.held);
        let count = ready!(poll_io(to, Interest::WRITABLE, cx, |to| moved(read, to, held)))?;
        self.held -= count;
        Poll::Ready(Ok(count))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        IN_USE.set(IN_USE.get() - 1);
        let Some(ends) = self.ends.take().filter(|_| self.is_empty()) else { return };
        SPARE.with_borrow_mut(|spares| {
            if spares.len() < SPARES {
                spares.push(ends);
            }
        });
    }
}

fn open() -> Option<Ends> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
    // Refused where this user has too many pages in pipes already (pipe(7)): then it holds less.
    let _ = fcntl_setpipe_size(&write, PIPE_BYTES);
    Some(Ends { read, write })
}

fn moved(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    Ok(splice(from, None, to, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)
}

/// True for a stream whose bytes are the kernel's alone to move.
pub(crate) fn is_plain(stream: &Stream) -> bool {
    matches!(stream, Stream::Tcp(_) | Stream::Unix(_))
}

/// Tries `work` when the runtime takes the socket for ready, and waits when it is not after all.
fn poll_io<T>(
    stream: &Stream,
    interest: Interest,
    cx: &mut Context<'_>,
    work: impl Fn(rustix::fd::BorrowedFd<'_>) -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        let is_read = interest.is_readable();
        let tried = match stream {
            Stream::Tcp(socket) => {
                ready!(if is_read {
                    socket.poll_read_ready(cx)
                } else {
                    socket.poll_write_ready(cx)
                })?;
                socket.try_io(interest, || work(socket.as_fd()))
            }
            Stream::Unix(socket) => {
                ready!(if is_read {
                    socket.poll_read_ready(cx)
                } else {
                    socket.poll_write_ready(cx)
                })?;
                socket.try_io(interest, || work(socket.as_fd()))
            }
            Stream::Call(_) | Stream::Tls(_) | Stream::Outbound(_) => {
                Err(io::ErrorKind::Unsupported.into())
            }
        };
        match tried {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            tried => return Poll::Ready(tried),
        }
    }
}

/// Tells the runtime that a socket is empty if it is: splicing took all that was asked for, and left it in the belief
/// that there is more, so that the connection would not be taken for a quiet one.
pub(crate) fn settle(stream: &Stream) {
    let peek = |socket: SockRef<'_>| socket.peek(&mut [std::mem::MaybeUninit::uninit()]);
    // Whatever is there instead is found by who takes the connection next.
    let _ = match stream {
        Stream::Tcp(socket) => socket.try_io(Interest::READABLE, || peek(SockRef::from(socket))),
        Stream::Unix(socket) => socket.try_io(Interest::READABLE, || peek(SockRef::from(socket))),
        Stream::Call(_) | Stream::Tls(_) | Stream::Outbound(_) => Ok(0),
    };
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;

    fn pair() -> (UnixStream, Stream) {
        let (ours, theirs) = UnixStream::pair().expect("descriptors are left");
        (ours, Stream::Unix(theirs))
    }

    #[tokio::test]
    async fn bytes_go_through_in_their_order_and_the_pipe_is_used_again() {
        let ((mut source, from), (mut sink, to)) = (pair(), pair());
        let mut pipe = Pipe::take().expect("the first pipe");
        for text in [&b"one"[..], b"another"] {
            source.write_all(text).await.unwrap();
            let filled = poll_fn(|cx| pipe.poll_fill(&from, 100, cx)).await.unwrap();
            assert_eq!(filled, text.len());
            let drained = poll_fn(|cx| pipe.poll_drain(&to, cx)).await.unwrap();
            assert_eq!(drained, text.len());
            let mut got = vec![0; text.len()];
            sink.read_exact(&mut got).await.unwrap();
            assert_eq!(got, text);
        }
        drop(pipe);
        assert_eq!(SPARE.with_borrow(Vec::len), 1);
        drop(source);
        let mut pipe = Pipe::take().expect("the same pipe");
        assert_eq!(poll_fn(|cx| pipe.poll_fill(&from, 100, cx)).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_pipe_that_holds_bytes_is_not_used_again() {
        let (mut source, from) = pair();
        source.write_all(b"lost").await.unwrap();
        let mut pipe = Pipe::take().expect("the first pipe");
        poll_fn(|cx| pipe.poll_fill(&from, 100, cx)).await.unwrap();
        drop(pipe);
        assert_eq!(SPARE.with_borrow(Vec::len), 0);
        assert_eq!(IN_USE.get(), 0);
    }

    #[tokio::test]
    async fn a_core_has_so_many_and_no_more() {
        let pipes: Vec<Pipe> = std::iter::from_fn(Pipe::take).collect();
        assert!(pipes.len() <= PIPES);
        drop(pipes);
        assert!(SPARE.with_borrow(Vec::len) <= SPARES);
    }
}
