//! Where an earlier run had its groups.
//!
//! Groups lie under the group that the spawner was started in, and the next start may come from
//! another: another login, another unit. So each run writes down where its trees are.

use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use super::clear;
use crate::folder::{self, careful};

/// Its name in the folder of a run.
pub(crate) const FILE: &str = "groups";
/// A path for each controller, and room to spare.
const MOST_BYTES: u64 = 64 << 10;

/// Writes the trees of this run down in `run_dir`, where no record is left.
pub(crate) fn write(run_dir: &Path, trees: &[&Path]) -> io::Result<()> {
    let lines: Vec<String> = trees.iter().map(|tree| tree.display().to_string()).collect();
    let mut file = careful().write(true).create_new(true).open(run_dir.join(FILE))?;
    file.write_all(lines.join("\n").as_bytes())
}

/// Ends and removes the trees that an earlier run has written down.
///
/// The node can write to that folder, and we are privileged: only a tree that bears the name of
/// ours, in a place where control groups are mounted, is believed.
pub(crate) fn clear(run_dir: &Path, name: &str, mounts: &[PathBuf]) -> io::Result<()> {
    let path = run_dir.join(FILE);
    let mut text = String::new();
    // What cannot be read is no record of ours.
    if let Ok(file) = careful().read(true).open(&path) {
        let _ = file.take(MOST_BYTES).read_to_string(&mut text);
    }
    let trees = text.lines().map(Path::new);
    for tree in trees.filter(|tree| is_ours(tree, name, mounts)) {
        clear::clear(tree)?;
    }
    folder::remove(&path)
}

fn is_ours(tree: &Path, name: &str, mounts: &[PathBuf]) -> bool {
    tree.file_name().is_some_and(|last| last == name)
        && tree.components().all(|part| !matches!(part, Component::ParentDir))
        && mounts.iter().any(|mount| tree.starts_with(mount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tree_of_our_name_where_groups_are_is_believed() {
        let mount = PathBuf::from("/sys/fs/cgroup/memory");
        let (ours, other) = (mount.join("login/hatchway-a"), mount.join("login/hatchway-b"));
        let outside = PathBuf::from("/home/elsewhere/hatchway-a");
        let sneaky = mount.join("../elsewhere/hatchway-a");
        assert!(is_ours(&ours, "hatchway-a", std::slice::from_ref(&mount)));
        for tree in [&other, &outside, &sneaky] {
            assert!(!is_ours(tree, "hatchway-a", std::slice::from_ref(&mount)), "{tree:?}");
        }
    }

    #[test]
    fn without_a_record_there_is_nothing_to_do() {
        let root = tempfile::tempdir().expect("temporary folder");
        clear(root.path(), "hatchway-a", &[]).expect("nothing");
        write(root.path(), &[]).expect("write");
        clear(root.path(), "hatchway-a", &[]).expect("an empty one");
        assert!(!root.path().join(FILE).exists());
    }
}
