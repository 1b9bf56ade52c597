//! How much a package may ask of who unpacks it.

/// What is refused beyond. All of it is checked before anything is written for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the packed object.
    pub packed_bytes: u64,
    /// Bytes of all files together.
    pub total_bytes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Files, folders and links, and the headers that describe their long names.
    pub entries: u64,
    /// Bytes of a path in the package.
    pub path_bytes: usize,
    /// Folders above a file.
    pub depth: usize,
    /// Unpacked bytes per packed one, beyond the first [`RATIO_FREE_BYTES`].
    pub ratio: u64,
}

/// So much may come of next to nothing: a small package of a few large and empty files is no attack.
pub(crate) const RATIO_FREE_BYTES: u64 = 64 << 20;

impl Default for Limits {
    /// Several times what applications with all their dependencies need: the largest `node_modules` have a hundred thousand files
    /// in a gibibyte, of which zstd makes a fifth.
    fn default() -> Self {
        Self {
            packed_bytes: 2 << 30,
            total_bytes: 6 << 30,
            file_bytes: 2 << 30,
            entries: 500_000,
            path_bytes: 2048,
            depth: 64,
            ratio: 100,
        }
    }
}
