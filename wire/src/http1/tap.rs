//! A copy of a body as it goes by.

use std::cell::RefCell;

use hatchway_proto::http1::{BodyDecoder, Framing};

use crate::scratch;

/// Keeps what an upstream has taken of a body, in its framing, up to a bound. Slows nobody: beyond the bound it keeps nothing.
#[derive(Debug)]
pub struct Tap {
    kept: RefCell<Kept>,
    bound: usize,
}

#[derive(Debug)]
enum Kept {
    Bytes(Vec<u8>),
    TooLong,
}

/// What became of a copy.
#[derive(Debug, PartialEq, Eq)]
pub enum Tapped {
    /// The whole body, in its framing.
    Whole(Vec<u8>),
    /// It is longer than the bound.
    TooLong,
    /// The upstream has not taken all of it.
    Incomplete,
}

impl Tap {
    /// Keeps up to `bound` bytes.
    pub fn new(bound: usize) -> Self {
        Self { kept: RefCell::new(Kept::Bytes(Vec::new())), bound }
    }

    /// Some more was taken.
    pub(crate) fn pass(&self, taken: &[u8]) {
        let mut kept = self.kept.borrow_mut();
        let Kept::Bytes(bytes) = &mut *kept else { return };
        if bytes.len() + taken.len() <= self.bound {
            if bytes.capacity() == 0 && !taken.is_empty() {
                *bytes = scratch::take();
            }
            bytes.extend_from_slice(taken);
        } else {
            scratch::give(std::mem::take(bytes));
            *kept = Kept::TooLong;
        }
    }

    /// What it has kept of a body with this framing.
    pub fn take(&self, framing: Framing) -> Tapped {
        match std::mem::replace(&mut *self.kept.borrow_mut(), Kept::TooLong) {
            Kept::TooLong => Tapped::TooLong,
            Kept::Bytes(bytes) => {
                let mut body = BodyDecoder::new(framing);
                let is_well = body.advance(&bytes).is_ok();
                if is_well && body.is_done() { Tapped::Whole(bytes) } else { Tapped::Incomplete }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tapped(bound: usize, framing: Framing, pieces: &[&str]) -> Tapped {
        let tap = Tap::new(bound);
        pieces.iter().for_each(|piece| tap.pass(piece.as_bytes()));
        tap.take(framing)
    }

    #[test]
    fn a_copy_is_whole_or_it_is_none() {
        let whole = |text: &str| Tapped::Whole(text.as_bytes().to_vec());
        assert_eq!(tapped(0, Framing::None, &[]), whole(""));
        assert_eq!(tapped(4, Framing::Length(4), &["ab", "cd"]), whole("abcd"));
        assert_eq!(tapped(4, Framing::Length(5), &["ab", "cd"]), Tapped::Incomplete);
        assert_eq!(tapped(4, Framing::Length(5), &["ab", "cde"]), Tapped::TooLong);
        assert_eq!(tapped(4, Framing::Length(5), &["abcde", ""]), Tapped::TooLong);
        let chunks = ["1\r\na\r\n", "0\r\n\r\n"];
        assert_eq!(tapped(99, Framing::Chunked, &chunks), whole("1\r\na\r\n0\r\n\r\n"));
        assert_eq!(tapped(99, Framing::Chunked, &chunks[..1]), Tapped::Incomplete);
    }
}
