//! Version 2: one folder per sandbox, everything in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{create_dir, read, value_of, write, write_if_offered};
use super::find::Unified;
use super::{CPU_PERIOD_US, Doors, GroupPaths, Groups, Limits, clear, cpu_quota_us, file};
use crate::grants::Backend;

const WANTED: [&str; 3] = ["cpu", "memory", "pids"];
/// Where the processes of our own group step aside to: a group with members cannot hand
/// controllers down (cgroups(7), "no internal processes").
const ASIDE: &str = "hatchway-host";

/// Our tree: one folder, controllers handed down to its children.
#[derive(Debug)]
pub(crate) struct V2 {
    tree: PathBuf,
}

impl V2 {
    /// Makes the folder `name` where controllers can be handed down: under our own group when
    /// it is delegated to us, else at the top of the mount.
    ///
    /// # Errors
    /// The reason of the last place tried.
    pub(crate) fn open(unified: &Unified, name: &str) -> io::Result<Self> {
        // An earlier start may have moved us aside already.
        let own = match unified.own.file_name() {
            Some(last) if last == ASIDE => unified.own.parent().unwrap_or(&unified.own),
            _ => &unified.own,
        };
        let mut last = io::Error::from_raw_os_error(libc::ENOENT);
        for place in [own, &unified.mount] {
            // Our own group at the top of the mount: a container's, and all in it is ours.
            let is_all_ours = own == unified.mount;
            match Self::open_below(place, name, is_all_ours) {
                Ok(groups) => return Ok(groups),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn open_below(place: &Path, name: &str, is_all_ours: bool) -> io::Result<Self> {
        let offered = read(place, "cgroup.controllers")?;
        if !WANTED.iter().all(|wanted| has_word(&offered, wanted)) {
            let why = format!("{} does not offer {}", place.display(), WANTED.join(", "));
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let tree = place.join(name);
        clear::clear(&tree)?;
        hand_down(place, is_all_ours)?;
        create_dir(&tree)?;
        let groups = Self { tree };
        if let Err(error) = hand_down(&groups.tree, false) {
            groups.remove_all()?;
            return Err(error);
        }
        Ok(groups)
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.split_whitespace().any(|name| name == word)
}

/// Lets the children of `dir` have the controllers.
fn hand_down(dir: &Path, is_all_ours: bool) -> io::Result<()> {
    let given = read(dir, "cgroup.subtree_control")?;
    if WANTED.iter().all(|wanted| has_word(&given, wanted)) {
        return Ok(());
    }
    let ask = WANTED.map(|wanted| format!("+{wanted}")).join(" ");
    match write(dir, "cgroup.subtree_control", &ask) {
        Err(error) if file::errno(&error) == libc::EBUSY => {
            step_aside(dir, is_all_ours)?;
            write(dir, "cgroup.subtree_control", &ask)
        }
        done => done,
    }
}

/// Moves the processes of a group into a child of it, if they are of our own family: the
/// spawner and the node that started it. Somebody else's are left alone.
fn step_aside(dir: &Path, is_all_ours: bool) -> io::Result<()> {
    let ours = [std::process::id(), std::os::unix::process::parent_id()];
    let members = clear::members(dir)?;
    if !is_all_ours && members.iter().any(|pid| !ours.contains(&pid.unsigned_abs())) {
        let why = format!("{} has processes that are not ours", dir.display());
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, why));
    }
    let aside = dir.join(ASIDE);
    match create_dir(&aside) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for pid in members {
        match write(&aside, "cgroup.procs", &pid.to_string()) {
            // It has ended meanwhile, or is a thread of the kernel.
            Err(error) if [libc::ESRCH, libc::EINVAL].contains(&file::errno(&error)) => {}
            moved => moved?,
        }
    }
    Ok(())
}

/// The weight among neighbours, 100 for one core (the kernel's range is 1 to 10,000).
fn weight(cpu_millis: u32) -> u32 {
    (cpu_millis / 10).clamp(1, 10_000)
}

impl Groups for V2 {
    fn backend(&self) -> Backend {
        Backend::V2
    }

    fn lacks(&self) -> Option<String> {
        None
    }

    fn counts_processes(&self) -> bool {
        true
    }

    fn create(&self, name: &str) -> io::Result<GroupPaths> {
        let dir = self.tree.join(name);
        create_dir(&dir)?;
        Ok(GroupPaths::V2 { dir })
    }

    fn limit(&self, group: &GroupPaths, limits: &Limits) -> io::Result<()> {
        let GroupPaths::V2 { dir } = group else {
            return Ok(());
        };
        write(dir, "memory.max", &limits.memory_bytes.to_string())?;
        write_if_offered(dir, "memory.swap.max", "0")?;
        write_if_offered(dir, "memory.oom.group", if limits.is_whole { "1" } else { "0" })?;
        write(dir, "pids.max", &limits.pids.to_string())?;
        write(dir, "cpu.weight", &weight(limits.weight_millis).to_string())?;
        self.limit_cpu(group, limits.cpu_millis)
    }

    fn limit_cpu(&self, group: &GroupPaths, cpu_millis: u32) -> io::Result<()> {
        let GroupPaths::V2 { dir } = group else {
            return Ok(());
        };
        let quota = cpu_quota_us(cpu_millis);
        let limit = format!("{quota} {CPU_PERIOD_US}");
        // A quota may not be less than the burst that is set. A new group has none.
        if let Err(error) = write(dir, "cpu.max", &limit) {
            write(dir, "cpu.max.burst", "0").map_err(|_| error)?;
            write(dir, "cpu.max", &limit)?;
        }
        // What an idle function did not use it may use at once: one period's worth.
        write_if_offered(dir, "cpu.max.burst", &quota.to_string())
    }

    fn doors(&self, group: &GroupPaths) -> io::Result<Doors> {
        let GroupPaths::V2 { dir } = group else {
            return Ok(Doors::Join(Vec::new()));
        };
        Ok(Doors::Born(fs::File::open(dir)?.into()))
    }

    fn oom_kills(&self, group: &GroupPaths) -> io::Result<u64> {
        let GroupPaths::V2 { dir } = group else {
            return Ok(0);
        };
        Ok(value_of(&read(dir, "memory.events")?, "oom_kill"))
    }

    fn trees(&self) -> GroupPaths {
        GroupPaths::V2 { dir: self.tree.clone() }
    }

    fn remove_all(&self) -> io::Result<()> {
        file::remove_dir(&self.tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree_offering(controllers: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("temporary folder");
        for (name, text) in [
            ("cgroup.controllers", controllers),
            ("cgroup.subtree_control", controllers),
            ("cgroup.procs", ""),
        ] {
            fs::write(root.path().join(name), text).expect("file");
        }
        root
    }

    #[test]
    fn a_tree_without_our_controllers_is_not_used() {
        let root = tree_offering("hugetlb");
        let unified = Unified { mount: root.path().into(), own: root.path().into() };
        let error = V2::open(&unified, "ours").expect_err("nothing offered");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(!root.path().join("ours").exists());
    }

    #[test]
    fn limits_are_written_by_their_names() {
        let root = tree_offering("cpu memory pids");
        let dir = root.path().to_owned();
        for name in ["memory.max", "memory.oom.group", "cpu.max", "cpu.weight", "pids.max"] {
            fs::write(dir.join(name), "").expect("file");
        }
        let groups = V2 { tree: dir.clone() };
        let limits = Limits {
            memory_bytes: 1 << 26,
            cpu_millis: 1500,
            weight_millis: 1500,
            pids: 12,
            is_whole: true,
        };
        groups.limit(&GroupPaths::V2 { dir: dir.clone() }, &limits).expect("limits");
        let text = |name: &str| fs::read_to_string(dir.join(name)).expect("file");
        assert_eq!(text("memory.max"), "67108864");
        assert_eq!(text("memory.oom.group"), "1");
        assert_eq!(text("cpu.max"), "150000 100000");
        assert_eq!(text("cpu.weight"), "150");
        assert_eq!(text("pids.max"), "12");
    }

    #[test]
    fn the_weight_stays_in_the_kernels_range() {
        assert_eq!(weight(10), 1);
        assert_eq!(weight(1000), 100);
        assert_eq!(weight(1_000_000), 10_000);
    }

    #[test]
    fn the_counter_of_killed_processes_is_read() {
        let root = tree_offering("cpu memory pids");
        fs::write(root.path().join("memory.events"), "low 0\noom 2\noom_kill 1\n").expect("file");
        let groups = V2 { tree: root.path().into() };
        let group = GroupPaths::V2 { dir: root.path().into() };
        assert_eq!(groups.oom_kills(&group).expect("read"), 1);
    }
}
