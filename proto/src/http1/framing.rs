//! How long a message is: RFC 9112 6, the part that request smuggling is made of.

use super::HeadError;

/// The two versions that we speak on HTTP/1 connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Http10,
    Http11,
}

impl Version {
    pub(super) fn from_minor(minor: u8) -> Self {
        if minor == 0 { Self::Http10 } else { Self::Http11 }
    }
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks up to the one of size zero, then trailers.
    Chunked,
    /// All bytes until the sender closes. Responses only.
    UntilClose,
}

impl Framing {
    /// True when at least one byte of body or of framing follows the head.
    pub fn has_body(self) -> bool {
        !matches!(self, Self::None | Self::Length(0))
    }
}

/// Reads `Content-Length`: decimal digits and nothing else, no leading zero, below 2^63.
///
/// The grammar (RFC 9110 8.6) allows leading zeros and any size; readers that take a leading zero for octal, or keep
/// the number in a signed word, do not agree about those with readers that do not.
#[inline]
pub(super) fn content_length(value: &[u8]) -> Result<u64, HeadError> {
    if value.is_empty() || value.len() > 19 || (value[0] == b'0' && value.len() > 1) {
        return Err(HeadError::BadLength);
    }
    let mut length: u64 = 0;
    for &byte in value {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(HeadError::BadLength);
        }
        // 19 digits stay below 2^64, so nothing is lost before the check that follows.
        length = length * 10 + u64::from(digit);
    }
    if length > i64::MAX as u64 {
        return Err(HeadError::BadLength);
    }
    Ok(length)
}

/// Checks that `Transfer-Encoding` is `chunked` in any case (RFC 9112 7) and nothing else.
#[inline]
pub(super) fn transfer_encoding(value: &[u8]) -> Result<(), HeadError> {
    if value.eq_ignore_ascii_case(b"chunked") { Ok(()) } else { Err(refuse_encoding(value)) }
}

/// Tells an honest sender of a coding that we lack (`501`, RFC 9112 6.1) from a malformed value.
#[cold]
fn refuse_encoding(value: &[u8]) -> HeadError {
    const REGISTERED: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];
    let mut codings: Vec<&[u8]> = value.split(|&b| b == b',').map(super::chars::trim_ows).collect();
    let chunked_last = codings.pop().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
    let registered =
        |coding: &&[u8]| REGISTERED.iter().any(|known| known.eq_ignore_ascii_case(coding));
    if chunked_last && !codings.is_empty() && codings.iter().all(registered) {
        HeadError::UnsupportedEncoding
    } else {
        HeadError::BadEncoding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_decimal_lengths_are_read() {
        for (value, length) in
            [("0", 0), ("7", 7), ("1048576", 1 << 20), ("9223372036854775807", i64::MAX as u64)]
        {
            assert_eq!(content_length(value.as_bytes()), Ok(length), "{value}");
        }
        for value in [
            "",
            "+1",
            "-1",
            "0x1",
            "1,1",
            "1, 1",
            "1 1",
            "01",
            "00",
            "1_0",
            "1e3",
            "1.0",
            "٣",
            "9223372036854775808",
            "18446744073709551616",
            "99999999999999999999",
            "abc",
            "1;",
            "1:",
            "1/",
            "\"1\"",
        ] {
            assert_eq!(content_length(value.as_bytes()), Err(HeadError::BadLength), "{value}");
        }
    }

    #[test]
    fn only_chunked_alone_is_an_encoding() {
        for value in ["chunked", "Chunked", "CHUNKED"] {
            assert_eq!(transfer_encoding(value.as_bytes()), Ok(()), "{value}");
        }
        for value in ["gzip, chunked", "deflate,gzip ,chunked", "x-gzip, CHUNKED"] {
            assert_eq!(
                transfer_encoding(value.as_bytes()),
                Err(HeadError::UnsupportedEncoding),
                "{value}"
            );
        }
        for value in [
            "",
            "identity",
            "xchunked",
            "chunked, chunked",
            "chunked, gzip",
            "chunked,",
            ",chunked",
            "\"chunked\"",
            "chunked;q=1",
            "chun ked",
            "gzip",
            "identity, chunked",
            "\x0bchunked",
            "chunked\u{a0}",
            "chunke",
        ] {
            assert_eq!(transfer_encoding(value.as_bytes()), Err(HeadError::BadEncoding), "{value}");
        }
    }
}
