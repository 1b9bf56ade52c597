//! What holds for any bytes that are unpacked, as a function that tests and a fuzz target share.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::digest::DigestWriter;
use crate::{Limits, Unpacked, unpack};

/// Small enough for a fuzz target to reach each of them.
const LIMITS: Limits = Limits {
    packed_bytes: 1 << 20,
    total_bytes: 64 << 10,
    file_bytes: 16 << 10,
    entries: 64,
    path_bytes: 256,
    depth: 8,
    ratio: 100,
};

/// Claims about any bytes taken for a tar: beside the folder nothing changes; in it are plain files, folders, and links that
/// lead to nowhere outside; nobody may write them and no mode has a special bit; and all limits are kept.
///
/// # Panics
/// When one of them does not hold.
pub fn unpacked_tar(tar: &[u8]) {
    claims(tar);
    claims(&mended(tar));
}

/// With the checksum that each header should have: by chance, hardly any would.
fn mended(tar: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 512;
    let mut tar = tar.to_vec();
    let mut at = 0_usize;
    while let Some(block) = tar.get_mut(at..at.saturating_add(BLOCK)) {
        // The end.
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let size = header.entry_size().ok().and_then(|size| usize::try_from(size).ok());
        let content = size.unwrap_or(0).checked_next_multiple_of(BLOCK).unwrap_or(usize::MAX);
        at = at.saturating_add(BLOCK).saturating_add(content);
    }
    tar
}

fn claims(tar: &[u8]) {
    let packed = zstd::encode_all(tar, 1).expect("memory does not fail");
    let digest = {
        let mut writer = DigestWriter::new(std::io::sink());
        std::io::Write::write_all(&mut writer, &packed).expect("a sink does not fail");
        writer.finish().0
    };
    let outer = tempfile::tempdir().expect("a folder can be made");
    let folder = outer.path().join("folder");
    fs::create_dir(&folder).expect("own folder");
    fs::write(outer.path().join("beside"), "as it was").expect("own folder");

    let outcome = unpack(&packed[..], &digest, &folder, &LIMITS);

    let beside = fs::read(outer.path().join("beside")).expect("it is still there");
    assert_eq!(beside, b"as it was");
    assert_eq!(fs::read_dir(outer.path()).expect("own folder").count(), 2, "nothing came beside");
    let mut found = Unpacked::default();
    look(outer.path(), &folder, &mut found);
    assert!(found.total_bytes <= LIMITS.total_bytes && found.entries <= LIMITS.entries * 8);
    if let Ok(told) = outcome {
        assert_eq!(found.total_bytes, told.total_bytes, "what was told is what is there");
    }
    let altered = [&packed[..], b"x"].concat();
    let again = outer.path().join("again");
    fs::create_dir(&again).expect("own folder");
    assert!(unpack(&altered[..], &digest, &again, &LIMITS).is_err(), "a byte more is damage");
}

fn look(outer: &Path, folder: &Path, found: &mut Unpacked) {
    for entry in fs::read_dir(folder).expect("folders can be read") {
        let path = entry.expect("folders can be read").path();
        let metadata = fs::symlink_metadata(&path).expect("it was listed just now");
        found.entries += 1;
        if metadata.is_symlink() {
            // A link to what is not there is allowed, and leads nowhere.
            if let Ok(real) = path.canonicalize() {
                assert!(
                    real.starts_with(outer.join("folder").canonicalize().expect("own folder")),
                    "{real:?}"
                );
            }
            continue;
        }
        let kind = metadata.file_type();
        assert!(
            !kind.is_fifo()
                && !kind.is_socket()
                && !kind.is_block_device()
                && !kind.is_char_device()
        );
        assert!([0o644, 0o755].contains(&(metadata.mode() & 0o7777)), "{:o}", metadata.mode());
        if metadata.is_dir() {
            look(outer, &path, found);
        } else {
            assert!(metadata.len() <= LIMITS.file_bytes && metadata.nlink() == 1);
            found.total_bytes += metadata.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tar::{EntryType, Header};

    use super::*;

    #[test]
    fn no_kept_input_breaks_a_claim() {
        hatchway_proto::corpus::replay("package_tar", unpacked_tar);
    }

    /// A path of a few parts, most of which mean something.
    fn path() -> impl Strategy<Value = String> {
        let part =
            prop::sample::select(vec!["a", "b", "c", "..", ".", "", "a\0", "nnnnnnnnnnnnnnnn"]);
        prop::collection::vec(part, 1..6).prop_map(|parts| parts.join("/"))
    }

    fn member() -> impl Strategy<Value = Vec<u8>> {
        let kinds = b"0025511LKxgSM\0".to_vec();
        (path(), path(), prop::sample::select(kinds), 0_u64..700, any::<u16>()).prop_map(
            |(path, link, kind, size, mode)| {
                let mut header = Header::new_gnu();
                let fields = header.as_gnu_mut().expect("it was made so");
                fields.name[..path.len()].copy_from_slice(path.as_bytes());
                fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
                header.set_entry_type(EntryType::new(kind));
                header.set_mode(mode.into());
                // Who has a long name says it in its content.
                let content = link.into_bytes();
                let is_named = matches!(kind, b'L' | b'K');
                header.set_size(if is_named { content.len() as u64 } else { size });
                let mut bytes = header.as_bytes().to_vec();
                bytes.extend(content.iter().cycle().take(if is_named {
                    content.len()
                } else {
                    512
                }));
                bytes.resize(bytes.len().next_multiple_of(512), 0);
                bytes
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn no_members_break_a_claim(members in prop::collection::vec(member(), 0..8)) {
            unpacked_tar(&members.concat());
        }

        #[test]
        fn no_bytes_break_a_claim(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
            unpacked_tar(&bytes);
        }
    }
}
