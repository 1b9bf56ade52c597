//! Version 1: a folder per controller, and limits by the names of 2008.
//!
//! Where the machine also has a version 2 tree without controllers, each sandbox gets a leaf
//! in it as well: only version 2 kills a whole group atomically.

use std::io;
use std::path::{Path, PathBuf};

use super::file::{create_dir, open_for_writing, read, value_of, write, write_if_offered};
use super::find::Layout;
use super::{CPU_PERIOD_US, Doors, GroupPaths, Groups, Limits, clear, cpu_quota_us, file};
use crate::grants::Backend;

/// Our tree: a folder of the same name under our own group of each controller.
#[derive(Debug)]
pub(crate) struct V1 {
    memory: Option<PathBuf>,
    cpu: Option<PathBuf>,
    cpuacct: Option<PathBuf>,
    pids: Option<PathBuf>,
    leaf: Option<PathBuf>,
}

impl V1 {
    /// Makes the folder `name` under our group of every controller there is, after removing
    /// what an earlier run has left in it.
    ///
    /// # Errors
    /// When not even one controller can be used: the reason of the last.
    pub(crate) fn open(layout: &Layout, name: &str) -> io::Result<Self> {
        let mut last = io::Error::from_raw_os_error(libc::ENOENT);
        let mut claim = |dir: Option<&Path>| {
            let tree = dir?.join(name);
            match clear::clear(&tree).and_then(|()| create_dir(&tree)) {
                Ok(()) => Some(tree),
                // Two controllers in one folder: the second finds it made by the first.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Some(tree),
                Err(error) => {
                    last = error;
                    None
                }
            }
        };
        let cpu = claim(layout.v1_dir("cpu"));
        let groups = Self {
            memory: claim(layout.v1_dir("memory")),
            cpuacct: claim(layout.v1_dir("cpuacct")),
            pids: claim(layout.v1_dir("pids")),
            leaf: claim(layout.v2.as_ref().map(|tree| tree.own.as_path())),
            cpu,
        };
        if groups.memory.is_none() && groups.cpu.is_none() && groups.pids.is_none() {
            groups.remove_all()?;
            return Err(last);
        }
        Ok(groups)
    }
}

/// The weight among neighbours, 1024 for one core; the kernel's least is 2.
fn shares(cpu_millis: u32) -> u64 {
    (u64::from(cpu_millis) * 1024 / 1000).max(2)
}

impl Groups for V1 {
    fn backend(&self) -> Backend {
        match self.leaf {
            Some(_) => Backend::Hybrid,
            None => Backend::V1,
        }
    }

    fn lacks(&self) -> Option<String> {
        let wanted = [
            ("memory", &self.memory),
            ("cpu", &self.cpu),
            ("cpuacct", &self.cpuacct),
            ("pids", &self.pids),
        ];
        let lacking: Vec<_> = wanted.iter().filter(|(_, dir)| dir.is_none()).collect();
        let names: Vec<_> = lacking.iter().map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| format!("no usable controller for {}", names.join(", ")))
    }

    fn counts_processes(&self) -> bool {
        self.pids.is_some()
    }

    fn create(&self, name: &str) -> io::Result<GroupPaths> {
        let below = |tree: &Option<PathBuf>| tree.as_ref().map(|tree| tree.join(name));
        let group = GroupPaths::V1 {
            memory: below(&self.memory),
            cpu: below(&self.cpu),
            cpuacct: below(&self.cpuacct),
            pids: below(&self.pids),
            leaf: below(&self.leaf),
        };
        let dirs = group.dirs();
        for (index, dir) in dirs.iter().enumerate() {
            if let Err(error) = create_dir(dir) {
                // Nothing runs in the others yet, so nothing can hold them.
                dirs[..index].iter().try_for_each(|made| file::remove_dir(made))?;
                return Err(error);
            }
        }
        let GroupPaths::V1 { cpu: Some(dir), .. } = &group else {
            return Ok(group);
        };
        if let Err(error) = write(dir, "cpu.cfs_period_us", &CPU_PERIOD_US.to_string()) {
            super::remove(&group)?;
            return Err(error);
        }
        Ok(group)
    }

    fn limit(&self, group: &GroupPaths, limits: &Limits) -> io::Result<()> {
        let GroupPaths::V1 { memory, pids, .. } = group else {
            return Ok(());
        };
        if let Some(dir) = memory {
            let bytes = limits.memory_bytes.to_string();
            let (memory_file, both_file) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
            // Memory alone may not be over memory and swap together, which a group with limits has to be given first.
            if let Err(error) = write(dir, memory_file, &bytes) {
                write_if_offered(dir, both_file, &bytes).map_err(|_| error)?;
                write(dir, memory_file, &bytes)?;
            }
            // The same number means no swap.
            write_if_offered(dir, both_file, &bytes)?;
        }
        if let Some(dir) = pids {
            write(dir, "pids.max", &limits.pids.to_string())?;
        }
        if let GroupPaths::V1 { cpu: Some(dir), .. } = group {
            write(dir, "cpu.shares", &shares(limits.weight_millis).to_string())?;
        }
        self.limit_cpu(group, limits.cpu_millis)
    }

    fn limit_cpu(&self, group: &GroupPaths, cpu_millis: u32) -> io::Result<()> {
        let GroupPaths::V1 { cpu: Some(dir), .. } = group else {
            return Ok(());
        };
        let quota = cpu_quota_us(cpu_millis).to_string();
        let (quota_file, burst_file) = ("cpu.cfs_quota_us", "cpu.cfs_burst_us");
        // A quota may not be less than the burst that is set. A new group has none.
        if let Err(error) = write(dir, quota_file, &quota) {
            write(dir, burst_file, "0").map_err(|_| error)?;
            write(dir, quota_file, &quota)?;
        }
        // What an idle function did not use it may use at once: one period's worth.
        write_if_offered(dir, burst_file, &quota)
    }

    fn doors(&self, group: &GroupPaths) -> io::Result<Doors> {
        let dirs = group.dirs().into_iter();
        let files: io::Result<_> = dirs.map(|dir| open_for_writing(dir, "cgroup.procs")).collect();
        Ok(Doors::Join(files?))
    }

    fn oom_kills(&self, group: &GroupPaths) -> io::Result<u64> {
        let GroupPaths::V1 { memory: Some(dir), .. } = group else {
            return Ok(0);
        };
        Ok(value_of(&read(dir, "memory.oom_control")?, "oom_kill"))
    }

    fn trees(&self) -> GroupPaths {
        GroupPaths::V1 {
            memory: self.memory.clone(),
            cpu: self.cpu.clone(),
            cpuacct: self.cpuacct.clone(),
            pids: self.pids.clone(),
            leaf: self.leaf.clone(),
        }
    }

    fn remove_all(&self) -> io::Result<()> {
        let trees = self.trees();
        trees.dirs().into_iter().try_for_each(file::remove_dir)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A temporary folder in which every new group has the files that the kernel would make.
    struct Fake {
        root: tempfile::TempDir,
        groups: V1,
    }

    fn fake() -> Fake {
        let root = tempfile::tempdir().expect("temporary folder");
        let mut layout = Layout::default();
        for controller in ["memory", "cpu", "cpuacct", "pids"] {
            let dir = root.path().join(controller);
            fs::create_dir(&dir).expect("controller folder");
            layout.v1.push((controller.to_owned(), dir));
        }
        let groups = V1::open(&layout, "ours").expect("open");
        Fake { root, groups }
    }

    #[test]
    fn a_group_that_cannot_be_made_whole_leaves_no_folder_behind() {
        let fake = fake();
        // The last of the controllers already has one of that name, with something in it.
        let taken = fake.root.path().join("pids/ours/7");
        fs::create_dir(&taken).expect("folder");
        let error = fake.groups.create("7").expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        for controller in ["memory", "cpu", "cpuacct"] {
            assert!(!fake.root.path().join(controller).join("ours/7").exists());
        }
        assert!(taken.exists(), "somebody else's");
    }

    #[test]
    fn limits_are_written_by_their_names() {
        let fake = fake();
        let dir = |controller: &str| {
            let dir = fake.root.path().join(controller).join("ours/7");
            fs::create_dir(&dir).expect("group folder");
            dir
        };
        let (memory, cpu, pids) = (dir("memory"), dir("cpu"), dir("pids"));
        for name in ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"] {
            fs::write(memory.join(name), "").expect("file");
        }
        for name in ["cpu.cfs_quota_us", "cpu.shares"] {
            fs::write(cpu.join(name), "").expect("file");
        }
        fs::write(pids.join("pids.max"), "").expect("file");
        let group = GroupPaths::V1 {
            memory: Some(memory.clone()),
            cpu: Some(cpu.clone()),
            cpuacct: None,
            pids: Some(pids.clone()),
            leaf: None,
        };
        let limits = Limits {
            memory_bytes: 64 << 20,
            cpu_millis: 250,
            weight_millis: 250,
            pids: 9,
            is_whole: true,
        };
        fake.groups.limit(&group, &limits).expect("limits");
        let text = |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).expect("file");
        assert_eq!(text(&memory, "memory.limit_in_bytes"), "67108864");
        assert_eq!(text(&memory, "memory.memsw.limit_in_bytes"), "67108864");
        assert_eq!(text(&cpu, "cpu.cfs_quota_us"), "25000");
        assert_eq!(text(&cpu, "cpu.shares"), "256");
        assert_eq!(text(&pids, "pids.max"), "9");
        assert!(!cpu.join("cpu.cfs_burst_us").exists(), "not offered, not made");
    }

    #[test]
    fn a_missing_controller_is_named() {
        let root = tempfile::tempdir().expect("temporary folder");
        let layout =
            Layout { v1: vec![("memory".into(), root.path().into())], ..Layout::default() };
        let groups = V1::open(&layout, "ours").expect("open");
        let lacks = groups.lacks().expect("something lacks");
        assert_eq!(lacks, "no usable controller for cpu, cpuacct, pids");
        groups.remove_all().expect("remove");
        assert!(!root.path().join("ours").exists());
    }

    #[test]
    fn without_any_controller_there_is_no_backend() {
        let error = V1::open(&Layout::default(), "ours").expect_err("no controller");
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }
}
