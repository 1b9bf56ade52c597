//! Chunk extensions: read to be sure where the line ends, then ignored (RFC 9112 7.1.1).

use super::BodyError;
use super::chars::{is_tchar, is_value_byte};

/// Where in `*( ";" token [ "=" ( token / quoted-string ) ] )` the next byte stands. The blanks that RFC 9112 7.1.1 calls
/// bad are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// After `;`: a name must begin.
    Start,
    Name,
    /// After `=`: a token or a quoted string must begin.
    ValueStart,
    Token,
    Quoted,
    Escaped,
    /// After the closing quote.
    End,
}

/// What a byte led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Inside(Extension),
    /// It was the CR that ends the size line.
    LineEnd,
}

impl Extension {
    pub(super) fn step(self, byte: u8) -> Result<Step, BodyError> {
        let next = match (self, byte) {
            (Self::Name | Self::Token | Self::End, b'\r') => return Ok(Step::LineEnd),
            (Self::Name | Self::Token | Self::End, b';') => Self::Start,
            (Self::Name, b'=') => Self::ValueStart,
            (Self::Start | Self::Name, _) if is_tchar(byte) => Self::Name,
            (Self::ValueStart, b'"') => Self::Quoted,
            (Self::ValueStart | Self::Token, _) if is_tchar(byte) => Self::Token,
            (Self::Quoted, b'"') => Self::End,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, _) if is_value_byte(byte) => Self::Quoted,
            // The way to hide a line from a reader that skips extensions unread.
            (_, b'\n') => return Err(BodyError::BadLineEnd),
            _ => return Err(BodyError::BadChunkExtension),
        };
        Ok(Step::Inside(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads what stands behind `;`.
    fn read(text: &[u8]) -> Result<Step, BodyError> {
        text.iter().try_fold(Step::Inside(Extension::Start), |step, &byte| match step {
            Step::Inside(at) => at.step(byte),
            Step::LineEnd => panic!("bytes after the line end"),
        })
    }

    #[test]
    fn tokens_and_quoted_strings_are_read_to_the_line_end() {
        for text in [
            &b"a\r"[..],
            b"a=b\r",
            b"a;b\r",
            b"a=b;c=d\r",
            b"a=\"\"\r",
            b"a=\"b;\\\"\\\\ \xff\t\";c\r",
        ] {
            assert_eq!(read(text), Ok(Step::LineEnd), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            &b"\r"[..],
            b";",
            b"=",
            b" ",
            b"\"",
            b"a ",
            b"a\0",
            b"a=\r",
            b"a=;",
            b"a= ",
            b"a=b=",
            b"a=b\"",
            b"a=b ",
            b"a=\"b\r",
            b"a=\"\\\r",
            b"a=\"\0",
            b"a=\"b\"c",
            b"a=\"b\" ",
            b"a=\"b\"=",
        ] {
            assert_eq!(read(text), Err(BodyError::BadChunkExtension), "{}", text.escape_ascii());
        }
        for text in [&b"\n"[..], b"a\n", b"a=\n", b"a=b\n", b"a=\"\n", b"a=\"\\\n", b"a=\"b\"\n"] {
            assert_eq!(read(text), Err(BodyError::BadLineEnd), "{}", text.escape_ascii());
        }
    }
}
