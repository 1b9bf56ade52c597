//! Reading and writing the fields of a payload.

use super::LinkError;
use crate::http1::Framing;

/// Reads fields from the front of a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    pub(super) fn new(payload: &'b [u8]) -> Self {
        Self(payload)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'b [u8], LinkError> {
        let (front, rest) = self.0.split_at_checked(count).ok_or(LinkError::BadPayload)?;
        self.0 = rest;
        Ok(front)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], LinkError> {
        let (front, rest) = self.0.split_first_chunk().ok_or(LinkError::BadPayload)?;
        self.0 = rest;
        Ok(*front)
    }

    pub(super) fn u8(&mut self) -> Result<u8, LinkError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, LinkError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, LinkError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, LinkError> {
        self.array().map(u64::from_be_bytes)
    }

    /// How a body is framed, and its length.
    pub(super) fn framing(&mut self) -> Result<Framing, LinkError> {
        match (self.u8()?, self.u64()?) {
            (0, 0) => Ok(Framing::None),
            (1, length) => Ok(Framing::Length(length)),
            (2, 0) => Ok(Framing::Chunked),
            _ => Err(LinkError::BadPayload),
        }
    }

    /// A text behind its length in one byte.
    pub(super) fn short_text(&mut self) -> Result<&'b str, LinkError> {
        let length = self.u8()?;
        self.text(length.into())
    }

    /// A text behind its length in two bytes.
    pub(super) fn long_text(&mut self) -> Result<&'b str, LinkError> {
        let length = self.u16()?;
        self.text(length.into())
    }

    fn text(&mut self, length: usize) -> Result<&'b str, LinkError> {
        std::str::from_utf8(self.bytes(length)?).map_err(|_| LinkError::BadPayload)
    }

    /// What is left.
    pub(super) fn rest(self) -> &'b [u8] {
        self.0
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), LinkError> {
        if self.0.is_empty() { Ok(()) } else { Err(LinkError::BadPayload) }
    }
}

/// Writes how a body is framed; not one that ends with the connection.
pub(super) fn put_framing(out: &mut Vec<u8>, framing: Framing) -> Result<(), LinkError> {
    let (kind, length) = match framing {
        Framing::None => (0, 0),
        Framing::Length(length) => (1, length),
        Framing::Chunked => (2, 0),
        Framing::UntilClose => return Err(LinkError::BadPayload),
    };
    out.push(kind);
    out.extend_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Writes a text behind its length in one byte. Gives false, and writes nothing, when it is longer than that.
#[must_use]
pub(super) fn put_short(out: &mut Vec<u8>, text: &str) -> bool {
    let Ok(length) = u8::try_from(text.len()) else { return false };
    out.push(length);
    out.extend_from_slice(text.as_bytes());
    true
}

/// Writes a text behind its length in two bytes; one that is longer than `limit` is left empty.
pub(super) fn put_long(out: &mut Vec<u8>, text: &str, limit: u16) {
    let length = u16::try_from(text.len()).ok().filter(|length| *length <= limit);
    let text = if length.is_some() { text } else { "" };
    out.extend_from_slice(&length.unwrap_or(0).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
