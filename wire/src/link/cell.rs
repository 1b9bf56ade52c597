//! One call, as the connection knows it: what came for it, who waits, how it ended.

use std::cell::RefCell;
use std::task::Waker;

use hatchway_proto::link::{Cancel, Flow};

use crate::scratch;

/// Shared by the connection, which fills it, and the call's end, which empties it.
pub(super) type CallCell = RefCell<Cell>;

/// How a call ended other than by its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// One of the ends gave it up.
    Cancelled(Cancel),
    /// Its connection is gone. `was_written`: a byte of its first frame was sent, so the node may have begun.
    Lost { was_written: bool },
}

/// What a node said that did not take the call.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) elsewhere: bool,
    pub(super) answer: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Cell {
    /// 0 before a gateway has opened it.
    pub(super) id: u64,
    pub(super) flow: Flow,
    /// How much of the connection's promises this call is.
    pub(super) counted: u64,
    inbox: Vec<u8>,
    used: usize,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// Stands in the queue of those who wait for the socket.
    pub(super) waits_for_room: bool,
    pub(super) over: Option<Over>,
    /// Where its first and its last frame stand in what is written.
    pub(super) first_frame: u64,
    pub(super) last_frame: Option<u64>,
    /// Gateway: the node has taken it. Node: we have.
    pub(super) is_accepted: bool,
    /// Gateway: the node has not.
    pub(super) refused: Option<Refused>,
    /// Node: the next bytes are a refusal. Whether another node may take it, and the reason.
    pub(super) refuses: Option<(bool, &'static str)>,
    /// What a drop before the end is told by.
    pub(super) reason: Cancel,
}

impl Cell {
    pub(super) fn new(id: u64, flow: Flow, reason: Cancel) -> Self {
        Self {
            id,
            flow,
            counted: 0,
            inbox: Vec::new(),
            used: 0,
            reader: None,
            writer: None,
            waits_for_room: false,
            over: None,
            first_frame: 0,
            last_frame: None,
            is_accepted: false,
            refused: None,
            refuses: None,
            reason,
        }
    }

    /// Keeps what came until it is read.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.inbox.capacity() == 0 {
            self.inbox = scratch::take();
        }
        if self.inbox.len() + bytes.len() > self.inbox.capacity() {
            // A reader that is never done would let it grow for ever.
            self.inbox.drain(..std::mem::take(&mut self.used));
        }
        let length = self.inbox.len() + bytes.len();
        if length > self.inbox.capacity() {
            // Grown by itself it may become larger than what is kept as a spare.
            self.inbox.reserve_exact(length.next_power_of_two() - self.inbox.len());
        }
        self.inbox.extend_from_slice(bytes);
    }

    pub(super) fn has_unread(&self) -> bool {
        self.used < self.inbox.len()
    }

    /// Moves what fits into `buffer`.
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> usize {
        let unread = &self.inbox[self.used..];
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        self.used += count;
        if self.used == self.inbox.len() {
            self.clear();
        }
        count
    }

    /// Whoever reads gets these bytes and then the end.
    pub(super) fn answer_with(&mut self, answer: &[u8]) {
        self.clear();
        let length = u32::try_from(answer.len()).expect("an answer in a frame is short");
        self.flow = Flow::new(0, length);
        self.flow.take_data(answer.len(), true).expect("as much as is allowed");
        self.put(answer);
    }

    /// Takes the whole inbox, and says how much of it was read before.
    pub(super) fn take_all(&mut self) -> (Vec<u8>, usize) {
        (std::mem::take(&mut self.inbox), std::mem::take(&mut self.used))
    }

    /// Ends the call, unless it had ended, and tells both who may wait.
    pub(super) fn end(&mut self, over: Over) {
        self.over.get_or_insert(over);
        self.wake_reader();
        self.wake_writer();
    }

    pub(super) fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    fn clear(&mut self) {
        self.used = 0;
        scratch::give(std::mem::take(&mut self.inbox));
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_never_done_does_not_let_the_inbox_grow() {
        let mut cell = Cell::new(1, Flow::new(0, 0), Cancel::Left);
        let mut buffer = [0; 1000];
        cell.put(&[7; 1500]);
        for _ in 0..1000 {
            assert_eq!(cell.take(&mut buffer), 1000);
            cell.put(&[7; 1000]);
        }
        assert!(cell.inbox.capacity() <= 4096, "{} bytes", cell.inbox.capacity());
        assert_eq!((cell.take(&mut buffer), cell.take(&mut buffer)), (1000, 500));
        assert!(!cell.has_unread() && cell.inbox.capacity() == 0);
    }
}
