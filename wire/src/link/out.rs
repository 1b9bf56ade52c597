//! Frames that wait to be written, and where they stand in all that was ever written.

use std::io::IoSlice;
use std::task::{Context, Poll, Waker};

use hatchway_proto::link::frame;

use crate::{Stream, scratch};

/// Owns no memory while nothing waits.
#[derive(Debug, Default)]
pub(super) struct Out {
    bytes: Vec<u8>,
    sent: usize,
    /// Where the first of `bytes` stands.
    base: u64,
}

impl Out {
    /// How many bytes wait.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Where the next frame will stand.
    pub(super) fn position(&self) -> u64 {
        self.base + self.bytes.len() as u64
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

    /// What has not been written.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Counts `count` bytes as written.
    pub(super) fn consume(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.bytes.len() && self.sent > 0 {
            self.base += self.sent as u64;
            self.sent = 0;
            scratch::give(std::mem::take(&mut self.bytes));
        }
    }

    /// Writes what waits with `first` and `second` behind it, and keeps what `stream` does not take. Nobody is woken when it
    /// takes more, and an error is met again by whoever writes next: that is the task that owns the socket.
    pub(super) fn write_with(&mut self, stream: &mut Stream, first: &[u8], second: &[u8]) {
        let waiting = self.waiting();
        let parts = [self.rest(), first, second].map(IoSlice::new);
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
        let at = usize::try_from(position - self.base).expect("it is in the buffer");
        frame::mark_end(&mut self.bytes[at..]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hatchway_proto::link::Frame;

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
        let read = Frame::decode(out.rest()).expect("it is sound").expect("it is whole");
        assert_eq!(read.0, Frame::Data { call: 1, end: true, bytes: b"0123456789" });
        out.consume(22);
        assert_eq!((out.waiting(), out.position()), (0, 44));
        assert!(!out.mark_end(second));
        assert!(data(&mut out) == 44 && out.mark_end(44));
    }
}
