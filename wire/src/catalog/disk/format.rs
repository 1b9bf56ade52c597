//! The file: a line that proves the rest, a line about the whole, then a line for each object, which a person can
//! read at night.
//!
//! ```text
//! hatchway-catalog 1 000000001234 SHA256
//! {"revision":57,"cluster":14841639068965178418,"prefix":"/hatchway/v1/","written_unix_ms":1790000000000}
//! functions/local/shop<tab>{"queue_depth":1000,"server_timing":false}
//! ```
//!
//! The number is the length of what follows the first line, in bytes; the digest is over the same bytes.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::num::NonZero;
use std::thread;

use hatchway_proto::catalog::{Key, Object, Objects};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What every file begins with. Another version of the format has another number.
const MAGIC: &str = "hatchway-catalog 1 ";

/// Digits of the length: a terabyte.
const LENGTH_DIGITS: usize = 12;

/// The first line, its end included.
const HEAD_BYTES: usize = MAGIC.len() + LENGTH_DIGITS + 1 + 64 + 1;

/// Between a key and its value; neither can hold one.
const TAB: u8 = b'\t';

/// About the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// As it was in etcd.
    pub revision: i64,
    /// Of which cluster.
    pub cluster: u64,
    /// From where.
    pub prefix: String,
    /// For people.
    pub written_unix_ms: u64,
}

/// What a file holds.
#[derive(Debug, PartialEq)]
pub struct Content {
    /// About the whole.
    pub about: About,
    /// The objects.
    pub objects: Objects,
    /// Objects that this program does not understand: a newer one wrote them.
    pub refused: BTreeMap<String, String>,
}

/// Why a file is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// Something else, or written by a program that is too new.
    #[error("it is no catalog of this format")]
    Foreign,
    /// Cut off, or continued.
    #[error("{found} bytes follow its first line, and it says {expected}")]
    Length {
        /// As its first line says.
        expected: u64,
        /// As there are.
        found: u64,
    },
    /// Some byte is not what it was.
    #[error("its checksum is wrong")]
    Checksum,
    /// The checksum is right and the second line is not: nobody wrote this by accident.
    #[error("its second line is malformed: {0}")]
    Malformed(String),
}

/// Counts and digests what passes.
struct Proof<W> {
    inner: W,
    digest: Sha256,
    length: u64,
}

impl<W: Write> Write for Proof<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.length += u64::try_from(written).expect("a buffer's length fits 64 bits");
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn head(length: u64, digest: &[u8]) -> String {
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{MAGIC}{length:0LENGTH_DIGITS$} {digest}\n")
}

/// Writes a file, one object at a time: the first line last, for only then it is known.
///
/// # Errors
/// Of `file`.
pub fn write(file: impl Write + Seek, about: &About, objects: &Objects) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(256 << 10, file);
    file.write_all(head(0, &[0; 32]).as_bytes())?;
    let mut proof = Proof { inner: &mut file, digest: Sha256::new(), length: 0 };
    serde_json::to_writer(&mut proof, about)?;
    proof.write_all(b"\n")?;
    let mut line = Vec::new();
    for object in objects.iter() {
        line.clear();
        write!(line, "{}\t", object.key())?;
        line.extend_from_slice(&object.json());
        line.push(b'\n');
        proof.write_all(&line)?;
    }
    let (length, digest) = (proof.length, proof.digest.finalize());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(head(length, &digest).as_bytes())?;
    file.flush()
}

/// Reads a file.
///
/// # Errors
/// [`FormatError`], whichever byte of it is wrong. An object that is not understood is no error: it is left out.
pub fn read(bytes: &[u8]) -> Result<Content, FormatError> {
    if bytes.is_empty() {
        return Err(FormatError::Empty);
    }
    let (head_found, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or(FormatError::Foreign)?;
    let digits = MAGIC.len()..MAGIC.len() + LENGTH_DIGITS;
    let expected = head_found.get(digits).and_then(|digits| std::str::from_utf8(digits).ok());
    let expected = expected.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let expected: u64 =
        expected.and_then(|digits| digits.parse().ok()).ok_or(FormatError::Foreign)?;
    if !head_found.starts_with(MAGIC.as_bytes()) {
        return Err(FormatError::Foreign);
    }
    let found = u64::try_from(rest.len()).expect("a length fits 64 bits");
    if found != expected {
        return Err(FormatError::Length { expected, found });
    }
    // Looked at by one thread while others read what it vouches for.
    let (digest, content) = thread::scope(|scope| {
        let digest = scope.spawn(|| Sha256::digest(rest));
        let content = lines(rest);
        (digest.join().expect("a digest does not panic"), content)
    });
    // The whole line, byte by byte: there is one way only to write it.
    if head(found, &digest).as_bytes() != head_found {
        return Err(FormatError::Checksum);
    }
    content
}

fn lines(rest: &[u8]) -> Result<Content, FormatError> {
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let about = serde_json::from_slice(&rest[..end])
        .map_err(|error| FormatError::Malformed(error.to_string()))?;
    let rest = rest.get(end + 1..).unwrap_or_default();
    let parts = thread::scope(|scope| {
        let parts = parts(rest, thread::available_parallelism().map_or(1, NonZero::get));
        let readers: Vec<_> = parts.into_iter().map(|part| scope.spawn(|| objects(part))).collect();
        let read = readers.into_iter().map(|reader| reader.join().expect("reading does not panic"));
        read.collect::<Vec<_>>()
    });
    let mut refused = BTreeMap::new();
    let read = parts.into_iter().flat_map(|(objects, others)| {
        refused.extend(others);
        objects
    });
    let objects = Objects::gather(read);
    Ok(Content { about, objects, refused })
}

/// About equal parts, cut at the ends of lines.
fn parts(mut rest: &[u8], count: usize) -> Vec<&[u8]> {
    let (mut parts, length) = (Vec::new(), rest.len().div_ceil(count).max(1));
    while !rest.is_empty() {
        let least = length.min(rest.len());
        let end = rest[least..].iter().position(|byte| *byte == b'\n');
        let (part, later) = rest.split_at(end.map_or(rest.len(), |end| least + end));
        parts.push(part);
        rest = later;
    }
    parts
}

/// The objects of some lines; and keys that are not understood, each with the reason.
fn objects(lines: &[u8]) -> (Vec<Object>, Vec<(String, String)>) {
    let (mut objects, mut refused) = (Vec::new(), Vec::new());
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let tab = line.iter().position(|byte| *byte == TAB).unwrap_or(line.len());
        let (key, value) = (&line[..tab], line.get(tab + 1..).unwrap_or_default());
        let key = String::from_utf8_lossy(key);
        let object = Key::parse(&key)
            .map_err(|error| error.to_string())
            .and_then(|key| Object::parse(key, value).map_err(|error| error.to_string()));
        match object {
            Ok(object) => objects.push(object),
            Err(reason) => refused.push((key.into_owned(), reason)),
        }
    }
    (objects, refused)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn object(key: &str, json: &str) -> Object {
        Object::parse(Key::parse(key).unwrap(), json.as_bytes()).unwrap()
    }

    fn content() -> Content {
        let mut objects = Objects::default();
        objects.put(object("functions/local/a", "{}"));
        objects.put(object("routes/a", r#"{"path":"/a\tb\n","function":"local/a"}"#));
        objects.put(object("releases/local/a", r#"{"stable":"0123456789abcdef"}"#));
        let about =
            About { revision: 57, cluster: u64::MAX, prefix: "/x/".into(), written_unix_ms: 1 };
        Content { about, objects, refused: BTreeMap::new() }
    }

    fn written(content: &Content) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        write(&mut bytes, &content.about, &content.objects).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn what_was_written_reads_back() {
        let content = content();
        let bytes = written(&content);
        assert_eq!(read(&bytes).unwrap(), content);
        assert_eq!(bytes.split(|byte| *byte == b'\n').count(), 2 + 3 + 1);
    }

    #[test]
    fn a_change_of_any_bit_of_any_byte_is_noticed() {
        let good = written(&content());
        for index in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[index] ^= 1 << bit;
                assert!(read(&bad).is_err(), "byte {index}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_file_cut_off_anywhere_or_continued_is_noticed() {
        let good = written(&content());
        for length in 0..good.len() {
            assert!(read(&good[..length]).is_err(), "{length} bytes");
        }
        assert!(matches!(read(&[&good[..], b"\n"].concat()), Err(FormatError::Length { .. })));
        assert_eq!(read(b""), Err(FormatError::Empty));
        assert_eq!(read(&[b'x'; 4096]), Err(FormatError::Foreign));
        let newer = String::from_utf8(good).unwrap().replace("catalog 1", "catalog 2");
        assert_eq!(read(newer.as_bytes()), Err(FormatError::Foreign));
    }

    #[test]
    fn an_object_of_a_newer_program_is_left_out_alone() {
        let rest = "{\"revision\":1,\"cluster\":2,\"prefix\":\"/\",\"written_unix_ms\":3}\n\
                    functions/local/a\t{}\nlanes/x\t{}\nfunctions/local/b\t{\"colour\":1}\nfunctions/local/c\n";
        let bytes = format!("{}{rest}", head(rest.len() as u64, &Sha256::digest(rest)));
        let content = read(bytes.as_bytes()).unwrap();
        assert_eq!(content.objects.len(), 1);
        let refused: Vec<_> = content.refused.keys().collect();
        assert_eq!(refused, ["functions/local/b", "functions/local/c", "lanes/x"]);
    }
}
