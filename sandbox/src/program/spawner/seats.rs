//! Numbers for user ids: no two sandboxes that live have the same.

use std::collections::BTreeSet;

/// The numbers 0, 1, 2, ... as far as they have been needed.
#[derive(Debug, Default)]
pub(super) struct Seats {
    free: BTreeSet<u32>,
    next: u32,
}

impl Seats {
    /// The lowest that nobody has.
    pub(super) fn take(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// Gives one back; nobody who had it may be left.
    pub(super) fn give_back(&mut self, seat: u32) {
        self.free.insert(seat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_number_is_taken_first() {
        let mut seats = Seats::default();
        assert_eq!([seats.take(), seats.take(), seats.take()], [0, 1, 2]);
        seats.give_back(1);
        assert_eq!([seats.take(), seats.take()], [1, 3]);
    }
}
