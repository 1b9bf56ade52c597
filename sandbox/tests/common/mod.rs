//! What the tests share: a spawner of its own for each, and shell scripts as functions.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use hatchway_sandbox::{
    Backend, Entry, Exit, Grants, Isolation, Network, Sandbox, SandboxSpec, Spawner, SpawnerConfig,
    Step,
};
use tempfile::TempDir;

static COUNT: AtomicU64 = AtomicU64::new(1);

/// A number that no other test of this run has.
pub fn unique() -> u64 {
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// Says why something was not tested, past the capture of test output, so that a skipped test
/// is never mistaken for a passed one.
pub fn say(why: &str) {
    if !why.is_empty() {
        writeln!(std::io::stderr(), "SKIPPED {why}").expect("standard error");
    }
}

/// A spawner with folders of its own, and a package with one file.
pub struct House {
    pub spawner: Spawner,
    pub grants: Grants,
    pub dir: TempDir,
    pub cgroup_name: String,
}

/// What every test starts from; `name` goes into the name of the control group.
pub fn config(dir: &Path, name: &str) -> SpawnerConfig {
    SpawnerConfig {
        program: env!("CARGO_BIN_EXE_hatchway-spawner").into(),
        init: env!("CARGO_BIN_EXE_hatchway-sandbox-init").into(),
        run_dir: dir.join("run"),
        cgroup_name: format!("hatchway-test-{name}-{}", std::process::id()),
        isolation: Isolation::BestEffort,
        uid_base: 1_000_000,
        mounts: mounts(dir),
        adopt: std::time::Duration::ZERO,
        owner: None,
    }
}

/// What tests mount: their own folders, the examples, and the runtimes of this machine.
fn mounts(dir: &Path) -> Vec<PathBuf> {
    use hatchway_sandbox::runtime::{InterpreterSettings, Interpreters};
    static RUNTIMES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let runtimes = RUNTIMES.get_or_init(|| {
        let found = Interpreters::discover(&InterpreterSettings::default());
        let found = [found.node, found.python].into_iter().flatten();
        found.flat_map(|one| one.mounts.into_iter().map(|(host, _)| host)).collect()
    });
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let own = [
        dir.to_owned(),
        std::env::temp_dir(),
        examples.canonicalize().expect("they are beside it"),
    ];
    own.into_iter().chain(runtimes.iter().cloned()).collect()
}

impl House {
    pub fn open() -> Self {
        let dir = tempfile::Builder::new().prefix("hw").tempdir().expect("temporary folder");
        let config = config(dir.path(), &unique().to_string());
        let cgroup_name = config.cgroup_name.clone();
        let package = dir.path().join("package");
        std::fs::create_dir(&package).expect("package");
        std::fs::write(package.join("hello.txt"), "hello\n").expect("file");
        // The folder of a test is closed to others by default; a package is not.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&package, all).expect("mode");
        let (spawner, grants) = Spawner::launch(config).expect("launch");
        Self { spawner, grants, dir, cgroup_name }
    }

    /// True when this machine gives all of `steps`; says aloud when it does not.
    pub fn gives(&self, steps: &[Step]) -> bool {
        let lacking: Vec<_> = steps.iter().filter(|step| !self.grants.has(**step)).collect();
        if lacking.is_empty() {
            return true;
        }
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        say(&format!("{test}: this machine does not give {lacking:?}"));
        false
    }

    /// As [`House::gives`], for the controllers of a control group.
    pub fn limits(&self) -> bool {
        self.grants.backend != Backend::None && self.gives(&[Step::Group])
    }

    /// A function that runs a shell script.
    pub fn script(&self, script: &str) -> SandboxSpec {
        SandboxSpec {
            id: unique(),
            name: "test/script@1".into(),
            argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            package: self.dir.path().join("package"),
            read_only: Vec::new(),
            memory_bytes: 64 << 20,
            cpu_millis: 1000,
            pids: 32,
            files: 128,
            tmp_bytes: 1 << 20,
            network: Network::None,
            entry: Entry::Inherited,
        }
    }

    pub async fn hatch(&self, script: &str) -> Sandbox {
        self.hatch_spec(self.script(script)).await
    }

    pub async fn hatch_spec(&self, spec: SandboxSpec) -> Sandbox {
        self.spawner.hatch(spec).await.expect("hatch")
    }

    /// Runs a script to its end; gives how it ended and what it wrote to standard output.
    pub async fn run(&self, script: &str) -> (Exit, String) {
        self.run_spec(self.script(script)).await
    }

    pub async fn run_spec(&self, spec: SandboxSpec) -> (Exit, String) {
        let sandbox = self.hatch_spec(spec).await;
        let (stdout, stderr) = sandbox.take_output().expect("output");
        let reading = tokio::task::spawn_blocking(|| read_all(stdout));
        let errors = tokio::task::spawn_blocking(|| read_all(stderr));
        let exit = sandbox.exited().await;
        let errors = errors.await.expect("standard error");
        if !errors.is_empty() {
            eprintln!("{errors}");
        }
        (exit, reading.await.expect("standard output"))
    }
}

pub fn read_all(fd: OwnedFd) -> String {
    let mut text = String::new();
    std::fs::File::from(fd).read_to_string(&mut text).expect("read");
    text
}
