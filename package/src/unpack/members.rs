//! From the headers of a tar to its members: long names put together, everything else than files, folders and links
//! refused.
//!
//! The tar crate would read long names by itself, and into memory whatever they claim to be; so it is asked for raw
//! headers, and what describes the next member (GNU `L` and `K`, POSIX `x`) is read here, up to a limit.

use std::io::Read;
use std::path::PathBuf;

use tar::{Entry, EntryType};

use super::{UnpackError, names};
use crate::limits::Limits;

/// Headers that describe other headers: a path, a link and a few attributes.
const EXTENSION_BYTES: u64 = 64 << 10;

/// What a member is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File { size: u64, is_executable: bool },
    Link { target: PathBuf },
}

/// What headers have said of the member that is to come.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

impl Ahead {
    /// True when nothing was said of a member that has not come.
    pub(super) fn is_empty(&self) -> bool {
        self.path.is_none() && self.target.is_none()
    }

    /// A member with its path, or none where the entry only describes the next one.
    pub(super) fn member(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        limits: &Limits,
    ) -> Result<Option<(PathBuf, Kind)>, UnpackError> {
        match entry.header().entry_type() {
            EntryType::GNULongName => self.path = Some(without_nul(extension(entry)?)),
            EntryType::GNULongLink => self.target = Some(without_nul(extension(entry)?)),
            EntryType::XHeader => self.extend(entry)?,
            // Comments about the whole archive.
            EntryType::XGlobalHeader => drop(extension(entry)?),
            kind => return self.finish(kind, entry, limits).map(Some),
        }
        Ok(None)
    }

    fn finish(
        &mut self,
        kind: EntryType,
        entry: &Entry<'_, impl Read>,
        limits: &Limits,
    ) -> Result<(PathBuf, Kind), UnpackError> {
        let Self { path, target } = std::mem::take(self);
        let header = entry.header();
        let named = path.unwrap_or_else(|| header.path_bytes().into_owned());
        let shown =
            || PathBuf::from(String::from_utf8_lossy(&named).chars().take(200).collect::<String>());
        let refused = |why| UnpackError::Refused { path: shown(), why };
        let path = names::path(&named, limits).map_err(refused)?;
        let kind = match kind {
            EntryType::Directory => Kind::Folder,
            EntryType::Regular | EntryType::Continuous => {
                // Long ago a name that ends in a slash made a folder of a file.
                if named.ends_with(b"/") {
                    return Err(refused("is a file with the name of a folder"));
                }
                let is_executable = header.mode().map_err(malformed)? & 0o111 != 0;
                Kind::File { size: entry.size(), is_executable }
            }
            EntryType::Symlink => {
                let given = header.link_name_bytes().map(std::borrow::Cow::into_owned);
                let bytes = target.or(given).unwrap_or_default();
                Kind::Link { target: names::target(&path, &bytes, limits).map_err(refused)? }
            }
            EntryType::Link => return Err(refused("is a hard link")),
            EntryType::Char | EntryType::Block => return Err(refused("is a device")),
            EntryType::Fifo => return Err(refused("is a named pipe")),
            EntryType::GNUSparse => return Err(refused("is a sparse file")),
            _ => return Err(refused("is of a kind that packages do not have")),
        };
        if path.as_os_str().is_empty() && kind != Kind::Folder {
            return Err(refused("has no name"));
        }
        Ok((path, kind))
    }

    /// Lines of `LENGTH KEY=VALUE` (pax(1), "pax Extended Header").
    fn extend(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), UnpackError> {
        let bytes = extension(entry)?;
        for pair in tar::PaxExtensions::new(&bytes) {
            let pair = pair.map_err(malformed)?;
            match pair.key_bytes() {
                b"path" => self.path = Some(pair.value_bytes().to_vec()),
                b"linkpath" => self.target = Some(pair.value_bytes().to_vec()),
                // It would contradict the header, by which the next member is found.
                b"size" => {
                    let what = "a size outside of its header".to_owned();
                    return Err(UnpackError::Malformed { what });
                }
                key if key.starts_with(b"GNU.sparse") => {
                    return Err(UnpackError::Malformed { what: "a sparse file".to_owned() });
                }
                // Times, owners, attributes.
                _ => {}
            }
        }
        Ok(())
    }
}

fn extension(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, UnpackError> {
    let size = entry.size();
    if size > EXTENSION_BYTES {
        let what = format!("a header of {size} bytes");
        return Err(UnpackError::Malformed { what });
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(malformed)?;
    if bytes.len() as u64 != size {
        return Err(UnpackError::Malformed { what: "it ends within a header".to_owned() });
    }
    Ok(bytes)
}

fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

pub(super) fn malformed(error: std::io::Error) -> UnpackError {
    UnpackError::Malformed { what: error.to_string() }
}
