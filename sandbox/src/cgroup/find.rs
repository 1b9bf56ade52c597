//! Where this machine has its control groups, and where in them we are.
//!
//! Read from `/proc/self/mountinfo` and `/proc/self/cgroup` (proc(5), cgroups(7)).

use std::path::{Path, PathBuf};

/// The controllers that we use; a version 1 machine may mount each by itself.
pub(crate) const CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];

/// Our own place in every hierarchy that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Where a version 1 controller is mounted, joined with our own group there.
    pub(crate) v1: Vec<(String, PathBuf)>,
    pub(crate) v2: Option<Unified>,
    /// Every place where control groups of any kind are mounted.
    pub(crate) mounts: Vec<PathBuf>,
}

/// The version 2 tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unified {
    pub(crate) mount: PathBuf,
    pub(crate) own: PathBuf,
}

impl Layout {
    pub(crate) fn v1_dir(&self, controller: &str) -> Option<&Path> {
        let found = self.v1.iter().find(|(name, _)| name == controller);
        found.map(|(_, dir)| dir.as_path())
    }
}

/// Puts the two files together.
pub(crate) fn parse(mountinfo: &str, cgroup: &str) -> Layout {
    let mut layout = Layout::default();
    for mount in mountinfo.lines().filter_map(Mount::parse) {
        if mount.kind.starts_with("cgroup") {
            layout.mounts.push(mount.point.clone());
        }
        match mount.kind {
            "cgroup2" => {
                let Some(path) = own_path(cgroup, "") else {
                    continue;
                };
                layout.v2.get_or_insert_with(|| Unified {
                    mount: mount.point.clone(),
                    own: mount.locate(path),
                });
            }
            "cgroup" => {
                for controller in CONTROLLERS {
                    if !mount.options.split(',').any(|option| option == controller)
                        || layout.v1_dir(controller).is_some()
                    {
                        continue;
                    }
                    if let Some(path) = own_path(cgroup, controller) {
                        layout.v1.push((controller.to_owned(), mount.locate(path)));
                    }
                }
            }
            _ => {}
        }
    }
    layout
}

/// Our group in the hierarchy of `controller`; the empty name is the version 2 tree.
fn own_path<'a>(cgroup: &'a str, controller: &str) -> Option<&'a str> {
    cgroup.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let mut names = names.split(',');
        names.any(|name| name == controller).then_some(path)
    })
}

/// The fields of a mountinfo line that matter here.
struct Mount<'a> {
    /// The folder of the hierarchy that is mounted, `/` unless a container shows a part.
    root: &'a str,
    point: PathBuf,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (kind, _, options) = (after.next()?, after.next()?, after.next()?);
        Some(Self { root, point: PathBuf::from(unescape(point)), kind, options })
    }

    /// The folder of the group `path` below this mount.
    fn locate(&self, path: &str) -> PathBuf {
        let below = match path.strip_prefix(self.root) {
            Some(below) if self.root != "/" => below,
            _ => path,
        };
        self.point.join(below.trim_start_matches('/'))
    }
}

/// mountinfo writes blanks and backslashes as three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPLIT: &str = "\
25 20 0:22 / /sys/fs/cgroup rw shared:5 - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
27 25 0:24 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct
28 25 0:25 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
29 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn controllers_mounted_one_by_one_are_found_with_our_group_in_each() {
        let cgroup = "4:memory:/service/a\n2:cpuacct:/\n1:cpu:/\n0::/\n";
        let layout = parse(SPLIT, cgroup);
        let memory = Path::new("/sys/fs/cgroup/memory/service/a");
        assert_eq!(layout.v1_dir("memory"), Some(memory));
        assert_eq!(layout.v1_dir("cpu"), Some(Path::new("/sys/fs/cgroup/cpu/")));
        assert_eq!(layout.v1_dir("pids"), None);
        let unified = layout.v2.expect("a version 2 tree");
        assert_eq!(unified.own, Path::new("/sys/fs/cgroup/unified/"));
    }

    #[test]
    fn controllers_mounted_together_share_a_folder() {
        let mounts = "30 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        let layout = parse(mounts, "3:cpu,cpuacct:/a\n");
        assert_eq!(layout.v1_dir("cpu"), layout.v1_dir("cpuacct"));
        assert_eq!(layout.v2, None);
    }

    #[test]
    fn a_container_that_sees_a_part_of_the_tree_is_found_in_that_part() {
        let mounts = "31 25 0:28 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw,nsdelegate\n";
        let layout = parse(mounts, "0::/docker/abc/inner\n");
        let own = layout.v2.expect("a version 2 tree").own;
        assert_eq!(own, Path::new("/sys/fs/cgroup/inner"));
    }

    #[test]
    fn a_blank_in_a_mount_point_is_read_back() {
        assert_eq!(unescape(r"/mnt/a\040b"), "/mnt/a b");
        assert_eq!(unescape(r"/mnt/a\9"), r"/mnt/a\9");
    }
}
