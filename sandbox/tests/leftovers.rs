//! Nothing is left: no process, no control group, no mount, no file, whoever dies and how.

mod common;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{House, config, unique};
use hatchway_sandbox::{Entry, Isolation, LaunchError, Network, SandboxSpec, Spawner, Step};

/// Set for the helper below: where to work, and the name of its group.
const OWNER_DIR: &str = "HATCHWAY_TEST_OWNER_DIR";
/// How long the kernel may take to end what has been killed. Not a measurement: a test that
/// waits this long has failed.
const LONG: Duration = Duration::from_secs(20);

fn spec(id: u64, package: &Path, script: &str) -> SandboxSpec {
    SandboxSpec {
        id,
        name: "test/owner@1".into(),
        argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: Vec::new(),
        package: package.into(),
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

/// A node that is about to be killed: started by the tests below with a folder to work in, and
/// doing nothing otherwise. When its functions run it writes its spawner's number, and waits.
#[tokio::test]
#[ignore = "a helper that the tests beside it start"]
async fn owner() {
    let Ok(dir) = std::env::var(OWNER_DIR) else {
        return;
    };
    let dir = PathBuf::from(dir);
    let (spawner, grants) = Spawner::launch(owner_config(&dir)).expect("launch");
    let mut held = Vec::new();
    for id in 1..=3 {
        let script = "(setsid sleep 600 &); trap '' TERM; echo '{\"ready\":{}}' >&4; sleep 600";
        let sandbox = spawner.hatch(spec(id, &dir, script)).await.expect("hatch");
        sandbox.ready().await.expect("ready");
        held.push(sandbox);
    }
    let number = format!("{} {}", spawner.pid(), grants.has(Step::Process));
    std::fs::write(dir.join("ready.tmp"), number).expect("write");
    std::fs::rename(dir.join("ready.tmp"), dir.join("ready")).expect("rename");
    std::future::pending().await
}

fn owner_config(dir: &Path) -> hatchway_sandbox::SpawnerConfig {
    let name = dir.file_name().and_then(|name| name.to_str()).expect("a name").to_lowercase();
    let mut config = config(dir, "owner");
    config.cgroup_name = format!("hatchway-test-{name}");
    config
}

/// Starts the helper above and waits until its functions run.
fn start_owner(dir: &Path) -> Child {
    let owner = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "owner", "--ignored"])
        .env(OWNER_DIR, dir)
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("start");
    wait_until("the owner is ready", || dir.join("ready").exists());
    owner
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}: not within {LONG:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes whose command line holds `word`, and every process below them.
fn processes(word: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let root = std::fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
        if String::from_utf8_lossy(&environ).contains(word) || root.contains(word) {
            found.push(pid);
        }
    }
    found
}

/// Control groups by the name of our tree, in every hierarchy.
fn groups(name: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, name: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name() == name {
                    found.push(entry.path());
                }
                walk(&entry.path(), name, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), name, &mut found);
    found
}

fn members(groups: &[PathBuf]) -> usize {
    let mut count = 0;
    for group in groups {
        for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
            let procs = std::fs::read_to_string(entry.path().join("cgroup.procs"));
            count += procs.unwrap_or_default().lines().count();
        }
    }
    count
}

fn mounts_of_ours() -> usize {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    mounts.lines().count()
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("hw").tempdir().expect("temporary folder")
}

#[test]
fn a_killed_owner_takes_everything_with_it() {
    let dir = folder();
    let mounts = mounts_of_ours();
    let mut owner = start_owner(dir.path());
    let name = owner_config(dir.path()).cgroup_name;
    let word = dir.path().to_str().expect("text").to_owned();
    let trees = groups(&name);
    let had_groups = !trees.is_empty();
    assert!(!had_groups || members(&trees) >= 3, "functions run in their groups");
    // SIGKILL: nothing of ours runs in it any more.
    owner.kill().expect("kill");
    owner.wait().expect("wait");
    wait_until("no process is left", || processes(&word).is_empty());
    wait_until("no group is left", || groups(&name).is_empty());
    assert_eq!(mounts_of_ours(), mounts);
    // Sockets are the owner's own; the next start removes them.
    wait_until("only sockets are left", || {
        let left = std::fs::read_dir(dir.path().join("run")).expect("folder");
        left.flatten().all(|entry| entry.path().extension().is_some_and(|e| e == "sock"))
    });
}

#[test]
fn a_killed_spawner_takes_its_sandboxes_with_it_and_the_next_start_cleans_up() {
    let dir = folder();
    let mut owner = start_owner(dir.path());
    let name = owner_config(dir.path()).cgroup_name;
    let word = dir.path().to_str().expect("text").to_owned();
    let ready = std::fs::read_to_string(dir.path().join("ready")).expect("its number");
    let (number, has_pids) = ready.split_once(' ').expect("two words");
    if has_pids != "true" {
        // Without a process-id namespace the kernel takes along only the function itself.
        common::say("a killed spawner: this machine does not give [Process]");
        owner.kill().expect("kill");
        owner.wait().expect("wait");
        return;
    }
    let spawner = rustix::process::Pid::from_raw(number.parse().expect("pid")).expect("pid");
    rustix::process::kill_process(spawner, rustix::process::Signal::KILL).expect("kill");
    let trees = groups(&name);
    wait_until("no function is left", || members(&trees) == 0);
    owner.kill().expect("kill");
    owner.wait().expect("wait");
    wait_until("no process is left", || processes(&word).is_empty());
    // Nobody was there to remove the groups. The same name again finds and removes them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("runtime").block_on(async {
        let (spawner, _) = Spawner::launch(owner_config(dir.path())).expect("launch");
        let sandbox = spawner.hatch(spec(1, dir.path(), "exit 0")).await.expect("same id again");
        sandbox.exited().await;
        drop(sandbox);
        spawner.stop().await.expect("stop");
    });
    assert_eq!(groups(&name), Vec::<PathBuf>::new());
    let left = std::fs::read_dir(dir.path().join("run")).expect("folder").count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_stopped_spawner_leaves_nothing_while_functions_still_run() {
    let house = House::open();
    let mounts = mounts_of_ours();
    let word = house.dir.path().to_str().expect("text").to_owned();
    let first = house.hatch("trap '' TERM; sleep 600").await;
    let second = house.hatch("(setsid sleep 600 &); sleep 600").await;
    house.spawner.stop().await.expect("stop");
    let detail = first.exited().await.to_string();
    assert!(detail.contains("told to end") || detail.contains("signal 9"), "{detail}");
    second.exited().await;
    drop((first, second));
    assert_eq!(groups(&house.cgroup_name), Vec::<PathBuf>::new());
    assert_eq!(mounts_of_ours(), mounts);
    assert_eq!(processes(&word), Vec::<i32>::new());
    assert_eq!(std::fs::read_dir(house.dir.path().join("run")).expect("folder").count(), 0);
}

#[tokio::test]
async fn many_starts_and_ends_leave_nothing_but_parked_nests() {
    /// Of a parked nest: a pidfd of each of its two processes, a socket to each.
    const DESCRIPTORS_OF_A_NEST: usize = 4;
    let house = House::open();
    if !house.limits() {
        return;
    }
    // What the spawner itself holds, and how many groups there are in the first hierarchy.
    let count = || {
        let trees = groups(&house.cgroup_name);
        let entries = std::fs::read_dir(&trees[0]).expect("groups").flatten();
        let nests = entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).count();
        let spawner = format!("/proc/{}/fd", house.spawner.pid());
        let descriptors = std::fs::read_dir(spawner).expect("descriptors").count();
        descriptors.checked_sub(nests * DESCRIPTORS_OF_A_NEST)
    };
    // Its own are fewer than twenty, among them the folders that it may mount; forty starts that each left one would be
    // more.
    let is_quiet = || count().is_some_and(|own| own < 20);
    wait_until("nests are parked", is_quiet);
    for _ in 0..40 {
        let (exit, _) = house.run("exit 0").await;
        assert_eq!(exit.kind, hatchway_sandbox::ExitKind::Code(0));
    }
    wait_until("only nests are left", is_quiet);
}

#[tokio::test]
async fn groups_that_an_earlier_run_had_elsewhere_are_found_by_its_record() {
    let house = House::open();
    if !house.limits() {
        return;
    }
    // Somebody else's place: the top of the hierarchy that the house itself has its tree in.
    let trees = groups(&house.cgroup_name);
    let hierarchy: PathBuf = trees[0].components().take(5).collect();
    let dir = folder();
    let config = owner_config(dir.path());
    let elsewhere = hierarchy.join(format!("elsewhere-{}", std::process::id()));
    let old = elsewhere.join(&config.cgroup_name);
    std::fs::create_dir_all(old.join("7")).expect("groups");
    let mut member = Command::new("sleep").arg("600").spawn().expect("a process");
    let number = member.id().to_string();
    std::fs::write(old.join("7/cgroup.procs"), number).expect("into the group");
    std::fs::create_dir(dir.path().join("run")).expect("folder");
    let record = old.display().to_string();
    std::fs::write(dir.path().join("run/groups"), record).expect("record");
    // The kernel keeps the group busy until the killed process is collected, by us.
    let collecting = std::thread::spawn(move || member.wait().expect("wait"));
    let launched = Spawner::launch(config);
    let status = collecting.join().expect("thread");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    let (spawner, _) = launched.expect("launch");
    assert!(!old.exists());
    std::fs::remove_dir(&elsewhere).expect("nothing in it");
    spawner.stop().await.expect("stop");
}

#[test]
fn a_refused_launch_leaves_nothing() {
    let dir = folder();
    let mut config = config(dir.path(), &unique().to_string());
    let name = config.cgroup_name.clone();
    config.isolation = Isolation::Strict;
    config.init = "/nonexistent/hatchway-sandbox-init".into();
    let error = Spawner::launch(config).expect_err("nothing to start");
    assert!(matches!(error, LaunchError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("No such file"), "{error}");
    assert_eq!(groups(&name), Vec::<PathBuf>::new());
    assert_eq!(std::fs::read_dir(dir.path().join("run")).expect("folder").count(), 0);
}

#[test]
fn names_and_folders_that_cannot_work_are_refused_before_anything_is_made() {
    let dir = folder();
    let mut wrong = config(dir.path(), "x");
    wrong.cgroup_name = "system.slice".into();
    assert!(matches!(Spawner::launch(wrong), Err(LaunchError::GroupName { .. })));
    let mut wrong = config(dir.path(), "x");
    wrong.run_dir = dir.path().join("r".repeat(100));
    assert!(matches!(Spawner::launch(wrong), Err(LaunchError::RunDirTooLong { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).expect("folder").count(), 0);
}
