//! Where rules are kept, and the commands on them.

use std::process::{Command, Output};

use hatchway_tests::{Etcd, GatewayProgram, Project, program_path};
use serde_json::Value;

const MANIFEST: &str = "[function.hello]\nruntime = \"node\"\nhandler = \"hello.mjs#hello\"\n\
                        http = { path = \"/hello\" }\n";

/// A project whose function says which build it is.
pub(crate) fn build(name: &str) -> Project {
    let code = format!("export const hello = () => ({{ build: '{name}' }});\n");
    Project::new(MANIFEST).file("hello.mjs", code)
}

/// Where rules are kept.
pub(crate) struct Place {
    pub(crate) words: [String; 2],
    /// Before etcd, so that it ends before.
    _gateway: Option<GatewayProgram>,
    etcd: Option<Etcd>,
    _project: Option<Project>,
}

impl Place {
    pub(crate) fn file() -> Self {
        let project = build("unused");
        let words = ["--catalog".to_owned(), project.catalog().display().to_string()];
        Self { words, _gateway: None, etcd: None, _project: Some(project) }
    }

    pub(crate) fn etcd() -> Self {
        let etcd = Etcd::start();
        let words = ["--etcd".to_owned(), etcd.url()];
        Self { words, _gateway: None, etcd: Some(etcd), _project: None }
    }

    /// In etcd, which a gateway reads and writes for us.
    pub(crate) fn gateway() -> Self {
        let (etcd, project) = (Etcd::start(), build("unused"));
        let gateway = GatewayProgram::start_with(&project, &["--etcd".to_owned(), etcd.url()]);
        let words = ["--gateway".to_owned(), format!("http://{}", gateway.admin.address)];
        Self { words, _gateway: Some(gateway), etcd: Some(etcd), _project: Some(project) }
    }

    /// The one that keeps the rules.
    pub(crate) fn in_etcd(&self) -> &Etcd {
        self.etcd.as_ref().expect("the rules are in etcd")
    }

    pub(crate) fn in_etcd_mut(&mut self) -> &mut Etcd {
        self.etcd.as_mut().expect("the rules are in etcd")
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(program_path("hatchway"));
        command.args(words).args(&self.words).env("USER", "ann").env_remove("SUDO_USER");
        command.output().expect("the program starts")
    }

    /// What it prints.
    #[track_caller]
    pub(crate) fn says(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.says(&[words, &["--json"]].concat())).expect("JSON")
    }

    /// Why not.
    #[track_caller]
    pub(crate) fn refuses(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    #[track_caller]
    pub(crate) fn apply(&self, project: &Project, more: &[&str]) -> Value {
        let folder = project.folder().display().to_string();
        self.json(&[&["apply", &folder], more].concat())
    }
}

/// Each of these claims, on a file, in etcd, and through a gateway.
macro_rules! everywhere {
    ($($name:ident),+ $(,)?) => {
        mod file {
            $(#[test] fn $name() { super::$name(&crate::place::Place::file()); })+
        }
        mod etcd {
            $(#[test] fn $name() { super::$name(&crate::place::Place::etcd()); })+
        }
        mod gateway {
            $(#[test] fn $name() { super::$name(&crate::place::Place::gateway()); })+
        }
    };
}

pub(crate) use everywhere;
