//! The grammar of chunked framing (RFC 9112 7.1), a byte at a time so that any split of the input is the same input.

use super::BodyError;
use super::body::Piece;
use super::extension::{Extension, Step};
use super::limits::FRAMING_OVERHEAD_BYTES;
use super::trailer::TrailerLine;

/// Sixteen digits hold any size; more is a way to spend our time.
const MAX_DIGITS: u8 = 16;

/// Where in the framing the next byte stands.
///
/// ```text
/// Size -digits-> Size -CR-> SizeLf -LF-> Data -all of it-> DataCr -> DataLf -> Size
///   | ;           ,---CR-----^ | size is 0
///   `-> Extension-'            `-> LineStart -token-> Trailer -LF-> LineStart
///                                      | CR
///                                      `-> EndLf -LF-> End
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size,
    Extension(Extension),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    LineStart,
    Trailer(TrailerLine),
    EndLf,
    End,
}

/// The state of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    at: At,
    /// Of the size line being read; then the bytes of data that are still to come.
    left: u64,
    digits: u8,
    overhead: u16,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { at: At::Size, left: 0, digits: 0, overhead: 0 }
    }

    /// Counts data that has passed.
    pub(super) fn pass_data(&mut self, len: u64) {
        self.left -= len;
        if self.left == 0 {
            self.at = At::DataCr;
        }
    }

    /// Bytes of the current chunk's data that are still to come.
    pub(super) fn data_ahead(&self) -> u64 {
        if self.at == At::Data { self.left } else { 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        self.at == At::End
    }

    /// Consumes one piece from the front of `bytes`.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<Piece, BodyError> {
        if let Some(piece) = self.next_at_once(bytes) {
            return Ok(piece);
        }
        if bytes.first().is_some_and(|&byte| self.is_at_trailer(byte)) {
            return self.trailers(bytes);
        }
        let mut start = 0;
        while let Some(&byte) = bytes.get(start) {
            if self.at == At::Data {
                return Ok(self.data(bytes, start));
            }
            if self.is_over() || self.is_at_trailer(byte) {
                break;
            }
            self.step(byte)?;
            start += 1;
        }
        Ok(if start == 0 { Piece::NeedMore } else { Piece::Framing { len: start } })
    }

    /// What nearly every chunk is, without a step a byte: a whole size line without extension, data after it, or the end
    /// without trailers. Decides nothing that [`step`](Self::step) would decide otherwise.
    #[inline]
    fn next_at_once(&mut self, bytes: &[u8]) -> Option<Piece> {
        let before = match self.at {
            At::Size if self.digits == 0 => 0,
            At::DataCr if bytes.starts_with(b"\r\n") => 2,
            _ => return None,
        };
        let line = &bytes[before..];
        if line.starts_with(b"0\r\n\r\n") {
            self.at = At::End;
            return Some(Piece::Framing { len: before + 5 });
        }
        // Fifteen digits cannot overflow.
        let digits = line.iter().take(15).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = line[..digits].iter().fold(0, |size, &byte| size << 4 | hex_value(byte));
        let start = before + digits + 2;
        if size == 0 || !line[digits..].starts_with(b"\r\n") || start == bytes.len() {
            return None;
        }
        (self.at, self.left) = (At::Data, size);
        Some(self.data(bytes, start))
    }

    /// Takes the data that stands behind `start` bytes of framing.
    #[inline]
    fn data(&mut self, bytes: &[u8], start: usize) -> Piece {
        let rest = bytes.len() - start;
        let len = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
        self.pass_data(len as u64);
        Piece::Data { start, len }
    }

    /// True when `next` is part of a trailer line rather than the empty line that ends them.
    fn is_at_trailer(&self, next: u8) -> bool {
        match self.at {
            At::LineStart => next != b'\r',
            At::Trailer(_) => true,
            _ => false,
        }
    }

    fn trailers(&mut self, bytes: &[u8]) -> Result<Piece, BodyError> {
        let mut len = 0;
        while let Some(&byte) = bytes.get(len)
            && self.is_at_trailer(byte)
        {
            self.step(byte)?;
            len += 1;
        }
        Ok(Piece::Trailers { len })
    }

    /// Takes one byte of framing. Not to be called at [`At::Data`] and [`At::End`].
    fn step(&mut self, byte: u8) -> Result<(), BodyError> {
        self.at = match self.at {
            At::Size => self.size(byte)?,
            At::SizeLf => self.size_end(byte)?,
            At::Extension(extension) => {
                self.count()?;
                match extension.step(byte)? {
                    Step::Inside(extension) => At::Extension(extension),
                    Step::LineEnd => At::SizeLf,
                }
            }
            At::DataCr if byte == b'\r' => At::DataLf,
            At::DataLf if byte == b'\n' => {
                self.digits = 0;
                At::Size
            }
            At::DataCr | At::DataLf => return Err(BodyError::BadChunkEnd),
            At::LineStart if byte == b'\r' => At::EndLf,
            At::EndLf if byte == b'\n' => At::End,
            At::EndLf => return Err(BodyError::BadLineEnd),
            At::LineStart => self.trailer(TrailerLine::new(), byte)?,
            At::Trailer(line) => self.trailer(line, byte)?,
            At::Data | At::End => unreachable!("data and end are not framing"),
        };
        Ok(())
    }

    fn count(&mut self) -> Result<(), BodyError> {
        self.overhead += 1;
        if self.overhead > FRAMING_OVERHEAD_BYTES { Err(BodyError::TooMuchFraming) } else { Ok(()) }
    }

    #[inline]
    fn size(&mut self, byte: u8) -> Result<At, BodyError> {
        match byte {
            b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => {}
            b'\r' if self.digits > 0 => return Ok(At::SizeLf),
            b';' if self.digits > 0 => {
                self.count()?;
                return Ok(At::Extension(Extension::Start));
            }
            b'\n' => return Err(BodyError::BadLineEnd),
            _ => return Err(BodyError::BadChunkSize),
        }
        // At most 16 digits make at most 64 bits; a set top bit would be lost in a signed word elsewhere.
        let left = self.left << 4 | hex_value(byte);
        if self.digits == MAX_DIGITS || left > i64::MAX as u64 {
            return Err(BodyError::BadChunkSize);
        }
        self.left = left;
        self.digits += 1;
        Ok(At::Size)
    }

    fn size_end(&self, byte: u8) -> Result<At, BodyError> {
        match byte {
            b'\n' if self.left == 0 => Ok(At::LineStart),
            b'\n' => Ok(At::Data),
            _ => Err(BodyError::BadLineEnd),
        }
    }

    fn trailer(&mut self, mut line: TrailerLine, byte: u8) -> Result<At, BodyError> {
        self.count()?;
        Ok(if line.step(byte)? { At::LineStart } else { At::Trailer(line) })
    }
}

/// The value of a hex digit: letters lie 9 above their low nibble.
#[inline]
fn hex_value(digit: u8) -> u64 {
    u64::from((digit & 0xf) + 9 * (digit >> 6))
}
