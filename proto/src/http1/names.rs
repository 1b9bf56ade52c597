//! Which fields this engine acts upon, told by length first: most fields are ruled out by one comparison.

/// What a field is to us. Everything that is not [`Kind::Plain`] or [`Kind::Internal`] is ours to drop or to write anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// End-to-end: copied as it is.
    Plain,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    Te,
    /// Announces trailers: kept only in front of a chunked body.
    Trailer,
    /// Another hop-by-hop field (RFC 9110 7.6.1), or one that only a proxy reads.
    Hop,
    /// `hatchway-*`: words between our own programs.
    Internal,
    /// Named in `Connection`.
    Nominated,
}

impl Kind {
    /// Classifies a field name, which is a token.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            2 if is(b"te") => Self::Te,
            4 if is(b"host") => Self::Host,
            6 if is(b"expect") => Self::Expect,
            7 if is(b"upgrade") => Self::Upgrade,
            7 if is(b"trailer") => Self::Trailer,
            10 if is(b"connection") => Self::Connection,
            10 if is(b"keep-alive") => Self::Hop,
            14 if is(b"content-length") => Self::ContentLength,
            14 if is(b"http2-settings") => Self::Hop,
            16 if is(b"proxy-connection") => Self::Hop,
            17 if is(b"transfer-encoding") => Self::TransferEncoding,
            18 if is(b"proxy-authenticate") => Self::Hop,
            19 if is(b"proxy-authorization") => Self::Hop,
            _ if is_internal(name) => Self::Internal,
            _ => Self::Plain,
        }
    }
}

/// True for `hatchway-` in every spelling that some server maps to it: any case, and any punctuation for the `-`,
/// for CGI and its descendants fold `_`, `.` and others into one.
#[inline]
pub(super) fn is_internal(name: &[u8]) -> bool {
    name.len() > 8
        && name[0] | 0x20 == b'h'
        && name[..8].eq_ignore_ascii_case(b"hatchway")
        && !name[8].is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_found_in_any_case_and_near_misses_are_plain() {
        for (name, kind) in [
            ("TE", Kind::Te),
            ("hOsT", Kind::Host),
            ("Expect", Kind::Expect),
            ("UPGRADE", Kind::Upgrade),
            ("Trailer", Kind::Trailer),
            ("connection", Kind::Connection),
            ("Keep-Alive", Kind::Hop),
            ("Content-Length", Kind::ContentLength),
            ("HTTP2-Settings", Kind::Hop),
            ("Proxy-Connection", Kind::Hop),
            ("transfer-ENCODING", Kind::TransferEncoding),
            ("Proxy-Authenticate", Kind::Hop),
            ("Proxy-Authorization", Kind::Hop),
            ("Content_Length", Kind::Plain),
            ("Transfer-Encodin", Kind::Plain),
            ("Accept", Kind::Plain),
        ] {
            assert_eq!(Kind::of(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn internal_names_are_found_in_every_spelling() {
        for name in [
            "hatchway-node",
            "Hatchway-Node",
            "HATCHWAY_NODE",
            "hatchway_load",
            "hatchway.x",
            "hatchway--",
        ] {
            assert_eq!(Kind::of(name.as_bytes()), Kind::Internal, "{name}");
        }
        for name in ["hatchway", "hatchways", "hatchway1-x", "x-hatchway-node", "hatch-way"] {
            assert_eq!(Kind::of(name.as_bytes()), Kind::Plain, "{name}");
        }
    }
}
