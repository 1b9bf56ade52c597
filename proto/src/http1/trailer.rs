//! Trailers: fields after the last chunk (RFC 9110 6.5), which must never be taken for fields of the head.

use super::BodyError;
use super::chars::{is_tchar, is_value_byte};
use super::names::Kind;
use super::table::Field;

/// Longer than any name that is refused, so what follows in a longer name need not be kept.
const KEPT: usize = 20;

/// One line of a trailer section, a byte at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrailerLine {
    at: Part,
    name: [u8; KEPT],
    name_len: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Name,
    Value,
    Lf,
}

impl TrailerLine {
    pub(super) fn new() -> Self {
        Self { at: Part::Name, name: [0; KEPT], name_len: 0 }
    }

    /// Takes one byte. True when it was the last of the line.
    pub(super) fn step(&mut self, byte: u8) -> Result<bool, BodyError> {
        self.at = match (self.at, byte) {
            (Part::Name, b':') if self.name_len == 0 => return Err(BodyError::BadTrailer),
            (Part::Name, b':') if !self.is_allowed() => return Err(BodyError::ForbiddenTrailer),
            (Part::Name, b':') => Part::Value,
            (Part::Name, _) if is_tchar(byte) => self.keep(byte),
            (Part::Value, b'\r') => Part::Lf,
            (Part::Value, _) if is_value_byte(byte) => Part::Value,
            (Part::Lf, b'\n') => return Ok(true),
            (Part::Lf, _) | (_, b'\n') => return Err(BodyError::BadLineEnd),
            _ => return Err(BodyError::BadTrailer),
        };
        Ok(false)
    }

    fn keep(&mut self, byte: u8) -> Part {
        if let Some(place) = self.name.get_mut(usize::from(self.name_len)) {
            *place = byte;
            self.name_len += 1;
        }
        Part::Name
    }

    /// False for framing, routing and hop-by-hop fields and for `hatchway-*` (RFC 9110 6.5.1). Some servers merge
    /// trailers into the head, where such a field would be believed.
    fn is_allowed(&self) -> bool {
        Kind::of(&self.name[..usize::from(self.name_len)]) == Kind::Plain
    }
}

/// The fields of a trailer section that [`BodyDecoder`](super::BodyDecoder) has passed: the bytes of its
/// [`Piece::Trailers`](super::Piece::Trailers), joined. Lines that it would not have passed are skipped.
pub fn trailers(section: &[u8]) -> impl Iterator<Item = Field<'_>> {
    section.split(|&b| b == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&b| b == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?;
        let value = super::chars::trim_ows(line[colon + 1..].strip_suffix(b"\r")?);
        super::is_token(name.as_bytes()).then_some(Field { name, value })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_longer_than_any_known_one_are_allowed_unless_internal() {
        for (name, allowed) in [
            ("grpc-status", true),
            ("x-a-very-long-trailer-name-indeed", true),
            ("Content-Length", false),
            ("transfer-encoding", false),
            ("HOST", false),
            ("connection", false),
            ("Trailer", false),
            ("hatchway_a-very-long-name-indeed", false),
        ] {
            let mut line = TrailerLine::new();
            let text = format!("{name}: 1\r\n");
            let outcome = text.bytes().try_fold(false, |_, byte| line.step(byte));
            let expected = if allowed { Ok(true) } else { Err(BodyError::ForbiddenTrailer) };
            assert_eq!(outcome, expected, "{name}");
        }
    }

    #[test]
    fn a_section_is_read_back_as_fields() {
        let fields: Vec<_> = trailers(b"grpc-status: 0\r\nX:\t a b \r\nEmpty:\r\n").collect();
        let expected: [(&str, &[u8]); 3] = [("grpc-status", b"0"), ("X", b"a b"), ("Empty", b"")];
        assert_eq!(fields, expected.map(|(name, value)| Field { name, value }));
    }
}
