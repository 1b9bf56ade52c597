//! Buffers that belong to a core, not to a connection: an idle connection owns none.

use std::cell::RefCell;

/// Large enough that a head and a 64 KiB body arrive in one read: at 64 KiB they never fit and double
/// the system calls (37 us a request against 27 at 128 KiB, for a 64 KiB POST).
const SCRATCH_BYTES: usize = 128 * 1024;

/// The largest vector worth keeping: what a slow peer leaves of one read.
const SPARE_BYTES: usize = 128 * 1024;

/// Scratch buffers kept per core beside the one in use: as many uploads as begin before the first is taken.
const BLOCKS: usize = 16;

/// Kept per core in all: a busy core uses a few dozen small ones, and a burst of large ones is given back.
const SPARES_BYTES: usize = 4 * 1024 * 1024;

/// From here on a vector is for what many requests are written into: who gets a small one for that would grow it, again and
/// again, and a head has no use for a large one.
const LARGE_BYTES: usize = 32 * 1024;

#[derive(Debug, Default)]
struct Spares {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    bytes: usize,
}

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(block());
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
    static SPARES: RefCell<Spares> = RefCell::default();
}

/// Lends this core's scratch buffer for one synchronous step. Its content is garbage from the last step.
///
/// # Panics
/// When called again from inside `step`: one step reads or writes one stream.
pub fn with_scratch<T>(step: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| step(scratch))
}

fn block() -> Box<[u8]> {
    vec![0; SCRATCH_BYTES].into_boxed_slice()
}

/// Takes the scratch buffer away with what the last step has left in it, where to copy would cost more; another takes its
/// place. Comes back by [`give_block`].
pub fn take_block() -> Box<[u8]> {
    let fresh = FREE.with_borrow_mut(Vec::pop).unwrap_or_else(block);
    SCRATCH.with_borrow_mut(|scratch| std::mem::replace(scratch, fresh))
}

/// Gives a buffer of [`take_block`] back.
pub fn give_block(block: Box<[u8]>) {
    FREE.with_borrow_mut(|free| {
        if free.len() < BLOCKS {
            free.push(block);
        }
    });
}

/// An empty vector, with capacity from an earlier request where there is one.
pub fn take() -> Vec<u8> {
    SPARES.with_borrow_mut(|spares| {
        let spare = spares.small.pop().unwrap_or_default();
        spares.bytes -= spare.capacity();
        spare
    })
}

/// The same for what many requests are written into.
pub fn take_large() -> Vec<u8> {
    SPARES.with_borrow_mut(|spares| match spares.large.pop() {
        Some(spare) => {
            spares.bytes -= spare.capacity();
            spare
        }
        None => Vec::with_capacity(SPARE_BYTES),
    })
}

/// Gives a vector back for the next request of this core.
pub fn give(mut spare: Vec<u8>) {
    let bytes = spare.capacity();
    if bytes == 0 || bytes > SPARE_BYTES {
        return;
    }
    spare.clear();
    SPARES.with_borrow_mut(|spares| {
        if spares.bytes + bytes <= SPARES_BYTES {
            spares.bytes += bytes;
            let kept = if bytes < LARGE_BYTES { &mut spares.small } else { &mut spares.large };
            kept.push(spare);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_comes_back_empty_and_with_its_capacity() {
        give(vec![1; 1000]);
        let spare = take();
        assert!(spare.is_empty() && spare.capacity() >= 1000);
        assert_eq!(take().capacity(), 0);
    }

    #[test]
    fn heads_and_what_many_are_written_into_do_not_get_each_others() {
        give(vec![1; LARGE_BYTES]);
        assert_eq!(take().capacity(), 0);
        assert_eq!(take_large().capacity(), LARGE_BYTES);
        assert_eq!(take_large().capacity(), SPARE_BYTES);
    }

    #[test]
    fn what_a_core_keeps_is_bounded() {
        give(Vec::with_capacity(SPARE_BYTES + 1));
        let kept = || SPARES.with_borrow(|spares| (spares.bytes, spares.large.len()));
        assert_eq!(kept(), (0, 0), "a vector that large is not kept");
        (0..1000).for_each(|_| give(Vec::with_capacity(SPARE_BYTES)));
        assert_eq!(kept(), (SPARES_BYTES, SPARES_BYTES / SPARE_BYTES));
    }
}
