//! The head of an answer, with what the node knows of it: a gateway whose client takes it as it is reads nothing.

use super::LinkError;
use super::payload::{Fields, put_framing};
use crate::http1::Framing;

/// What stands in front of the bytes.
pub const FRONT_BYTES: usize = 15;

/// What is known of the head of a final answer that was written for a client of HTTP/1.1 whose connection stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// 200 to 599.
    pub status: u16,
    /// What follows the head: nothing after HEAD, 204 and 304, whatever it says. Never [`Framing::UntilClose`].
    pub framing: Framing,
    /// How long the head is, with its empty line.
    pub head_bytes: usize,
}

impl AnswerHead {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.status.to_be_bytes());
        put_framing(out, self.framing).expect("the other framings have an end");
        let length = u32::try_from(self.head_bytes).expect("a head is shorter than a frame");
        out.extend_from_slice(&length.to_be_bytes());
    }

    /// Reads a payload; gives the head and what follows it.
    pub(super) fn decode(payload: &[u8]) -> Result<(Self, &[u8]), LinkError> {
        let mut fields = Fields::new(payload);
        let status = fields.u16()?;
        let framing = fields.framing()?;
        let head_bytes = usize::try_from(fields.u32()?).map_err(|_| LinkError::BadPayload)?;
        let bytes = fields.rest();
        let head = bytes.get(..head_bytes).ok_or(LinkError::BadPayload)?;
        let is_head = head.starts_with(b"HTTP/1.1 ") && head.ends_with(b"\r\n\r\n");
        if !(200..600).contains(&status) || !is_head {
            return Err(LinkError::BadPayload);
        }
        Ok((Self { status, framing, head_bytes }, bytes))
    }
}
