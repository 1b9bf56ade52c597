//! How full a node is, in the few numbers that placing needs.

use super::LinkError;
use super::payload::Fields;

/// A node's load, as it was when it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadSummary {
    /// Requests that run.
    pub in_flight: u32,
    /// Requests that could run at once without a start.
    pub room: u32,
    /// Requests that wait for a slot.
    pub waiting: u32,
    /// What its sandboxes take of that which is scarcest there (memory, processor time), in thousandths of what they may.
    pub used_permille: u16,
    /// The node takes nothing new.
    pub is_draining: bool,
}

/// The flag of [`LoadSummary::is_draining`].
pub(super) const DRAINING: u8 = 1;

impl LoadSummary {
    pub(super) fn flags(&self) -> u8 {
        if self.is_draining { DRAINING } else { 0 }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.in_flight, self.room, self.waiting] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.used_permille.to_be_bytes());
    }

    pub(super) fn decode(flags: u8, payload: &[u8]) -> Result<Self, LinkError> {
        let mut fields = Fields::new(payload);
        let load = Self {
            in_flight: fields.u32()?,
            room: fields.u32()?,
            waiting: fields.u32()?,
            used_permille: fields.u16()?,
            is_draining: flags & DRAINING != 0,
        };
        fields.end()?;
        Ok(load)
    }
}
