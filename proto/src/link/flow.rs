//! Credit and ends of one call, as one end counts them.

use super::Violation;

/// A call never has more credit than this in one direction.
const MOST: u32 = (1 << 31) - 1;

/// The first credit beyond the first is given when less than this is left: sooner would cost a frame for each small message.
/// From then on half of a window is low, so that a fast reader does not wait.
const LOW_BYTES: u32 = 32 * 1024;

/// Less than this is not worth a frame.
const LEAST_GRANT_BYTES: u32 = 16 * 1024;

/// Both directions of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// What we may send.
    credit: u32,
    has_ended: bool,
    /// What the other end may send.
    allowed: u32,
    /// What came and was not taken by its reader.
    unread: u32,
    /// More than the first credit was needed.
    is_long: bool,
    is_ended: bool,
}

impl Flow {
    /// A new call: we may send `credit`, the other end may send `allowed`.
    pub fn new(credit: u32, allowed: u32) -> Self {
        let credit = credit.min(MOST);
        Self { credit, has_ended: false, allowed, unread: 0, is_long: false, is_ended: false }
    }

    /// How much may be sent now.
    pub fn room(&self) -> usize {
        if self.has_ended { 0 } else { self.credit as usize }
    }

    /// Counts `bytes` that are on their way.
    ///
    /// # Panics
    /// When they are more than [`Flow::room`].
    pub fn sent(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).expect("room is counted in 32 bits");
        self.credit = self.credit.checked_sub(bytes).expect("no more is sent than there is room");
    }

    /// We send no more.
    pub fn end(&mut self) {
        self.has_ended = true;
    }

    /// True once we have said that we send no more.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The other end allows more.
    ///
    /// # Errors
    /// [`Violation::TooMuchCredit`].
    pub fn take_credit(&mut self, bytes: u32) -> Result<(), Violation> {
        let credit = self.credit.checked_add(bytes).filter(|credit| *credit <= MOST);
        self.credit = credit.ok_or(Violation::TooMuchCredit)?;
        Ok(())
    }

    /// The other end has sent `bytes`, and no more after them if `end`.
    ///
    /// # Errors
    /// When it may not have; nothing is counted then.
    pub fn take_data(&mut self, bytes: usize, end: bool) -> Result<(), Violation> {
        if self.is_ended {
            return Err(Violation::AfterEnd);
        }
        let bytes = u32::try_from(bytes).map_err(|_| Violation::OverCredit)?;
        self.allowed = self.allowed.checked_sub(bytes).ok_or(Violation::OverCredit)?;
        self.unread += bytes;
        self.is_ended = end;
        Ok(())
    }

    /// True once the other end has said that it sends no more.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Its reader has taken `bytes` of what came.
    ///
    /// # Panics
    /// When that is more than came.
    pub fn read(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).expect("what came is counted in 32 bits");
        self.unread = self.unread.checked_sub(bytes).expect("no more is read than came");
    }

    /// Bytes that the other end may still send, and those that wait to be read.
    pub fn promised(&self) -> u64 {
        let to_come = if self.is_ended { 0 } else { self.allowed };
        u64::from(to_come) + u64::from(self.unread)
    }

    /// The credit to give now, when it is worth a frame: as much as fills `window` with what is allowed already and
    /// with what waits to be read.
    #[must_use = "what is granted is sent"]
    pub fn grant(&mut self, window: u32) -> Option<u32> {
        let low = if self.is_long { window / 2 } else { LOW_BYTES };
        if self.is_ended || self.allowed >= low {
            return None;
        }
        let missing = window.min(MOST).saturating_sub(self.allowed.saturating_add(self.unread));
        if missing < LEAST_GRANT_BYTES {
            return None;
        }
        self.allowed += missing;
        self.is_long = true;
        Some(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u32 = 1024;

    #[test]
    fn a_small_message_costs_no_credit_frame() {
        let mut flow = Flow::new(64 * KIB, 64 * KIB);
        assert_eq!(flow.take_data(30_000, false), Ok(()));
        flow.read(30_000);
        assert_eq!(flow.grant(256 * KIB), None);
    }

    #[test]
    fn a_reader_that_keeps_up_opens_the_window_and_one_that_does_not_closes_it() {
        let mut flow = Flow::new(0, 64 * KIB);
        flow.take_data(64 * 1024, false).unwrap();
        assert_eq!(flow.grant(64 * KIB), None, "all of it waits to be read");
        flow.read(10_000);
        assert_eq!(flow.grant(64 * KIB), None, "too little for a frame");
        flow.read(10_000);
        assert_eq!(flow.grant(64 * KIB), Some(20_000));
        flow.read(64 * 1024 - 20_000);
        assert_eq!(flow.grant(256 * KIB), Some(256 * KIB - 20_000));
        assert_eq!(flow.grant(256 * KIB), None);
        flow.take_data(129 * 1024, false).unwrap();
        flow.read(129 * 1024);
        assert_eq!(flow.grant(256 * KIB), Some(129 * KIB), "half of the window is low now");
    }

    #[test]
    fn nobody_sends_more_than_was_allowed_or_after_the_end() {
        let mut flow = Flow::new(10, 10);
        assert_eq!(flow.take_data(11, false), Err(Violation::OverCredit));
        assert_eq!(flow.take_data(10, true), Ok(()));
        assert_eq!(flow.take_data(0, true), Err(Violation::AfterEnd));
        assert_eq!(flow.take_credit(MOST - 10), Ok(()));
        assert_eq!(flow.take_credit(1), Err(Violation::TooMuchCredit));
        flow.sent(10);
        assert_eq!(flow.room(), (MOST - 10) as usize);
        flow.end();
        assert_eq!(flow.room(), 0);
    }
}
