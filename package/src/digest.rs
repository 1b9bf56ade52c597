//! SHA-256 as a name, and readers and writers that compute it on the way.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a package's bytes. Written as 64 hexadecimal digits, so it is always a plain file name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no digest: it has to be the 64 hexadecimal digits of a SHA-256, in small letters"
)]
pub struct NotADigest(String);

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let wrong = || NotADigest(text.chars().take(80).collect());
        let nibble = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(wrong()),
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(wrong()) };
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() {
            return Err(wrong());
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Counts and digests what is written through it.
pub(crate) struct DigestWriter<W> {
    inner: W,
    hasher: Sha256,
    written: u64,
}

impl<W: Write> DigestWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), written: 0 }
    }

    /// The digest, and how many bytes it is of.
    pub(crate) fn finish(self) -> (Digest, u64) {
        (Digest(self.hasher.finalize().into()), self.written)
    }
}

impl<W: Write> Write for DigestWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..taken]);
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Counts and digests what is read through it, up to a limit; remembers whether it was the source that failed.
pub(crate) struct DigestReader<R> {
    inner: R,
    hasher: Sha256,
    read: u64,
    limit: u64,
    failed: Option<io::ErrorKind>,
}

impl<R: Read> DigestReader<R> {
    pub(crate) fn new(inner: R, limit: u64) -> Self {
        Self { inner, hasher: Sha256::new(), read: 0, limit, failed: None }
    }

    /// Bytes so far.
    pub(crate) fn read_so_far(&self) -> u64 {
        self.read
    }

    /// True when there is more than the limit.
    pub(crate) fn is_too_long(&self) -> bool {
        self.read > self.limit
    }

    /// How the source failed, if it did.
    pub(crate) fn source_error(&self) -> Option<io::ErrorKind> {
        self.failed
    }

    /// Reads what is left, for the digest of the whole.
    pub(crate) fn finish(&mut self) -> io::Result<Digest> {
        let mut buffer = [0; 16 << 10];
        while self.read(&mut buffer)? > 0 {}
        Ok(Digest(self.hasher.clone().finalize().into()))
    }
}

impl<R: Read> Read for DigestReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_too_long() {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        match self.inner.read(buffer) {
            Ok(read) => {
                self.hasher.update(&buffer[..read]);
                self.read += read as u64;
                Ok(read)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.failed = Some(error.kind());
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written_and_nothing_else_is_one() {
        let (digest, bytes) = {
            let mut writer = DigestWriter::new(Vec::new());
            writer.write_all(b"abc").unwrap();
            writer.finish()
        };
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((digest.to_string().as_str(), bytes), (text, 3));
        assert_eq!(text.parse(), Ok(digest));
        for wrong in ["", "ab", &text[1..], &text.to_uppercase(), &format!("{text}0"), "../../../x"]
        {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_reader_stops_behind_its_limit() {
        let mut reader = DigestReader::new(&[0; 100][..], 99);
        assert!(reader.finish().is_err() && reader.is_too_long());
        assert_eq!(reader.source_error(), None, "it was not the source");
    }
}
