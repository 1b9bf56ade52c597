//! Frames that wait to be written, and where they stand in all that was ever written.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker, ready};

use hatchway_proto::link::frame;

use crate::pipe::Pipe;
use crate::{Stream, scratch};

/// Owns no memory while nothing waits.
#[derive(Debug, Default)]
pub(super) struct Out {
    bytes: Vec<u8>,
    sent: usize,
    /// Where the first of `bytes` stands.
    base: u64,
    /// What is written between two of `bytes`.
    piped: Option<Piped>,
}

/// The payload of a frame that is in no memory.
#[derive(Debug)]
struct Piped {
    pipe: Pipe,
    /// How many of the bytes are written before it.
    at: usize,
    /// How much it held at first.
    total: usize,
}

impl Out {
    /// How many bytes wait.
    pub(super) fn waiting(&self) -> usize {
        let held = self.piped.as_ref().map_or(0, |piped| piped.pipe.held());
        self.bytes.len() - self.sent + held
    }

    /// True while a pipe waits. There is one at a time.
    pub(super) fn is_piped(&self) -> bool {
        self.piped.is_some()
    }

    /// Where the next frame will stand.
    pub(super) fn position(&self) -> u64 {
        let piped = self.piped.as_ref().map_or(0, |piped| piped.total);
        self.base + (self.bytes.len() + piped) as u64
    }

    /// True when a byte of the frame at `position` was written.
    pub(super) fn is_begun(&self, position: u64) -> bool {
        position < self.base + self.sent as u64
    }

    /// Where frames are put.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = scratch::take_large();
        }
        &mut self.bytes
    }

    /// Writes once of what waits.
    ///
    /// # Errors
    /// As send(2).
    pub(super) fn poll_write(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let end = match &mut self.piped {
            Some(piped) if piped.at == self.sent => {
                ready!(piped.pipe.poll_drain(stream, cx))?;
                if piped.pipe.is_empty() {
                    self.base += piped.total as u64;
                    self.piped = None;
                    self.consume(0);
                }
                return Poll::Ready(Ok(()));
            }
            Some(piped) => piped.at,
            None => self.bytes.len(),
        };
        let count = ready!(stream.poll_write(cx, &self.bytes[self.sent..end]))?;
        self.consume(count);
        Poll::Ready(Ok(()))
    }

    /// Counts `count` bytes as written.
    fn consume(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() && self.sent > 0 && self.piped.is_none() {
            self.base += self.sent as u64;
            self.sent = 0;
            scratch::give(std::mem::take(&mut self.bytes));
        }
    }

    /// Writes what waits with all that `pipe` holds behind it, and keeps what `stream` does not take; as
    /// [`write_with`](Self::write_with).
    pub(super) fn write_pipe(&mut self, stream: &mut Stream, pipe: Pipe) {
        debug_assert!(!self.is_piped(), "one at a time");
        let (at, total) = (self.bytes.len(), pipe.held());
        self.piped = Some(Piped { pipe, at, total });
        let cx = &mut Context::from_waker(Waker::noop());
        while self.waiting() > 0 && matches!(self.poll_write(stream, cx), Poll::Ready(Ok(()))) {}
    }

    /// Writes what waits with `first` and `second` behind it, and keeps what `stream` does not take. Nobody is woken when it
    /// takes more, and an error is met again by whoever writes next: that is the task that owns the socket.
    pub(super) fn write_with(&mut self, stream: &mut Stream, first: &[u8], second: &[u8]) {
        let waiting = self.waiting();
        if self.is_piped() {
            self.buffer().extend_from_slice(first);
            self.buffer().extend_from_slice(second);
            return;
        }
        let parts = [&self.bytes[self.sent..], first, second].map(IoSlice::new);
        let cx = &mut Context::from_waker(Waker::noop());
        let count = match stream.poll_write_parts(cx, &parts) {
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        let of_waiting = count.min(waiting);
        self.consume(of_waiting);
        let mut gone = count - of_waiting;
        for part in [first, second] {
            let left = &part[gone.min(part.len())..];
            gone -= part.len() - left.len();
            if !left.is_empty() {
                self.buffer().extend_from_slice(left);
            }
        }
    }

    /// Marks the DATA frame at `position` as the last of its direction; false when it is on its way already.
    pub(super) fn mark_end(&mut self, position: u64) -> bool {
        if position < self.base || self.is_begun(position) {
            return false;
        }
        let mut at = usize::try_from(position - self.base).expect("it is in the buffer");
        if let Some(piped) = self.piped.as_ref().filter(|piped| at > piped.at) {
            at -= piped.total;
        }
        frame::mark_end(&mut self.bytes[at..]);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;

    use hatchway_proto::link::Frame;
    use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
    use tokio::net::UnixStream;

    use super::*;

    fn data(out: &mut Out) -> u64 {
        let position = out.position();
        frame::encode_data(out.buffer(), 1, b"0123456789", b"");
        position
    }

    #[test]
    fn a_frame_can_be_marked_until_its_first_byte_is_on_its_way() {
        let mut out = Out::default();
        let (first, second) = (data(&mut out), data(&mut out));
        assert_eq!((first, second), (0, 22));
        out.consume(1);
        assert!(out.is_begun(first) && !out.is_begun(second));
        assert!(!out.mark_end(first) && out.mark_end(second));
        out.consume(21);
        let read =
            Frame::decode(&out.bytes[out.sent..]).expect("it is sound").expect("it is whole");
        assert_eq!(read.0, Frame::Data { call: 1, end: true, bytes: b"0123456789" });
        out.consume(22);
        assert_eq!((out.waiting(), out.position()), (0, 44));
        assert!(!out.mark_end(second));
        assert!(data(&mut out) == 44 && out.mark_end(44));
    }

    /// A pipe with as many bytes, all of them `byte`.
    async fn pipe(byte: u8, count: usize) -> Pipe {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.writable().await.unwrap();
        assert_eq!(ours.try_write(&vec![byte; count]).unwrap(), count);
        let (mut pipe, theirs) = (Pipe::take().unwrap(), Stream::Unix(theirs));
        while pipe.held() < count {
            let more = count - pipe.held();
            poll_fn(|cx| Poll::Ready(crate::pipe::try_fill(&mut pipe, &theirs, more, cx))).await;
            tokio::task::yield_now().await;
        }
        pipe
    }

    /// Reads up to `count` bytes, and has `out` write on.
    async fn read_some(
        sink: &mut UnixStream,
        out: &mut Out,
        stream: &mut Stream,
        count: usize,
    ) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let mut into = ReadBuf::new(&mut bytes);
        let read = poll_fn(|cx| {
            while out.waiting() > 0 && out.poll_write(stream, cx).is_ready() {}
            Pin::new(&mut *sink).poll_read(cx, &mut into)
        });
        read.await.unwrap();
        into.filled().to_vec()
    }

    /// Reads `count` bytes while `out` writes on.
    async fn read(
        sink: &mut UnixStream,
        out: &mut Out,
        stream: &mut Stream,
        count: usize,
    ) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let writing = poll_fn(|cx| {
            while out.waiting() > 0 {
                ready!(out.poll_write(stream, cx)).unwrap();
            }
            Poll::Ready(())
        });
        let (read, ()) = tokio::join!(sink.read_exact(&mut bytes), writing);
        read.unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_pipe_is_written_in_its_place_however_slow_the_other_end_is() {
        let (mut sink, ours) = UnixStream::pair().unwrap();
        let mut stream = Stream::Unix(ours);
        // More than the socket takes at once.
        const MUCH: usize = 96 * 1024;
        let (mut out, mut expected) = (Out::default(), Vec::new());
        for round in 0..6 {
            while out.is_piped() {
                let some = expected.len().min(10_000);
                let got = read_some(&mut sink, &mut out, &mut stream, some).await;
                assert_eq!(got, expected.drain(..got.len()).collect::<Vec<u8>>());
            }
            let front = data(&mut out);
            expected.extend_from_slice(&out.bytes[out.bytes.len() - 22..]);
            out.write_pipe(&mut stream, pipe(round, MUCH).await);
            expected.extend(vec![round; MUCH]);
            let behind = data(&mut out);
            assert_eq!(behind - front, 22 + MUCH as u64);
            assert!(!out.is_begun(behind) && out.mark_end(behind));
            let marked = out.bytes.len() - 22;
            expected.extend_from_slice(&out.bytes[marked..]);
            let read = Frame::decode(&out.bytes[marked..]).unwrap().unwrap();
            assert_eq!(read.0, Frame::Data { call: 1, end: true, bytes: b"0123456789" });
        }
        let got = read(&mut sink, &mut out, &mut stream, expected.len()).await;
        assert!(got == expected && out.waiting() == 0);
        assert_eq!(out.position(), 6 * (44 + MUCH as u64));
    }
}
