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

    use super::*;

    #[test]
    fn no_kept_input_breaks_a_claim() {
        hatchway_proto::corpus::replay("package_tar", unpacked_tar);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_bytes_break_a_claim(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            unpacked_tar(&bytes);
        }
    }
}
