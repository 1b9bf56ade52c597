//! The inputs that fuzzing has found worth keeping (`proto/fuzz/corpus`), for tests that run them through the same
//! claims on every change.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The folders of all targets.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// Runs every kept input of `target` through `check`, in the order of their names.
///
/// # Panics
/// When there is none, or when one breaks a claim, with the name of its file.
pub fn replay(target: &str, check: impl Fn(&[u8])) {
    let inputs = names(&folder().join(target));
    assert!(!inputs.is_empty(), "no input is kept for {target}");
    for input in inputs {
        let file = folder().join(target).join(input);
        let bytes = fs::read(&file).expect("a kept input can be read");
        let kept = catch_unwind(AssertUnwindSafe(|| check(&bytes)));
        assert!(kept.is_ok(), "{} breaks a claim", file.display());
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a target has a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("a folder can be read").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http1, link};

    /// What a target checks.
    type Check = fn(&[u8]);

    const TARGETS: &[(&str, Check)] = &[
        ("http1_chunks", http1::check::chunked_body),
        ("http1_request", http1::check::request_head),
        ("http1_response", http1::check::response_head),
        ("link_frames", link::check::link_frames),
    ];

    /// Replayed in the crates that have what they check.
    const ELSEWHERE: &[&str] = &["http2_heads", "package_tar", "spawner_packets"];

    #[test]
    fn no_kept_input_breaks_a_claim() {
        for (target, check) in TARGETS {
            replay(target, check);
        }
    }

    #[test]
    fn every_target_has_a_corpus_that_is_replayed() {
        let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
        let mut replayed: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        replayed.extend(ELSEWHERE);
        replayed.sort_unstable();
        let sources: Vec<String> =
            names(&targets).iter().map(|name| name.trim_end_matches(".rs").to_owned()).collect();
        assert_eq!(sources, replayed);
        assert_eq!(names(&folder()), replayed);
    }
}
