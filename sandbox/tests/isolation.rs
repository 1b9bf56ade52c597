//! Isolation, tested from inside: a function that tries to leave, and is seen to fail.

mod common;

use std::collections::HashMap;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::House;
use hatchway_sandbox::{Isolation, Network, SandboxSpec, Spawner, Step};

const EVERYTHING: [Step; 13] = [
    Step::Process,
    Step::GroupNamespace,
    Step::MountNamespace,
    Step::IpcNamespace,
    Step::HostName,
    Step::NetworkNamespace,
    Step::Root,
    Step::Proc,
    Step::Capabilities,
    Step::Identity,
    Step::NoNewPrivileges,
    Step::Landlock,
    Step::Seccomp,
];

/// The numbers of this architecture, for a program that has none.
fn numbers() -> String {
    [
        ("mount", libc::SYS_mount),
        ("umount2", libc::SYS_umount2),
        ("unshare", libc::SYS_unshare),
        ("setns", libc::SYS_setns),
        ("clone", libc::SYS_clone),
        ("clone3", 435),
        ("ptrace", libc::SYS_ptrace),
        ("process_vm_readv", libc::SYS_process_vm_readv),
        ("bpf", libc::SYS_bpf),
        ("perf_event_open", libc::SYS_perf_event_open),
        ("keyctl", libc::SYS_keyctl),
        ("add_key", libc::SYS_add_key),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("userfaultfd", libc::SYS_userfaultfd),
        ("chroot", libc::SYS_chroot),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
        ("init_module", libc::SYS_init_module),
        ("mknodat", libc::SYS_mknodat),
        ("socket", libc::SYS_socket),
        ("setuid", libc::SYS_setuid),
        ("kill", libc::SYS_kill),
    ]
    .map(|(name, number)| format!("{name}={number}"))
    .join(",")
}

/// Listeners of the host that a function should not reach.
struct Bait {
    tcp: TcpListener,
    /// Held open; its name is what matters.
    _abstract: UnixListener,
    name: String,
}

impl Bait {
    fn lay() -> Self {
        let name = format!("hatchway-bait-{}-{}", std::process::id(), common::unique());
        let address = SocketAddr::from_abstract_name(&name).expect("abstract name");
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").expect("listener"),
            _abstract: UnixListener::bind_addr(&address).expect("abstract listener"),
            name,
        }
    }
}

async fn attempts(house: &House, bait: &Bait, network: Network) -> HashMap<String, String> {
    let script = include_str!("common/hostile.pl");
    std::fs::write(house.dir.path().join("package/hostile.pl"), script).expect("script");
    let port = bait.tcp.local_addr().expect("address").port().to_string();
    let files: u64 = 64;
    let argv = [
        "/usr/bin/perl",
        "/app/hostile.pl",
        &numbers(),
        &port,
        &bait.name,
        &std::process::id().to_string(),
        &files.to_string(),
    ];
    let spec =
        SandboxSpec { argv: argv.map(str::to_owned).into(), files, network, ..house.script("") };
    let (exit, output) = house.run_spec(spec).await;
    assert_eq!(exit.kind, hatchway_sandbox::ExitKind::Code(0), "{exit}\n{output}");
    let line = |line: &str| {
        let (what, result) = line.split_once(' ').expect("two words");
        (what.to_owned(), result.to_owned())
    };
    output.lines().map(line).collect()
}

/// Compares many at once, so that one run shows all that is wrong.
fn assert_all(found: &HashMap<String, String>, expected: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for (what, allowed) in expected {
        match found.get(*what) {
            Some(result) if allowed.contains(&result.as_str()) => {}
            result => wrong.push(format!("{what}: {result:?}, expected {allowed:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_hostile_function_gets_nowhere() {
    let house = House::open();
    if !house.gives(&EVERYTHING) {
        return;
    }
    let bait = Bait::lay();
    let found = attempts(&house, &bait, Network::None).await;
    let absent: &[&str] = &["ENOENT"];
    let refused: &[&str] = &["EPERM"];
    let read_only: &[&str] = &["EROFS", "EACCES"];
    assert_all(
        &found,
        &[
            ("list:/root", absent),
            ("list:/home", absent),
            ("list:/sys", absent),
            ("list:/var", absent),
            ("list:/boot", absent),
            ("list:/srv", absent),
            ("list:/opt", absent),
            ("list:/mnt", absent),
            ("read:/etc/shadow", absent),
            // The reaper's, hidden: it might as well not be there.
            ("read:/proc/1/environ", &["ENOENT", "EACCES"]),
            ("read:/proc/1/maps", &["ENOENT", "EACCES"]),
            ("read:/proc/kcore", &["EACCES", "ENOENT", "EPERM"]),
            ("read:/dev/mem", absent),
            ("read:/dev/kmsg", absent),
            ("write:/x", read_only),
            ("write:/app/x", read_only),
            ("write:/etc/x", read_only),
            ("write:/usr/x", read_only),
            ("write:/dev/x", read_only),
            ("write:/proc/sysrq-trigger", &["EACCES", "EPERM", "EROFS", "ENOENT"]),
            ("write:/proc/sys/kernel/core_pattern", &["EACCES", "EPERM", "EROFS"]),
            ("processes", &[""]),
            ("mount", refused),
            ("umount", refused),
            ("unshare_user", refused),
            ("unshare_mount", refused),
            ("setns", refused),
            ("clone_user", refused),
            ("clone3", &["ENOSYS"]),
            ("ptrace_1", refused),
            ("process_vm_readv", refused),
            ("bpf", refused),
            ("perf_event_open", refused),
            ("keyctl", refused),
            ("add_key", refused),
            ("io_uring_setup", refused),
            ("userfaultfd", refused),
            ("chroot", refused),
            ("open_by_handle_at", refused),
            ("init_module", refused),
            ("mknod_disk", refused),
            ("socket_packet", refused),
            ("socket_raw", refused),
            ("socket_alg", refused),
            ("setuid_0", &["EPERM", "EINVAL"]),
            ("kill_1", refused),
            ("kill_host", &["ESRCH"]),
        ],
    );
}

#[tokio::test]
async fn a_hostile_function_finds_itself_without_any_right() {
    let house = House::open();
    if !house.gives(&EVERYTHING) {
        return;
    }
    let found = attempts(&house, &Bait::lay(), Network::None).await;
    let nothing: &[&str] = &["0000000000000000"];
    assert_all(
        &found,
        &[
            ("status:CapEff", nothing),
            ("status:CapPrm", nothing),
            ("status:CapInh", nothing),
            ("status:CapBnd", nothing),
            ("status:CapAmb", nothing),
            ("status:NoNewPrivs", &["1"]),
            ("status:Seccomp", &["2"]),
            ("status:Groups", &[""]),
            ("cgroups", &["/"]),
            ("hostname", &["sandbox"]),
            ("mask", &["22"]),
            ("fill_tmp", &["ENOSPC"]),
            ("filled", &["1048576"]),
            ("open_files", &["EMFILE"]),
        ],
    );
    let uid = &found["status:Uid"];
    let ids: Vec<u32> = uid.split_whitespace().flat_map(str::parse).collect();
    assert!(ids.len() == 4 && ids[0] > 1_000_000 && ids.iter().all(|id| *id == ids[0]), "{uid}");
}

#[tokio::test]
async fn without_a_network_not_even_the_hosts_loopback_is_reached() {
    let house = House::open();
    if !house.gives(&[Step::NetworkNamespace, Step::Root]) {
        return;
    }
    let bait = Bait::lay();
    let found = attempts(&house, &bait, Network::None).await;
    assert_all(
        &found,
        &[
            ("connect_loopback", &["ECONNREFUSED"]),
            ("connect_metadata", &["ENETUNREACH"]),
            ("connect_abstract", &["ECONNREFUSED", "EPERM"]),
        ],
    );
    bait.tcp.set_nonblocking(true).expect("nonblocking");
    let nobody = bait.tcp.accept().expect_err("nobody came");
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn with_the_hosts_network_its_abstract_sockets_stay_out_of_reach() {
    let house = House::open();
    if !house.gives(&[Step::Landlock, Step::Root]) {
        return;
    }
    let bait = Bait::lay();
    let found = attempts(&house, &bait, Network::Open).await;
    // Landlock keeps abstract sockets apart from version 6 on.
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("release");
    let mut numbers = kernel.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let expected: &[&str] = if version >= (6, 12) { &["EPERM"] } else { &["ok", "EPERM"] };
    assert_all(&found, &[("connect_loopback", &["ok"]), ("connect_abstract", expected)]);
}

#[tokio::test]
async fn one_function_sees_nothing_of_another() {
    let house = House::open();
    if !house.gives(&[Step::Process, Step::Root, Step::Proc, Step::Identity]) {
        return;
    }
    let other = house.dir.path().join("other");
    std::fs::create_dir(&other).expect("folder");
    std::fs::write(other.join("secret.txt"), "secret").expect("file");
    let mut neighbour = house.script("echo mine > /tmp/mark; echo '{\"ready\":{}}' >&4; sleep 600");
    neighbour.package = other;
    let neighbour = house.hatch_spec(neighbour).await;
    neighbour.ready().await.expect("ready");
    let script = format!(
        "ls /tmp; ls /app; set -- /proc/[0-9]*; echo $#; cat /proc/{0}/environ; kill -0 {0}",
        neighbour.pid
    );
    let (_, output) = house.run(&script).await;
    // Not even the half that waits for it is seen.
    assert_eq!(output, "hello.txt\n1\n");
}

/// Runs the tests above once more as a user without any privilege: where user namespaces are
/// allowed, isolation is the same, and only the control groups are missing.
#[test]
fn an_ordinary_user_gets_the_same_isolation() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        common::say("an_ordinary_user_gets_the_same_isolation: it is one who runs these tests");
        return;
    }
    let this = std::env::current_exe().expect("this test");
    let as_nobody = |args: &[&str]| {
        Command::new(&this).args(args).uid(NOBODY).gid(NOBODY).current_dir("/").output()
    };
    if let Err(error) = as_nobody(&["--list"]) {
        common::say(&format!("{}: others cannot run it: {error}", this.display()));
        return;
    }
    let output = as_nobody(&["hostile", "reached", "abstract", "another"]).expect("run");
    let text = String::from_utf8_lossy(&output.stdout);
    common::say(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

#[test]
fn strict_isolation_is_refused_to_an_ordinary_user_by_name() {
    if !rustix::process::geteuid().is_root() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let mut config = common::config(dir.path(), &common::unique().to_string());
        config.isolation = Isolation::Strict;
        let error = Spawner::launch(config).expect_err("no control group");
        assert!(error.to_string().contains("control group ("), "{error}");
    }
}
