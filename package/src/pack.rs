//! From a folder to one object that is the same whoever makes it: names in order, no times, no owners.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use crate::digest::{Digest, DigestWriter};
use crate::unpack::link_leads_out;

/// Fast enough to be no part of what one waits for (200 MB/s); the highest level would save a fifth.
const LEVEL: i32 = 3;

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Its name.
    pub digest: Digest,
    /// Bytes of the object.
    pub packed_bytes: u64,
    /// Bytes of the files in it.
    pub total_bytes: u64,
    /// Files and links.
    pub entries: u64,
    /// Links that lead out of the folder, which no node would make. They are not in the object.
    pub left_out: Vec<PathBuf>,
}

/// Why a folder cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file of it.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was written to meanwhile.
    #[error("{} has changed while it was packed", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// The object.
    #[error("the package cannot be written")]
    Write(#[source] io::Error),
}

/// Packs what stands at `paths` of the folder `root`: files, folders and links; sockets, pipes and devices are passed over.
/// The same files make the same object, whatever the order in which they are named.
///
/// # Errors
/// [`PackError`]; what has been written then is of no use.
pub fn pack(root: &Path, mut paths: Vec<PathBuf>, out: impl Write) -> Result<Packed, PackError> {
    paths.sort_unstable();
    paths.dedup();
    let mut encoder =
        zstd::Encoder::new(DigestWriter::new(out), LEVEL).map_err(PackError::Write)?;
    encoder.include_checksum(true).map_err(PackError::Write)?;
    let mut packer = Packer {
        root,
        tar: Builder::new(encoder),
        total_bytes: 0,
        entries: 0,
        left_out: Vec::new(),
    };
    for path in &paths {
        packer.add(path)?;
    }
    let Packer { tar, total_bytes, entries, left_out, .. } = packer;
    let mut out = tar.into_inner().and_then(zstd::Encoder::finish).map_err(PackError::Write)?;
    out.flush().map_err(PackError::Write)?;
    let (digest, packed_bytes) = out.finish();
    Ok(Packed { digest, packed_bytes, total_bytes, entries, left_out })
}

struct Packer<'a, W: Write> {
    root: &'a Path,
    tar: Builder<W>,
    total_bytes: u64,
    entries: u64,
    left_out: Vec<PathBuf>,
}

impl<W: Write> Packer<'_, W> {
    fn add(&mut self, path: &Path) -> Result<(), PackError> {
        let full = self.root.join(path);
        let unreadable = |source| PackError::Read { path: full.clone(), source };
        let metadata = fs::symlink_metadata(&full).map_err(unreadable)?;
        if metadata.is_symlink() {
            let target = fs::read_link(&full).map_err(unreadable)?;
            if link_leads_out(path, &target) {
                self.left_out.push(path.to_owned());
                return Ok(());
            }
            let mut header = header(EntryType::Symlink, 0o777, 0);
            self.tar.append_link(&mut header, path, &target).map_err(PackError::Write)?;
        } else if metadata.is_dir() {
            let mut header = header(EntryType::Directory, 0o755, 0);
            self.tar.append_data(&mut header, path, io::empty()).map_err(PackError::Write)?;
        } else if metadata.is_file() {
            self.add_file(path, &full, &metadata)?;
        } else {
            return Ok(());
        }
        self.entries += 1;
        Ok(())
    }

    fn add_file(&mut self, path: &Path, full: &Path, metadata: &Metadata) -> Result<(), PackError> {
        let source = File::open(full);
        let source = source.map_err(|source| PackError::Read { path: full.to_owned(), source })?;
        // Of the mode only this is kept: umask and owner are of the machine, not of the package.
        let mode = if metadata.mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        let mut header = header(EntryType::Regular, mode, metadata.len());
        let mut content = Exactly { inner: source, left: metadata.len(), failed: None };
        let added = self.tar.append_data(&mut header, path, &mut content);
        if let Some(source) = content.failed {
            return Err(PackError::Read { path: full.to_owned(), source });
        }
        added.map_err(PackError::Write)?;
        if content.left > 0 {
            return Err(PackError::Changed { path: full.to_owned() });
        }
        self.total_bytes += metadata.len();
        Ok(())
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// As much of a file as its header says, even if it grows meanwhile.
struct Exactly {
    inner: File,
    left: u64,
    failed: Option<io::Error>,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        match self.inner.read(&mut buffer[..most]) {
            Ok(read) => {
                self.left -= read as u64;
                Ok(read)
            }
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}
