//! How operators change rules: the same commands on a file and in etcd, and nothing is overwritten that nobody has seen.

use std::process::{Command, Output};

use hatchway_tests::{Etcd, Project, program_path};
use serde_json::Value;

const MANIFEST: &str = "[function.hello]\nruntime = \"node\"\nhandler = \"hello.mjs#hello\"\n\
                        http = { path = \"/hello\" }\n";

/// A project whose function says which build it is.
fn build(name: &str) -> Project {
    let code = format!("export const hello = () => ({{ build: '{name}' }});\n");
    Project::new(MANIFEST).file("hello.mjs", code)
}

/// Where rules are kept.
struct Place {
    words: [String; 2],
    _etcd: Option<Etcd>,
    _project: Option<Project>,
}

impl Place {
    fn file() -> Self {
        let project = build("unused");
        let words = ["--catalog".to_owned(), project.catalog().display().to_string()];
        Self { words, _etcd: None, _project: Some(project) }
    }

    fn etcd() -> Self {
        let etcd = Etcd::start();
        let words = ["--etcd".to_owned(), etcd.url()];
        Self { words, _etcd: Some(etcd), _project: None }
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(program_path("hatchway"));
        command.args(words).args(&self.words).env("USER", "ann").env_remove("SUDO_USER");
        command.output().expect("the program starts")
    }

    /// What it prints.
    #[track_caller]
    fn says(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.says(&[words, &["--json"]].concat())).expect("JSON")
    }

    /// Why not.
    #[track_caller]
    fn refuses(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    #[track_caller]
    fn apply(&self, project: &Project, more: &[&str]) -> Value {
        let folder = project.folder().display().to_string();
        self.json(&[&["apply", &folder], more].concat())
    }
}

fn a_canary_is_pushed_and_apply_does_not_end_it_by_the_way(rules: &Place) {
    let (stable, canary, third) = (build("stable"), build("canary"), build("third"));
    rules.apply(&stable, &[]);
    let folder = canary.folder().display().to_string();
    let added = ["release", "hello", "--add", &folder, "--share", "new=5%"];
    let told = rules.json(&[&added[..], &["--sticky", "cookie:session"]].concat());
    let id = told["release"]["shares"][0]["version"].as_str().expect("a version").to_owned();
    assert_eq!(rules.json(&["release", "hello"]), told, "it is written, and can be read");

    // The manifest states the stable version that is there: the canary goes on.
    let told = rules.apply(&stable, &[]);
    assert_eq!((&told["written"], &told["kept"][0]), (&0.into(), &"local/hello".into()));
    let folder = third.folder().display().to_string();
    let why = rules.refuses(&["apply", &folder]);
    assert!(why.contains("a release of local/hello is under way"), "{why}");
    assert!(why.contains("--keep-releases") && why.contains("--end-releases"), "{why}");
    let told = rules.apply(&third, &["--keep-releases"]);
    assert_eq!(told["written"], 1, "the version alone: {told}");
    let release = rules.json(&["release", "hello"])["release"].take();
    assert_eq!(release["shares"][0]["version"], id.as_str());
    rules.apply(&third, &["--end-releases"]);
    let release = rules.json(&["release", "hello"])["release"].take();
    assert_eq!(release.get("shares"), None, "{release}");
}

macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod file {
            $(#[test] fn $name() { super::$name(&super::Place::file()); })+
        }
        mod etcd {
            $(#[test] fn $name() { super::$name(&super::Place::etcd()); })+
        }
    };
}

on_both! {
    a_canary_is_pushed_and_apply_does_not_end_it_by_the_way,
}
