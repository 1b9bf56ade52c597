//! A node that has dropped its privileges: the spawner still does for it what it no longer can,
//! and nothing more. A program of its own, since ids are dropped before the first thread.

mod common;

use hatchway_sandbox::{Entry, ExitKind, Identity, SandboxSpec, Spawner, drop_privileges};
use tokio::io::AsyncReadExt;

const NOBODY: Identity = Identity { uid: 65_534, gid: 65_534 };

/// Set for the node itself; without it this is the root that makes and removes its folder.
const DIR: &str = "HATCHWAY_TEST_DROPPED_DIR";

fn main() {
    if let Ok(dir) = std::env::var(DIR) {
        be_a_node(std::path::Path::new(&dir));
        return;
    }
    if !rustix::process::geteuid().is_root() {
        common::say("a_node_without_privileges: needs root, to have some to drop");
        return;
    }
    let dir = tempfile::Builder::new().prefix("hw").tempdir().expect("temporary folder");
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), all).expect("mode");
    let this = std::env::current_exe().expect("this test");
    let node = std::process::Command::new(this).env(DIR, dir.path()).status().expect("start");
    assert!(node.success(), "{node}");
    println!("a node without privileges ... ok");
}

fn be_a_node(dir: &std::path::Path) {
    let mut config = common::config(dir, "dropped");
    config.owner = Some(NOBODY);
    let (spawner, _) = Spawner::launch(config).expect("launch");
    drop_privileges(&NOBODY).expect("drop");
    nothing_is_left_of_root();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("runtime").block_on(async {
        by_an_inherited_listener(&spawner, dir).await;
        by_a_socket_of_its_own(&spawner, dir).await;
        spawner.stop().await.expect("stop");
    });
    let run_dir = std::fs::read_dir(dir.join("run")).expect("folder");
    assert_eq!(run_dir.count(), 0, "nothing is left");
}

fn nothing_is_left_of_root() {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    for line in ["Uid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"]
    {
        assert!(status.contains(line), "{line} in {status}");
    }
    let error = std::fs::read_to_string("/etc/shadow").expect_err("root's");
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
}

fn perl(id: u64, dir: &std::path::Path, script: &str, entry: Entry) -> SandboxSpec {
    SandboxSpec {
        id,
        name: "test/dropped@1".into(),
        argv: ["/usr/bin/perl", "-MSocket", "-e", script].map(str::to_owned).into(),
        env: Vec::new(),
        package: dir.join("run/etc"),
        read_only: Vec::new(),
        memory_bytes: 64 << 20,
        cpu_millis: 1000,
        pids: 8,
        files: 64,
        tmp_bytes: 1 << 20,
        network: hatchway_sandbox::Network::None,
        entry,
    }
}

async fn by_an_inherited_listener(spawner: &Spawner, dir: &std::path::Path) {
    let script = "open(my $s, '+<&=3'); accept(my $c, $s); syswrite($c, 'inherited'); exit 3;";
    let sandbox = spawner.hatch(perl(1, dir, script, Entry::Inherited)).await.expect("hatch");
    if let Ok(usage) = sandbox.usage() {
        assert!(usage.memory_bytes > 0, "figures need no privilege");
    }
    let mut answer = String::new();
    let mut connection = sandbox.connect().await.expect("connect");
    connection.read_to_string(&mut answer).await.expect("answer");
    assert_eq!(answer, "inherited");
    assert_eq!(sandbox.exited().await.kind, ExitKind::Code(3));
}

/// The socket belongs to the function's user and is closed to others: the spawner connects.
async fn by_a_socket_of_its_own(spawner: &Spawner, dir: &std::path::Path) {
    let script = "socket(my $s, PF_UNIX, SOCK_STREAM, 0); \
                  bind($s, pack_sockaddr_un('/run/hatchway/http.sock')) or die $!; listen($s, 8); \
                  accept(my $probe, $s); accept(my $c, $s); syswrite($c, 'its own'); close $c; sleep 600;";
    let entry = Entry::Probed { port: 8080 };
    let sandbox = spawner.hatch(perl(2, dir, script, entry)).await.expect("hatch");
    sandbox.ready().await.expect("ready");
    let mut answer = String::new();
    let mut connection = sandbox.connect().await.expect("connect");
    let read = connection.read_to_string(&mut answer);
    tokio::select! {
        read = read => { read.expect("answer"); }
        exit = sandbox.exited() => panic!("{exit}"),
    }
    assert_eq!(answer, "its own");
    sandbox.kill();
    assert_eq!(sandbox.exited().await.kind, ExitKind::Signal(9));
}
