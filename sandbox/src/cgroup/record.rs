//! Where an earlier run had its groups.
//!
//! Groups lie under the group that the spawner was started in, and the next start may come from
//! another: another login, another unit. So each run writes down where its trees are.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::clear;

const FILE: &str = "groups";

/// Writes the trees of this run down in `run_dir`.
pub(crate) fn write(run_dir: &Path, trees: &[&Path]) -> io::Result<()> {
    let lines: Vec<String> = trees.iter().map(|tree| tree.display().to_string()).collect();
    fs::write(run_dir.join(FILE), lines.join("\n"))
}

/// Ends and removes the trees that an earlier run has written down.
///
/// The node can write to that folder, and we are privileged: only a tree that bears the name of
/// ours, in a place where control groups are mounted, is believed.
pub(crate) fn clear(run_dir: &Path, name: &str, mounts: &[PathBuf]) -> io::Result<()> {
    let text = match fs::read_to_string(run_dir.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => text?,
    };
    let trees = text.lines().map(Path::new);
    for tree in trees.filter(|tree| is_ours(tree, name, mounts)) {
        clear::clear(tree)?;
    }
    remove(run_dir)
}

/// Removes the record; one that is gone is as good.
pub(crate) fn remove(run_dir: &Path) -> io::Result<()> {
    match fs::remove_file(run_dir.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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
