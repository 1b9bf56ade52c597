//! Numbers for user ids: no two sandboxes that live have the same.

use std::collections::BTreeSet;

/// How many sandboxes may live at a time: from the first id on, so many are nobody else's.
pub(super) const MOST: u32 = 65_536 - 2;

/// The numbers 0, 1, 2, ... as far as they have been needed.
#[derive(Debug, Default)]
pub(super) struct Seats {
    free: BTreeSet<u32>,
    next: u32,
}

impl Seats {
    /// The lowest that nobody has; none when all are taken.
    pub(super) fn take(&mut self) -> Option<u32> {
        self.free.pop_first().or_else(|| {
            let seat = self.next;
            self.next += u32::from(seat < MOST);
            (seat < MOST).then_some(seat)
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
        assert_eq!([seats.take(), seats.take(), seats.take()], [Some(0), Some(1), Some(2)]);
        seats.give_back(1);
        assert_eq!([seats.take(), seats.take()], [Some(1), Some(3)]);
    }

    #[test]
    fn ids_beyond_the_range_are_nobodys_to_give() {
        let mut seats = Seats::default();
        assert_eq!((0..MOST).filter_map(|_| seats.take()).max(), Some(MOST - 1));
        assert_eq!([seats.take(), seats.take()], [None, None]);
        seats.give_back(7);
        assert_eq!(seats.take(), Some(7));
    }
}
