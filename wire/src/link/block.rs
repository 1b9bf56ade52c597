//! What a link reads into. A long piece of a body stays where it was read until its reader has passed it on; only what is
//! short is copied out, so that a few bytes do not keep a whole block.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

/// As much as a node writes at once for a body, with the frames around it.
const BLOCK_BYTES: usize = 128 * 1024;

/// Kept per core: bodies of a few calls at a time.
const SPARES: usize = 8;

thread_local! {
    static CURRENT: RefCell<Rc<Block>> = RefCell::new(Rc::new(Block::take()));
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of one read, for as long as somebody needs them.
#[derive(Debug)]
pub(super) struct Block(Box<[u8]>);

/// A part of a block. Keeps all of it.
#[derive(Debug)]
pub(super) struct Slice {
    block: Rc<Block>,
    range: Range<usize>,
}

/// Lends a block of this core for one read and for what is made of it; a slice that is kept of it takes it out of the
/// core's hands.
///
/// # Panics
/// When called again from inside `step`.
pub(super) fn with_block<T>(step: impl FnOnce(&mut Rc<Block>) -> T) -> T {
    CURRENT.with_borrow_mut(|current| {
        if Rc::get_mut(current).is_none() {
            *current = Rc::new(Block::take());
        }
        step(current)
    })
}

impl Block {
    fn take() -> Self {
        let spare = SPARE.with_borrow_mut(Vec::pop);
        Self(spare.unwrap_or_else(|| vec![0; BLOCK_BYTES].into_boxed_slice()))
    }

    /// Where bytes are read into.
    pub(super) fn buffer(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// What was read.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Keeps `part`, which is one of this block's.
    pub(super) fn slice(self: &Rc<Self>, part: &[u8]) -> Slice {
        let start = part.as_ptr().addr() - self.0.as_ptr().addr();
        Slice { block: Rc::clone(self), range: start..start + part.len() }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        // The thread may be ending.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARES {
                spare.push(bytes);
            }
        });
    }
}

impl Slice {
    /// What is left of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.block.0[self.range.clone()]
    }

    /// Takes `count` bytes off the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.range.start += count;
    }

    /// True when both are of one block.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.block, &other.block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_needed_is_not_read_into_and_comes_back_when_it_is_not() {
        let slice = with_block(|block| {
            let buffer = Rc::get_mut(block).expect("it is ours").buffer();
            buffer[10..13].copy_from_slice(b"one");
            block.slice(&block.bytes()[10..13])
        });
        let other = with_block(|block| {
            Rc::get_mut(block).expect("it is another one").buffer()[10..13].copy_from_slice(b"two");
            block.slice(&block.bytes()[10..13])
        });
        assert_eq!((slice.bytes(), other.bytes()), (&b"one"[..], &b"two"[..]));
        assert!(!slice.is_beside(&other));
        drop((slice, other));
        with_block(|block| assert!(Rc::get_mut(block).is_some()));
        assert_eq!(SPARE.with_borrow(Vec::len), 1);
    }

    #[test]
    fn a_slice_gives_what_is_left_of_it() {
        let mut slice = with_block(|block| {
            Rc::get_mut(block).expect("it is ours").buffer()[..5].copy_from_slice(b"hello");
            block.slice(&block.bytes()[..5])
        });
        slice.consume(2);
        assert_eq!(slice.bytes(), b"llo");
    }
}
