//! A call that a node did not take.

use super::LinkError;
use super::payload::{Fields, put_short};

/// Nothing was started: another node may be asked, and if none is, the client gets the answer inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'b> {
    /// Another node may well take it. Otherwise the answer is final.
    pub elsewhere: bool,
    /// A word in kebab case.
    pub reason: &'b str,
    /// A whole HTTP/1.1 answer.
    pub answer: &'b [u8],
}

/// The flag of [`Refusal::elsewhere`].
pub(super) const ELSEWHERE: u8 = 1;

impl<'b> Refusal<'b> {
    pub(super) fn flags(&self) -> u8 {
        if self.elsewhere { ELSEWHERE } else { 0 }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        // A reason is one of our own words; one that does not fit is told by the answer alone.
        if !put_short(out, self.reason) {
            out.push(0);
        }
        out.extend_from_slice(self.answer);
    }

    pub(super) fn decode(flags: u8, payload: &'b [u8]) -> Result<Self, LinkError> {
        let mut fields = Fields::new(payload);
        let reason = fields.short_text()?;
        Ok(Self { elsewhere: flags & ELSEWHERE != 0, reason, answer: fields.rest() })
    }
}
