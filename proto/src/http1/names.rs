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
    /// Another hop-by-hop field (RFC 9110 7.6.1), one that only a proxy reads, or a framing field spelled with `_`.
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
        match name.len() {
            2 if same(name, b"te") => Self::Te,
            4 if same(name, b"host") => Self::Host,
            6 if same(name, b"expect") => Self::Expect,
            7 if same(name, b"upgrade") => Self::Upgrade,
            7 if same(name, b"trailer") => Self::Trailer,
            10 if same(name, b"connection") => Self::Connection,
            10 if same(name, b"keep-alive") => Self::Hop,
            14 if same(name, b"content-length") => Self::ContentLength,
            14 if same(name, b"http2-settings") => Self::Hop,
            14 if is_spelled(name, b"content-length") => Self::Hop,
            16 if same(name, b"proxy-connection") => Self::Hop,
            17 if same(name, b"transfer-encoding") => Self::TransferEncoding,
            17 if is_spelled(name, b"transfer-encoding") => Self::Hop,
            18 if same(name, b"proxy-authenticate") => Self::Hop,
            19 if same(name, b"proxy-authorization") => Self::Hop,
            9.. if is_internal(name) => Self::Internal,
            _ => Self::Plain,
        }
    }
}

/// True for the name of a field that this engine passes on as it is: neither of the connection, nor of the framing, nor ours.
pub fn is_end_to_end(name: &[u8]) -> bool {
    Kind::of(name) == Kind::Plain
}

/// Compares a token with a lower-case name as CGI and its descendants do, to which `_` is `-`. A field that we drop or own
/// must not come back to the function in this spelling.
pub(super) fn is_spelled(name: &[u8], known: &[u8]) -> bool {
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == known.len() && name.iter().map(fold).eq(known.iter().copied())
}

/// Compares a token of the same length with a known lower-case name of letters, digits and `-`.
///
/// Setting bit 5 makes letters lower-case, leaves digits and `-` alone, and makes no other token byte into any of
/// these, so it decides case-insensitive equality; eight bytes at a time it is some tenfold faster than byte by byte.
#[inline(always)]
fn same<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    if N >= 8 {
        low(name.first_chunk()) == low(known.first_chunk())
            && low(name.last_chunk()) == low(known.last_chunk())
            && (N <= 16 || low(name[N - 16..].first_chunk()) == low(known[N - 16..].first_chunk()))
    } else {
        name.iter().zip(known).all(|(byte, known)| byte | 0x20 == *known)
    }
}

#[inline(always)]
fn low(bytes: Option<&[u8; 8]>) -> u64 {
    bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes) | 0x2020_2020_2020_2020)
}

/// True for `hatchway-` in every spelling that some server maps to it: any case, and any punctuation for the `-`,
/// for CGI and its descendants fold `_`, `.` and others into one.
#[inline]
pub(super) fn is_internal(name: &[u8]) -> bool {
    low(name.first_chunk()) == low(b"hatchway".first_chunk())
        && name.get(8).is_some_and(|b| !b.is_ascii_alphanumeric())
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
            ("Content_Length", Kind::Hop),
            ("TRANSFER_ENCODING", Kind::Hop),
            ("Transfer-Encodin", Kind::Plain),
            ("Accept", Kind::Plain),
        ] {
            assert_eq!(Kind::of(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn a_name_that_differs_in_one_byte_is_another_name() {
        for name in [
            "te",
            "host",
            "expect",
            "upgrade",
            "trailer",
            "connection",
            "keep-alive",
            "content-length",
            "http2-settings",
            "proxy-connection",
            "transfer-encoding",
            "proxy-authenticate",
            "proxy-authorization",
        ] {
            assert_ne!(Kind::of(name.as_bytes()), Kind::Plain, "{name}");
            for at in 0..name.len() {
                let mut other = name.as_bytes().to_vec();
                other[at] = b'q';
                assert_eq!(Kind::of(&other), Kind::Plain, "{}", other.escape_ascii());
            }
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
