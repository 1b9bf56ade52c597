//! Where the programs are that the tests run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Every program that some other one may start.
const ALL: [&str; 6] = [
    "hatchway",
    "hatchway-gateway",
    "hatchway-node",
    "hatchway-spawner",
    "hatchway-sandbox-init",
    "hatchway-bench-function",
];

/// The path of a program: in the folder that `HATCHWAY_BIN` names, beside the running test otherwise, built once where
/// it is missing.
///
/// # Panics
/// When it is not there and cannot be built.
pub fn path(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| match std::env::var_os("HATCHWAY_BIN") {
        Some(folder) => std::path::absolute(folder).expect("HATCHWAY_BIN is a path"),
        None => beside_the_test(),
    });
    let path = folder.join(name);
    if path.exists() {
        return path;
    }
    let beside = beside_the_test().join(name);
    assert!(beside.exists(), "there is no {}, and no {}", path.display(), beside.display());
    beside
}

/// A Python that has the packages which some clients are made of: `deploy/setup.sh test` keeps it beside the builds.
pub fn python_with_packages() -> Option<PathBuf> {
    let programs = path("hatchway");
    let mut folders = programs.ancestors().skip(1);
    folders.find_map(|folder| {
        let python = folder.join("clients/bin/python");
        python.exists().then_some(python)
    })
}

/// `target/debug`, for a test in `target/debug/deps`.
fn beside_the_test() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let test = std::env::current_exe().expect("a running program has a path");
        let deps = test.parent().expect("a program stands in a folder");
        let folder = deps.parent().expect("cargo puts tests into deps/").to_owned();
        if ALL.iter().any(|name| !folder.join(name).exists()) {
            build(&folder);
        }
        folder
    };
    FOLDER.get_or_init(find).clone()
}

fn build(folder: &Path) {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let status = Command::new(env!("CARGO"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["build", "--workspace", "--bins", "--profile", profile])
        .status()
        .expect("cargo runs, for it has built this test");
    assert!(status.success(), "the programs could not be built");
}
