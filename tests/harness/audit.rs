//! What a daemon could leave behind, and how each kind would be found. Nothing here is by global counts: other tests,
//! and other daemons of this machine, come and go meanwhile.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::Project;
use crate::proc::{self, Process};

/// Everything by which the traces of one daemon are known.
#[derive(Clone, Debug)]
pub struct Traces {
    root: PathBuf,
    state: PathBuf,
    temporary: PathBuf,
    /// The name of its control groups.
    pub group: String,
    ports: Vec<u16>,
    seen: HashSet<Process>,
}

impl Traces {
    /// Of whatever daemon works for `project`.
    ///
    /// # Panics
    /// When the project's folders are gone.
    pub fn of(project: &Project) -> Self {
        let state = project.state().canonicalize().expect("the project made it");
        Self {
            root: project.root().to_owned(),
            group: group_name(&state),
            temporary: project.temporary(),
            state,
            ports: Vec::new(),
            seen: HashSet::new(),
        }
    }

    /// A port that it listens on.
    pub fn listens_on(&mut self, port: u16) {
        self.ports.push(port);
    }

    /// Remembers the daemon and all that it has started by now.
    pub fn look(&mut self, daemon: u32) {
        self.seen.extend(Process::with_id(daemon));
        self.seen.extend(proc::descendants(daemon));
    }

    /// Everything of it that is there now, each in words.
    pub fn found(&self) -> Vec<String> {
        let mut found = self.processes();
        found.extend(self.groups().into_iter().map(|path| format!("group {}", path.display())));
        found.extend(self.mounts());
        found.extend(self.sockets());
        found.extend(self.files());
        found.extend(self.own_descriptors());
        found
    }

    /// # Panics
    /// When anything of it is there.
    #[track_caller]
    pub fn assert_none(&self, when: &str) {
        let found = self.found();
        assert!(found.is_empty(), "{when}, there is still:\n  {}", found.join("\n  "));
    }

    /// By what was seen, by control group and by command line: what hides from one is found by another.
    fn processes(&self) -> Vec<String> {
        let named = |pid: &u32| {
            let read = |name| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let state = self.state.as_os_str().as_encoded_bytes();
            String::from_utf8_lossy(&read("cgroup")).contains(&self.group)
                || read("cmdline").split(|byte| *byte == 0).any(|word| word == state)
        };
        let alive = proc::all().into_iter().filter(named).filter_map(Process::with_id);
        let alive: HashSet<Process> = alive.chain(self.seen.iter().copied()).collect();
        alive.iter().filter(|process| process.is_alive()).map(Process::describe).collect()
    }

    /// Its control groups, in whatever tree.
    pub fn groups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                if entry.file_name().to_string_lossy().starts_with(&self.group) {
                    found.push(entry.path());
                } else {
                    folders.push(entry.path());
                }
            }
        }
        found
    }

    fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
        let root = self.root.to_string_lossy();
        table.lines().filter(|line| line.contains(&*root)).map(|l| format!("mount {l}")).collect()
    }

    /// Unix sockets below its folders, and its ports while somebody listens there: in the network of whoever looks.
    fn sockets(&self) -> Vec<String> {
        let root = self.root.to_string_lossy();
        let table = fs::read_to_string("/proc/thread-self/net/unix").expect("proc is mounted");
        let unix = table.lines().filter(|line| line.contains(&*root));
        let mut found: Vec<_> = unix.map(|line| format!("socket {line}")).collect();
        let table = fs::read_to_string("/proc/thread-self/net/tcp").expect("proc is mounted");
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            let port = fields[1].rsplit(':').next().and_then(|p| u16::from_str_radix(p, 16).ok());
            // 0A is LISTEN (include/net/tcp_states.h).
            if fields[3] == "0A" && port.is_some_and(|port| self.ports.contains(&port)) {
                found.push(format!("listener {line}"));
            }
        }
        found
    }

    /// Temporary files, what its runs make in the state folder, and sockets wherever. The lock and what is kept for the
    /// next start stay.
    fn files(&self) -> Vec<String> {
        use std::os::unix::fs::FileTypeExt;
        let mut found = Vec::new();
        for folder in [self.state.join("run"), self.temporary.clone()] {
            found.extend(below(&folder));
        }
        let is_socket = |path: &PathBuf| {
            fs::symlink_metadata(path)
                .is_ok_and(|data| data.file_type().is_socket() || data.file_type().is_fifo())
        };
        found.extend(below(&self.root).into_iter().filter(is_socket));
        found.into_iter().map(|path| format!("file {}", path.display())).collect()
    }

    /// Descriptors of this test that lead into the project: what the daemon was lent came back.
    fn own_descriptors(&self) -> Vec<String> {
        let open = proc::descriptors(std::process::id());
        let inside = open.into_iter().filter(|path| path.starts_with(&self.root));
        inside.map(|path| format!("descriptor of this test to {}", path.display())).collect()
    }
}

/// As the node names its groups; a test holds the two together.
fn group_name(state: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    format!("hatchway-{:012x}", hasher.finish() >> 16)
}

/// Everything below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}
