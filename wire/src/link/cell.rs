//! One call, as the connection knows it: what came for it, who waits, how it ended.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use hatchway_proto::link::{AnswerHead, Cancel, Flow};

use super::block::{Block, Slice};
use crate::scratch;

/// A shorter piece is copied: a block that is kept costs as much.
const SLICE_BYTES: usize = 16 * 1024;

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
    /// Long pieces that came, where they were read. They stand in front of the inbox.
    slices: VecDeque<Slice>,
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
    /// Gateway: what was said of the head that comes next.
    pub(super) told: Option<AnswerHead>,
    /// Gateway: an answer was told of.
    pub(super) is_told: bool,
    /// Node: what is said of the head that is written next.
    pub(super) tells: Option<AnswerHead>,
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
            slices: VecDeque::new(),
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
            told: None,
            is_told: false,
            tells: None,
            refuses: None,
            reason,
        }
    }

    /// Keeps what came, and stands in `block`, until it is read.
    pub(super) fn put(&mut self, bytes: &[u8], block: &Rc<Block>) {
        let slice = (bytes.len() >= SLICE_BYTES && self.inbox.is_empty())
            .then(|| block.slice(bytes))
            .filter(|slice| self.may_keep(slice));
        match slice {
            Some(slice) => self.slices.push_back(slice),
            None => self.put_copy(bytes),
        }
    }

    /// A call keeps two blocks at most, twice the window, however short the pieces.
    fn may_keep(&self, slice: &Slice) -> bool {
        let (Some(first), Some(last)) = (self.slices.front(), self.slices.back()) else {
            return true;
        };
        last.is_beside(slice) || first.is_beside(last)
    }

    fn put_copy(&mut self, bytes: &[u8]) {
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
        !self.slices.is_empty() || self.used < self.inbox.len()
    }

    /// Moves what fits into `buffer`.
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> usize {
        if let Some(slice) = self.slices.front_mut() {
            let count = slice.bytes().len().min(buffer.len());
            buffer[..count].copy_from_slice(&slice.bytes()[..count]);
            slice.consume(count);
            if slice.bytes().is_empty() {
                self.slices.pop_front();
            }
            return count;
        }
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
        self.slices.clear();
        self.clear();
        let length = u32::try_from(answer.len()).expect("an answer in a frame is short");
        self.flow = Flow::new(0, length);
        self.flow.take_data(answer.len(), true).expect("as much as is allowed");
        self.put_copy(answer);
    }

    /// Takes as much as stands in one place.
    pub(super) fn take_next(&mut self) -> Unread {
        match self.slices.pop_front() {
            Some(slice) => Unread::Slice(slice),
            None => Unread::Copy {
                bytes: std::mem::take(&mut self.inbox),
                used: std::mem::take(&mut self.used),
            },
        }
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

/// Bytes that were taken out of a call to be shown.
#[derive(Debug)]
pub(super) enum Unread {
    Slice(Slice),
    Copy {
        bytes: Vec<u8>,
        /// What was read of them before.
        used: usize,
    },
}

impl Unread {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Slice(slice) => slice.bytes(),
            Self::Copy { bytes, used } => &bytes[*used..],
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Self::Copy { bytes, .. } = self {
            scratch::give(std::mem::take(bytes));
        }
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::block;
    use super::*;

    #[test]
    fn a_reader_that_is_never_done_does_not_let_the_inbox_grow() {
        let mut cell = Cell::new(1, Flow::new(0, 0), Cancel::Left);
        let mut buffer = [0; 1000];
        cell.put_copy(&[7; 1500]);
        for _ in 0..1000 {
            assert_eq!(cell.take(&mut buffer), 1000);
            cell.put_copy(&[7; 1000]);
        }
        assert!(cell.inbox.capacity() <= 4096, "{} bytes", cell.inbox.capacity());
        assert_eq!((cell.take(&mut buffer), cell.take(&mut buffer)), (1000, 500));
        assert!(!cell.has_unread() && cell.inbox.capacity() == 0);
    }

    #[test]
    fn long_pieces_stay_where_they_were_read_up_to_two_blocks_and_keep_their_order() {
        const LONG: usize = SLICE_BYTES + 1;
        let mut cell = Cell::new(1, Flow::new(0, 0), Cancel::Left);
        let mut expected = Vec::new();
        for mark in 1..=3 {
            block::with_block(|block| {
                let buffer = Rc::get_mut(block).expect("nobody has a slice of it").buffer();
                buffer[..LONG].fill(mark);
                buffer[LONG..2 * LONG].fill(mark + 10);
                for part in [0..LONG, LONG..2 * LONG] {
                    cell.put(&block.bytes()[part.clone()], block);
                    expected.extend_from_slice(&block.bytes()[part]);
                }
            });
        }
        assert_eq!((cell.slices.len(), cell.inbox.len()), (4, 2 * LONG));
        let mut got = vec![0; 7000];
        assert_eq!(cell.take(&mut got), 7000);
        while cell.has_unread() {
            got.extend_from_slice(cell.take_next().bytes());
        }
        assert!(got == expected, "{} of {} bytes, or another order", got.len(), expected.len());
    }
}
