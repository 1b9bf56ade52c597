//! An etcd, a store, and projects that are deployed into them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hatchway_tests::{Etcd, GatewayProgram, NodeProgram, Project, eventually, program_path};
use serde_json::Value;
use tempfile::TempDir;

/// Rules in etcd, packages in a folder.
pub(crate) struct Site {
    pub(crate) etcd: Etcd,
    store: TempDir,
    /// For every program.
    environment: Vec<(String, String)>,
}

const WORD: &str = "[function.word]\nruntime = \"node\"\nhandler = \"word.mjs#word\"\n\
                    http = { path = \"/word\" }\n";

/// A function that says a word.
pub(crate) fn plain(word: &str) -> Project {
    let project = Project::new(WORD);
    write(&project, word);
    project
}

/// A function that says a word, and has a public file that says it too, which needs no sandbox.
pub(crate) fn project(word: &str) -> Project {
    let project = Project::new(&format!("{WORD}assets = \"public\"\n"));
    write(&project, word);
    project
}

/// Makes another version of it.
pub(crate) fn write(project: &Project, word: &str) {
    project.write("word.mjs", format!("export const word = () => '{word}';\n"));
    project.write("public/word.txt", word);
}

/// What no compressor makes smaller, the same for the same seed.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A machine: a state folder, and nothing of any project.
pub(crate) fn machine() -> Project {
    Project::over(Path::new("/nowhere"))
}

impl Site {
    pub(crate) fn start() -> Self {
        let store = tempfile::Builder::new().prefix("hw-store").tempdir().expect("a folder");
        // Nodes that root starts read it as somebody else.
        fs::set_permissions(store.path(), fs::Permissions::from_mode(0o755)).expect("own folder");
        Self { etcd: Etcd::start(), store, environment: Vec::new() }
    }

    /// With more in the environment of every program.
    pub(crate) fn with(mut self, environment: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.environment.extend(environment.iter().map(owned));
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.store.path().display())
    }

    /// The words for its rules.
    pub(crate) fn rules(&self) -> [String; 2] {
        ["--etcd".to_owned(), self.etcd.url()]
    }

    pub(crate) fn run_deploy(&self, project: &Project, words: &[&str]) -> Output {
        let mut command = Command::new(program_path("hatchway"));
        command.arg("deploy").arg(project.folder()).args(self.rules());
        if !words.contains(&"--store") {
            command.args(["--store", &self.url()]);
        }
        command
            .envs(self.environment.iter().cloned())
            .args(words)
            .output()
            .expect("the program starts")
    }

    /// What comes of it, as JSON.
    #[track_caller]
    pub(crate) fn deploy(&self, project: &Project, words: &[&str]) -> Value {
        let output = self.run_deploy(project, &[words, &["--json"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// A node over this store, or another one, which `words` name.
    #[track_caller]
    pub(crate) fn node(&self, machine: &Project, words: &[&str]) -> NodeProgram {
        assert_eq!(shelf(machine).iter().filter(|path| is_draft(path)).count(), 0, "a new start");
        self.node_again(machine, words)
    }

    /// One over what a killed one has left.
    #[track_caller]
    pub(crate) fn node_again(&self, machine: &Project, words: &[&str]) -> NodeProgram {
        let mut more = self.rules().to_vec();
        if !words.contains(&"--store") {
            more.extend(["--store".to_owned(), self.url()]);
        }
        more.extend(words.iter().map(|&word| word.to_owned()));
        NodeProgram::start_in(machine, &more, &self.environment)
    }

    #[track_caller]
    pub(crate) fn gateway(&self, machine: &Project, nodes: &[&NodeProgram]) -> GatewayProgram {
        let (first, others) = nodes.split_first().expect("there is a node");
        let others = others.iter().flat_map(|node| ["--node".to_owned(), node.address.clone()]);
        let words: Vec<String> = self.rules().into_iter().chain(others).collect();
        GatewayProgram::start_to(machine, &first.address, &words)
    }

    /// The same, once it knows the rules that are there.
    #[track_caller]
    pub(crate) fn serving(&self, machine: &Project, nodes: &[&NodeProgram]) -> GatewayProgram {
        let gateway = self.gateway(machine, nodes);
        eventually("the gateway is ready", || {
            (gateway.admin.get("/readyz").status == 200).then_some(())
        });
        gateway
    }

    /// The one package in the store.
    #[track_caller]
    pub(crate) fn package(&self) -> PathBuf {
        let packages: Vec<_> = files_of(&self.store.path().join("packages"));
        let [one] = &packages[..] else { panic!("there is not one package: {packages:?}") };
        one.clone()
    }
}

/// What a folder holds; nothing where it is not there.
pub(crate) fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("it can be read").path()).collect()
}

/// The unpacked and half unpacked packages of a machine.
pub(crate) fn shelf(machine: &Project) -> Vec<PathBuf> {
    files_of(&machine.state().join("packages"))
}

/// Half unpacked.
pub(crate) fn is_draft(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".new-"))
}

/// What a node says of its packages.
#[track_caller]
pub(crate) fn packages(node: &NodeProgram) -> Vec<Value> {
    node.admin.get("/v1/packages").json()
}

/// Waits until so many packages of a node are in a state.
#[track_caller]
pub(crate) fn wait_for(node: &NodeProgram, state: &str, count: usize) {
    eventually(&format!("{count} packages are {state}"), || {
        let found = packages(node).iter().filter(|package| package["state"] == state).count();
        (found == count).then_some(())
    });
}
