//! Which fields go on to the next hop, and how they are copied.
//!
//! Neighbouring fields that need no change and were sent as `Name: value` are copied in one piece. That is safe because
//! a parsed head holds only tokens, value bytes and CRLF; a field with other blanks around its value is written out again.

use super::names::{Kind, is_spelled};
use super::table::{FieldTable, Line};

/// Which fields are copied.
#[derive(Debug)]
pub(super) struct Keep<'a> {
    drop: &'a [&'a str],
    /// A bit per length of a dropped name, so that most fields are not compared at all.
    drop_lengths: u64,
    internal: bool,
    framed: Framed,
}

/// How the body is sent, as far as it concerns copying.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framed {
    pub(super) chunked: bool,
    /// `Content-Length` stays what it is.
    pub(super) length: bool,
}

impl<'a> Keep<'a> {
    #[inline]
    pub(super) fn new(drop: &'a [&'a str], internal: bool, framed: Framed) -> Self {
        let drop_lengths = drop.iter().fold(0, |bits, name| bits | length_bit(name.len()));
        Self { drop, drop_lengths, internal, framed }
    }

    #[inline]
    fn keeps(&self, line: &Line<'_>) -> bool {
        match line.kind {
            Kind::Plain => {
                self.drop_lengths & length_bit(line.name_len()) == 0 || !self.drops(line.name())
            }
            Kind::Internal => self.internal,
            Kind::Trailer => self.framed.chunked,
            Kind::ContentLength => self.framed.length,
            Kind::Host
            | Kind::TransferEncoding
            | Kind::Connection
            | Kind::Upgrade
            | Kind::Expect
            | Kind::Te
            | Kind::Hop
            | Kind::Nominated => false,
        }
    }

    fn drops(&self, name: &[u8]) -> bool {
        self.drop.iter().any(|dropped| is_spelled(name, dropped.as_bytes()))
    }
}

fn length_bit(len: usize) -> u64 {
    1 << (len & 63)
}

/// Copies the kept fields, whole runs at a time.
#[inline]
pub(super) fn copy_fields(out: &mut Vec<u8>, table: &FieldTable<'_>, keep: &Keep<'_>) {
    let section = table.section();
    let (mut run_start, mut at) = (0, 0);
    for line in table.lines() {
        let end = at + line.bytes.len();
        if !keep.keeps(&line) {
            out.extend_from_slice(&section[run_start..at]);
            run_start = end;
        } else if !line.is_canonical() {
            out.extend_from_slice(&section[run_start..at]);
            put(out, &[line.name(), b": ", line.value(), b"\r\n"]);
            run_start = end;
        }
        at = end;
    }
    out.extend_from_slice(&section[run_start..at]);
}

/// Appends all parts.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}
