//! The first frame of a call: what the node has to know, and the head that the function will read.

use std::num::NonZero;

use super::LinkError;
use super::payload::{Fields, put_framing, put_long, put_short};
use crate::http1::Framing;

/// A path beyond this is no path of a route (`Limits::target_bytes` is 8192).
const PATH_BYTES: u16 = 8192;

/// An entity tag or a range of ours is shorter; a longer one matches none.
const FIELD_BYTES: u16 = 1024;

/// What the node knows of a request without parsing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallHead<'b> {
    /// `tenant/name`.
    pub function: &'b str,
    /// Which build of it.
    pub version: &'b str,
    /// Names the request everywhere.
    pub request_id: &'b str,
    /// What follows the head. Never [`Framing::UntilClose`].
    pub framing: Framing,
    /// The method is HEAD.
    pub is_head: bool,
    /// A 101 is welcome.
    pub wants_upgrade: bool,
    /// A call of gRPC: failures are told in its way.
    pub is_grpc: bool,
    /// Another node may have room: rather refused than kept waiting for a slot that others hold.
    pub is_choosy: bool,
    /// A file of the version may answer.
    pub file: Option<FileRequest<'b>>,
    /// Bytes of the answer that may be sent before the first CREDIT; at least 1.
    pub credit: u32,
    /// Milliseconds until the client stops waiting; none when it has not said so.
    pub deadline_ms: Option<NonZero<u32>>,
}

/// Where the deadline stands in a payload: behind the framing and the credit.
const DEADLINE_AT: usize = 13;

/// What a file is asked for with. Empty values are absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRequest<'b> {
    /// Behind the route's prefix, still encoded, with its slash.
    pub path: &'b str,
    /// `If-None-Match` as sent.
    pub if_none_match: &'b str,
    /// `Range` as sent.
    pub range: &'b str,
}

pub(super) const HEAD: u8 = 1;
pub(super) const UPGRADE: u8 = 2;
pub(super) const FILE: u8 = 4;
pub(super) const GRPC: u8 = 8;
pub(super) const CHOOSY: u8 = 16;

impl<'b> CallHead<'b> {
    /// Flags of the frame.
    pub fn flags(&self) -> u8 {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        flag(self.is_head, HEAD)
            | flag(self.wants_upgrade, UPGRADE)
            | flag(self.file.is_some(), FILE)
            | flag(self.is_grpc, GRPC)
            | flag(self.is_choosy, CHOOSY)
    }

    /// Appends the payload up to the head, which follows. A field of a file request that is longer than any of ours is
    /// left out.
    ///
    /// # Errors
    /// [`LinkError::BadPayload`] when a name has more than 255 bytes; nothing that was parsed has.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), LinkError> {
        put_framing(out, self.framing)?;
        out.extend_from_slice(&self.credit.to_be_bytes());
        out.extend_from_slice(&self.deadline_ms.map_or(0, NonZero::get).to_be_bytes());
        for text in [self.function, self.version, self.request_id] {
            if !put_short(out, text) {
                return Err(LinkError::BadPayload);
            }
        }
        if let Some(file) = &self.file {
            put_long(out, file.path, PATH_BYTES);
            put_long(out, file.if_none_match, FIELD_BYTES);
            put_long(out, file.range, FIELD_BYTES);
        }
        Ok(())
    }

    /// The flags of a call that is offered again, and is or is no longer choosy.
    pub fn set_choosy(flags: u8, is_choosy: bool) -> u8 {
        if is_choosy { flags | CHOOSY } else { flags & !CHOOSY }
    }

    /// Changes the deadline in a `payload` that was encoded before: time has passed since.
    pub fn set_deadline(payload: &mut [u8], deadline_ms: NonZero<u32>) {
        let bytes = deadline_ms.get().to_be_bytes();
        payload[DEADLINE_AT..DEADLINE_AT + bytes.len()].copy_from_slice(&bytes);
    }

    /// Reads a payload; gives the head behind it.
    pub(super) fn decode(flags: u8, payload: &'b [u8]) -> Result<(Self, &'b [u8]), LinkError> {
        let mut fields = Fields::new(payload);
        let framing = fields.framing()?;
        let credit = fields.u32()?;
        let deadline_ms = NonZero::new(fields.u32()?);
        let (function, version) = (fields.short_text()?, fields.short_text()?);
        let request_id = fields.short_text()?;
        let file = match flags & FILE {
            0 => None,
            _ => Some(FileRequest {
                path: fields.long_text()?,
                if_none_match: fields.long_text()?,
                range: fields.long_text()?,
            }),
        };
        let head = fields.rest();
        if credit == 0 || !head.ends_with(b"\r\n\r\n") {
            return Err(LinkError::BadPayload);
        }
        let call = Self {
            function,
            version,
            request_id,
            framing,
            is_head: flags & HEAD != 0,
            wants_upgrade: flags & UPGRADE != 0,
            is_grpc: flags & GRPC != 0,
            is_choosy: flags & CHOOSY != 0,
            file,
            credit,
            deadline_ms,
        };
        Ok((call, head))
    }
}
