//! Tars written by hand, and folders to unpack them into.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use hatchway_package::{Digest, Limits, Packed, UnpackError, Unpacked, pack, unpack};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// The members of a tar, in order; nothing about them is checked.
#[derive(Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn member(
        mut self,
        kind: EntryType,
        path: &[u8],
        link: &[u8],
        content: &[u8],
    ) -> Self {
        self.header(kind, path, link, content.len() as u64, 0o644);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        self.member(EntryType::Regular, path.as_bytes(), b"", content.as_bytes())
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        self.member(EntryType::Symlink, path.as_bytes(), target.as_bytes(), b"")
    }

    /// A header alone, whatever size it claims.
    pub(crate) fn claim(mut self, kind: EntryType, path: &[u8], size: u64, mode: u32) -> Self {
        self.header(kind, path, b"", size, mode);
        self
    }

    fn header(&mut self, kind: EntryType, path: &[u8], link: &[u8], size: u64, mode: u32) {
        let mut header = Header::new_gnu();
        let fields = header.as_gnu_mut().expect("it was made so");
        fields.name[..path.len()].copy_from_slice(path);
        fields.linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// A package, and its digest.
pub(crate) fn packed(tar: &[u8]) -> (Vec<u8>, Digest) {
    let bytes = zstd::encode_all(tar, 3).expect("memory does not fail");
    let digest = sha256(&bytes);
    (bytes, digest)
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    let digest: String =
        sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    digest.parse().expect("it is one")
}

/// A folder, and one in it to unpack into, so that what comes beside is seen.
pub(crate) struct World {
    pub(crate) outer: TempDir,
    pub(crate) folder: PathBuf,
}

impl World {
    pub(crate) fn new() -> Self {
        let outer = tempfile::tempdir().expect("a folder can be made");
        let folder = outer.path().join("folder");
        fs::create_dir(&folder).expect("own folder");
        fs::write(outer.path().join("secret"), "secret").expect("own folder");
        Self { outer, folder }
    }

    pub(crate) fn unpack(&self, tar: &[u8]) -> Result<Unpacked, UnpackError> {
        self.unpack_within(tar, &Limits::default())
    }

    pub(crate) fn unpack_within(
        &self,
        tar: &[u8],
        limits: &Limits,
    ) -> Result<Unpacked, UnpackError> {
        let (bytes, digest) = packed(tar);
        unpack(&bytes[..], &digest, &self.folder, limits)
    }

    pub(crate) fn assert_nothing_beside(&self) {
        let names: Vec<_> = fs::read_dir(self.outer.path())
            .expect("own folder")
            .map(|entry| entry.expect("own folder").file_name())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(fs::read(self.outer.path().join("secret")).expect("own file"), b"secret");
    }
}

/// A folder as a project might be, packed.
pub(crate) fn project(root: &Path) -> (Vec<u8>, Packed) {
    let long = format!("{}/{}", "long".repeat(20), "name".repeat(20));
    let files = [("server.js", "serve()"), ("lib/deep/a.js", "1"), ("empty", ""), (&long, "long")];
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("own folder");
        fs::write(path, content).expect("own folder");
    }
    let mut large = fs::File::create(root.join("large.bin")).expect("own folder");
    let noise: Vec<u8> =
        (0..300_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    large.write_all(&noise).expect("own folder");
    fs::create_dir_all(root.join("node_modules/.bin")).expect("own folder");
    std::os::unix::fs::symlink("../../server.js", root.join("node_modules/.bin/serve"))
        .expect("own folder");
    let mut paths: Vec<PathBuf> = files.iter().map(|(path, _)| path.into()).collect();
    paths.extend(["large.bin".into(), "node_modules/.bin/serve".into(), "lib".into()]);
    let mut bytes = Vec::new();
    let packed = pack(root, paths, &mut bytes).expect("it can be packed");
    (bytes, packed)
}

/// The same as another program might write it.
pub(crate) fn by_tar_crate(root: &Path) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    builder.follow_symlinks(false);
    builder.append_dir_all("./", root).expect("it can be read");
    builder.into_inner().expect("memory does not fail")
}
