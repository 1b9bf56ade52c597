//! The bytes of a head, taken off the front word by word, each checked for what its place allows.
//!
//! A general parser was here before. It takes a bare LF for a line end and forgives more, so that everything had to be looked at
//! a second time; reading once, with our rules, takes half of the instructions. The tests hold the two against each other.

use super::HeadError;
use super::chars::{is_tchar, is_value_byte};
use super::framing::Version;

/// Why reading stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The bytes end before the head does, and are good so far.
    More,
    Wrong(HeadError),
}

impl From<HeadError> for Stop {
    fn from(error: HeadError) -> Self {
        Self::Wrong(error)
    }
}

/// A place in the bytes of a head.
#[derive(Debug)]
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been taken.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What was taken since `start`.
    pub(super) fn since(&self, start: usize) -> &'b [u8] {
        &self.bytes[start..self.at]
    }

    /// What has not been taken.
    pub(super) fn rest(&self) -> &'b [u8] {
        &self.bytes[self.at..]
    }

    /// Takes bytes that were looked at.
    pub(super) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// Takes a token and the byte `end` behind it (RFC 9110 5.6.2); gives the length of the token. `wrong`: there is none, or
    /// something else stands behind it.
    #[inline(always)]
    pub(super) fn token(&mut self, end: u8, wrong: HeadError) -> Result<usize, Stop> {
        let rest = self.rest();
        // Nearly all that names are made of; the few that have something else go on byte by byte.
        let mut len = run(rest, no_letters, is_tchar);
        loop {
            match rest.get(len) {
                Some(&byte) if is_tchar(byte) => len += 1,
                Some(&byte) if byte == end && len > 0 => break,
                Some(_) => return Err(wrong.into()),
                None => return Err(Stop::More),
            }
        }
        self.at += len + 1;
        Ok(len)
    }

    /// Takes visible ASCII, perhaps none.
    #[inline(always)]
    pub(super) fn visible(&mut self) -> &'b [u8] {
        let rest = self.rest();
        let len =
            run(rest, |word| below(word, 0x21) | (word & HIGH), |byte| byte.is_ascii_graphic());
        self.at += len;
        &rest[..len]
    }

    /// Takes bytes that a field value may hold, blanks included (RFC 9110 5.5), perhaps none.
    #[inline(always)]
    pub(super) fn text(&mut self) -> &'b [u8] {
        let rest = self.rest();
        let mut len = 0;
        loop {
            len += run(&rest[len..], |word| below(word, 0x20), is_value_byte);
            match rest.get(len) {
                // The only control byte that is one of the value.
                Some(b'\t') => len += 1,
                Some(_) | None => break,
            }
        }
        self.at += len;
        &rest[..len]
    }

    /// Takes CRLF. `wrong`: neither that nor a bare LF.
    #[inline(always)]
    pub(super) fn line_end(&mut self, wrong: HeadError) -> Result<(), Stop> {
        match self.rest() {
            [b'\r', b'\n', ..] => {
                self.at += 2;
                Ok(())
            }
            [] | [b'\r'] => Err(Stop::More),
            // RFC 9112 2.2 lets a reader take it for a line end, and smuggling needs one that does.
            [b'\n', ..] => Err(HeadError::BadLineEnd.into()),
            _ => Err(wrong.into()),
        }
    }

    /// True, and taken, where the empty line stands that ends a head.
    #[inline(always)]
    pub(super) fn empty_line(&mut self) -> Result<bool, Stop> {
        match self.rest() {
            [b'\r' | b'\n', ..] => self.line_end(HeadError::BadLineEnd).map(|()| true),
            [] => Err(Stop::More),
            _ => Ok(false),
        }
    }

    /// Takes one of the two versions that we speak; none where another word stands.
    #[inline(always)]
    pub(super) fn version(&mut self) -> Result<Option<Version>, Stop> {
        let rest = self.rest();
        let version = match rest.first_chunk() {
            Some(b"HTTP/1.1") => Version::Http11,
            Some(b"HTTP/1.0") => Version::Http10,
            None if b"HTTP/1.".starts_with(rest) => return Err(Stop::More),
            Some(_) | None => return Ok(None),
        };
        self.at += 8;
        Ok(Some(version))
    }
}

/// The highest bit of each byte of a word.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// `byte` in every place of a word.
const fn each(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

/// Marks, in the highest bit of each byte, those below `limit` and DEL. A mark may be wrong above a right one, as the
/// subtraction borrows: only the lowest one counts (Warren, Hacker's Delight, 6-1).
#[inline(always)]
fn below(word: u64, limit: u8) -> u64 {
    let is_below = |word: u64, limit| word.wrapping_sub(each(limit)) & !word & HIGH;
    is_below(word, limit) | is_below(word ^ each(0x7f), 1)
}

/// Marks, in the highest bit of each byte, what is neither a letter nor `-`.
#[inline(always)]
fn no_letters(word: u64) -> u64 {
    // Seven bits and as many again do not carry into the next byte. A set bit 5 makes a letter a small one, and nothing else.
    let small = (word | each(0x20)) & !HIGH;
    let letters = (small + each(0x80 - b'a')) & !(small + each(0x7f - b'z'));
    let hyphen = word ^ each(b'-');
    let others = ((hyphen & !HIGH) + !HIGH) | hyphen;
    (others & !letters | word) & HIGH
}

/// How many bytes there are before the first that `marks` finds, eight at a time, or that is not `allowed`, at the end.
#[inline(always)]
fn run(bytes: &[u8], marks: impl Fn(u64) -> u64, allowed: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk() {
        let marked = marks(u64::from_le_bytes(*eight));
        if marked != 0 {
            return at + marked.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|&&byte| allowed(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte in every place of a word, and behind the last whole one.
    #[test]
    fn runs_end_at_the_first_byte_that_is_not_allowed() {
        for byte in 0..=255 {
            for place in 0..19 {
                let mut bytes = *b"a~!z|A0}a~!z|A0}a~!";
                bytes[place] = byte;
                for tail in [&b""[..], b"\r\n\x01\x7f\x00\r\n\r\n\x01\x7f"] {
                    let bytes = [&bytes[..], tail].concat();
                    let plain = |allowed: &dyn Fn(u8) -> bool| {
                        bytes.iter().take_while(|&&byte| allowed(byte)).count()
                    };
                    let (mut visible, mut text) = (Reader::new(&bytes), Reader::new(&bytes));
                    let expected = plain(&|byte| byte.is_ascii_graphic());
                    assert_eq!(visible.visible().len(), expected, "{byte} at {place}");
                    assert_eq!(text.text().len(), plain(&is_value_byte), "{byte} at {place}");
                }
            }
        }
    }

    #[test]
    fn a_token_ends_at_the_first_byte_that_is_no_part_of_one() {
        for byte in 0..=255 {
            for place in 0..19 {
                let mut bytes = *b"Content-Type-Of-X_9:";
                bytes[place] = byte;
                let len = bytes.iter().take_while(|&&byte| is_tchar(byte)).count();
                let taken = Reader::new(&bytes).token(b':', HeadError::BadFieldName);
                let is_whole = len > 0 && bytes[len] == b':';
                assert_eq!(taken.ok(), is_whole.then_some(len), "{byte} at {place}");
                let taken = Reader::new(&bytes[..len]).token(b':', HeadError::BadFieldName);
                assert!(matches!(taken, Err(Stop::More)), "{byte} at {place}");
            }
        }
    }

    #[test]
    fn a_version_is_waited_for_as_long_as_it_may_become_one() {
        for (text, expected) in [
            ("HTTP/1.1\r", Ok(Some(Version::Http11))),
            ("HTTP/1.0 ", Ok(Some(Version::Http10))),
            ("HTTP/1.2", Ok(None)),
            ("HTTP/2", Ok(None)),
            ("http/1.1", Ok(None)),
            ("HTTP/1.", Err(())),
            ("", Err(())),
        ] {
            let version = Reader::new(text.as_bytes()).version().map_err(drop);
            assert_eq!(version, expected, "{text}");
        }
    }
}
