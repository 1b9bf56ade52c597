//! Buffers that belong to a core, not to a connection: an idle connection owns none.

use std::cell::RefCell;

/// Large enough that a head and a 64 KiB body arrive in one read: at 64 KiB they never fit and double
/// the system calls (37 us a request against 27 at 128 KiB, for a 64 KiB POST).
const SCRATCH_BYTES: usize = 128 * 1024;

/// Spare vectors kept per core, and the largest one worth keeping: what a request needs for two heads.
const SPARES: usize = 128;
const SPARE_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Lends this core's scratch buffer for one synchronous step. Its content is garbage from the last step.
///
/// # Panics
/// When called again from inside `step`: one step reads or writes one stream.
pub fn with_scratch<T>(step: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| step(scratch))
}

/// An empty vector, with capacity from an earlier request where there is one.
pub fn take() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives a vector back for the next request of this core.
pub fn give(mut spare: Vec<u8>) {
    if spare.capacity() == 0 || spare.capacity() > SPARE_BYTES {
        return;
    }
    spare.clear();
    SPARE.with_borrow_mut(|spares| {
        if spares.len() < SPARES {
            spares.push(spare);
        }
    });
}
