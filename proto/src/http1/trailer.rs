//! Trailers: fields after the last chunk (RFC 9110 6.5), which must never be taken for fields of the head.

use super::names::Kind;
use super::table::Field;

/// Longer than any name that is refused, so a longer name needs not be kept.
const KEPT: usize = 20;

/// Collects the name of a trailer while its bytes arrive, far enough to tell whether it is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TrailerName {
    bytes: [u8; KEPT],
    len: u8,
}

impl TrailerName {
    pub(super) fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.len)) {
            *place = byte;
            self.len += 1;
        }
    }

    /// False for framing, routing and hop-by-hop fields and for `hatchway-*` (RFC 9110 6.5.1). Some servers merge
    /// trailers into the head, where such a field would be believed.
    pub(super) fn is_allowed(&self) -> bool {
        Kind::of(&self.bytes[..usize::from(self.len)]) == Kind::Plain
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
            let mut kept = TrailerName::default();
            name.bytes().for_each(|b| kept.push(b));
            assert_eq!(kept.is_allowed(), allowed, "{name}");
        }
    }

    #[test]
    fn a_section_is_read_back_as_fields() {
        let fields: Vec<_> = trailers(b"grpc-status: 0\r\nX:\t a b \r\nEmpty:\r\n").collect();
        let expected: [(&str, &[u8]); 3] = [("grpc-status", b"0"), ("X", b"a b"), ("Empty", b"")];
        assert_eq!(fields, expected.map(|(name, value)| Field { name, value }));
    }
}
