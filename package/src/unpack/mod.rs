//! From a package to files, on the way from wherever it comes: nothing is kept twice, and nothing is believed.
//!
//! Bytes pass, in this order: `digest` (counted, digested), zstd, tar, `members` (long names, kinds), `names` (where they
//! may be), `tree` (made there). Whether it all was what its name says is known at the end alone; until then the files are
//! in a folder that nobody uses.

mod error;
mod members;
mod names;
mod tree;

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::path::Path;

pub use self::error::UnpackError;
use self::members::{Ahead, Kind, malformed};
pub(crate) use self::names::link_leads_out;
use self::tree::Tree;
use crate::digest::{Digest, DigestReader};
use crate::limits::{Limits, RATIO_FREE_BYTES};

/// The memory that unpacking takes at most is this window and a few buffers: 2^23 bytes are what level 19 asks for,
/// and more would be a way to take memory from whoever unpacks.
const WINDOW_LOG_MAX: u32 = 23;

/// What a disk gives a file at least.
const BLOCK_BYTES: u64 = 4096;

/// What came of a package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes of all files together.
    pub total_bytes: u64,
    /// What they take on a disk, about: whole blocks, and one for each folder and link.
    pub disk_bytes: u64,
    /// Files, folders and links.
    pub entries: u64,
}

/// Unpacks `source`, which has to be the package `digest`, into the empty folder `into`. When it returns well, every byte was
/// what the digest says, and is on the disk. Blocks; wants a thread of its own.
///
/// # Errors
/// [`UnpackError`]. What is in the folder then is to be removed.
pub fn unpack(
    source: impl Read,
    digest: &Digest,
    into: &Path,
    limits: &Limits,
) -> Result<Unpacked, UnpackError> {
    let reader = RefCell::new(DigestReader::new(source, limits.packed_bytes));
    let written = Unpacking { reader: &reader, limits, done: Unpacked::default() }.run(into);
    let mut reader = reader.into_inner();
    if let Some(kind) = reader.source_error() {
        return Err(UnpackError::Source(kind.into()));
    }
    if written.as_ref().is_err_and(|error| !error.is_about_content()) {
        return written;
    }
    // The digest has the last word: of damaged bytes nobody can say what they would have been.
    let whole = reader.finish();
    if reader.is_too_long() {
        return Err(UnpackError::TooLarge { what: "bytes", limit: limits.packed_bytes });
    }
    let found = whole.map_err(UnpackError::Source)?;
    if found == *digest { written } else { Err(UnpackError::Damaged { found }) }
}

struct Unpacking<'a, R> {
    reader: &'a RefCell<DigestReader<R>>,
    limits: &'a Limits,
    done: Unpacked,
}

/// The reader, lent to the decoder, while who unpacks asks it how far it is.
struct Lent<'a, R>(&'a RefCell<DigestReader<R>>);

impl<R: Read> Read for Lent<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl<R: Read> Unpacking<'_, R> {
    fn run(mut self, into: &Path) -> Result<Unpacked, UnpackError> {
        let mut tree = Tree::open(into)?;
        let mut decoder = zstd::Decoder::new(Lent(self.reader)).map_err(malformed)?;
        decoder.window_log_max(WINDOW_LOG_MAX).map_err(malformed)?;
        let mut archive = tar::Archive::new(decoder);
        let (mut ahead, mut headers) = (Ahead::default(), 0);
        let mut buffer = vec![0; 128 << 10];
        for entry in archive.entries().map_err(malformed)?.raw(true) {
            let mut entry = entry.map_err(malformed)?;
            headers += 1;
            allow("members", headers, self.limits.entries)?;
            let Some((path, kind)) = ahead.member(&mut entry, self.limits)? else { continue };
            self.done.entries += 1;
            self.done.disk_bytes += BLOCK_BYTES;
            match kind {
                Kind::Folder => tree.folder(&path)?,
                Kind::Link { target } => tree.link(&path, &target)?,
                Kind::File { size, is_executable } => {
                    allow("bytes in one file", size, self.limits.file_bytes)?;
                    let total = self.done.total_bytes.saturating_add(size);
                    allow("bytes in all files", total, self.limits.total_bytes)?;
                    let file = tree.file(&path, is_executable)?;
                    self.fill(&mut entry, file, size, &mut buffer)?;
                }
            }
        }
        if !ahead.is_empty() {
            return Err(UnpackError::Malformed { what: "a header without its member".to_owned() });
        }
        tree.sync()?;
        Ok(self.done)
    }

    fn fill(
        &mut self,
        content: &mut impl Read,
        mut file: impl Write,
        size: u64,
        buffer: &mut [u8],
    ) -> Result<(), UnpackError> {
        let mut left = size;
        while left > 0 {
            let read = match content.read(buffer) {
                Ok(0) => {
                    return Err(UnpackError::Malformed {
                        what: "it ends within a file".to_owned(),
                    });
                }
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(malformed(error)),
            };
            self.done.total_bytes += read as u64;
            self.check_ratio()?;
            file.write_all(&buffer[..read]).map_err(UnpackError::Disk)?;
            left -= read as u64;
        }
        self.done.disk_bytes += size.next_multiple_of(BLOCK_BYTES);
        Ok(())
    }

    fn check_ratio(&self) -> Result<(), UnpackError> {
        let packed = self.reader.borrow().read_so_far();
        let allowed = RATIO_FREE_BYTES.saturating_add(packed.saturating_mul(self.limits.ratio));
        if self.done.total_bytes <= allowed {
            return Ok(());
        }
        Err(UnpackError::TooLarge { what: "bytes for each packed one", limit: self.limits.ratio })
    }
}

fn allow(what: &'static str, found: u64, limit: u64) -> Result<(), UnpackError> {
    if found > limit { Err(UnpackError::TooLarge { what, limit }) } else { Ok(()) }
}
