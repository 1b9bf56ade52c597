//! A node that has been taken over: it speaks the spawner's protocol by hand, and asks for what no node may have.

use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A spawner, and the socket by which its node commands it.
struct Taken {
    socket: OwnedFd,
    spawner: Child,
    root: TempDir,
}

impl Taken {
    /// Starts a spawner that may mount what is in `packages`, and says what every node says first.
    fn over() -> Self {
        Self::take(Self::root())
    }

    fn root() -> TempDir {
        let root = tempfile::Builder::new().prefix("hw").tempdir().expect("temporary folder");
        for folder in ["packages/hello", "run", "victim"] {
            fs::create_dir_all(root.path().join(folder)).expect("folder");
        }
        let everyone = fs::Permissions::from_mode(0o755);
        fs::set_permissions(root.path(), everyone).expect("own folder");
        root
    }

    fn take(root: TempDir) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let flags = SocketFlags::CLOEXEC;
        let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .expect("socket pair");
        let spawner = Command::new(env!("CARGO_BIN_EXE_hatchway-spawner"))
            .stdin(Stdio::from(theirs))
            .spawn()
            .expect("it starts");
        let taken = Self { socket, spawner, root };
        taken
            .say(&taken.charter(&format!("hatchway-test-taken-{count}-{}", std::process::id())), 0);
        let welcome = taken.hear().expect("a welcome");
        assert!(welcome["ready"].is_object(), "{welcome}");
        taken
    }

    fn charter(&self, group: &str) -> Value {
        json!({
            "format": 1,
            "init": env!("CARGO_BIN_EXE_hatchway-sandbox-init"),
            "run_dir": self.path("run"),
            "cgroup_name": group,
            "isolation": "BestEffort",
            "uid_base": 1_000_000,
            "mounts": [self.path("packages")],
            "orphan_ms": 0,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Sends a message with so many descriptors.
    fn say(&self, message: &Value, descriptors: usize) {
        self.say_bytes(message.to_string().as_bytes(), descriptors);
    }

    fn say_bytes(&self, bytes: &[u8], descriptors: usize) {
        let null = fs::File::options().read(true).write(true).open("/dev/null").expect("null");
        let fds = vec![null.as_fd(); descriptors];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&fds)), "they fit");
        }
        let parts = [IoSlice::new(bytes)];
        sendmsg(&self.socket, &parts, &mut control, SendFlags::NOSIGNAL).expect("it listens");
    }

    /// The next event; none once the spawner has gone.
    fn hear(&self) -> Option<Value> {
        let mut buffer = vec![0; 1 << 18];
        let (length, _) = recv(&self.socket, &mut buffer[..], RecvFlags::empty()).unwrap_or((0, 0));
        (length > 0).then(|| serde_json::from_slice(&buffer[..length]).expect("JSON"))
    }

    fn hatch(&self, id: u64, change: impl FnOnce(&mut Value)) -> Value {
        let mut spec = json!({
            "id": id, "name": "acme/hello@1", "argv": ["/bin/sh", "-c", "sleep 600"], "env": [],
            "package": self.path("packages/hello"), "read_only": [], "memory_bytes": 64 << 20,
            "cpu_millis": 500, "pids": 8, "files": 64, "tmp_bytes": 4096, "network": "None",
            "entry": "Inherited",
        });
        change(&mut spec);
        json!({ "hatch": { "spec": spec, "decided_ns": 1 } })
    }

    /// A sandbox that runs, to show that the spawner still does what it may be asked.
    fn serves(&self, id: u64) {
        self.say(&self.hatch(id, |_| ()), 4);
        let event = self.hear().expect("an answer");
        assert_eq!(event["hatched"]["id"], id, "{event}");
    }

    /// Hears everything that is still said, until the spawner has ended.
    fn rest(&mut self) -> Vec<Value> {
        let events = std::iter::from_fn(|| self.hear()).collect();
        assert!(self.spawner.wait().expect("our child").success());
        events
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Ended by its closed socket; a test that failed has not seen that.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        let _ = self.spawner.wait();
    }
}

#[test]
fn what_lies_elsewhere_is_mounted_into_no_sandbox() {
    let taken = Taken::over();
    let packages = taken.path("packages");
    symlink("/", packages.join("root")).expect("link");
    symlink("../..", packages.join("up")).expect("link");
    symlink("/proc/self/root", packages.join("magic")).expect("link");
    let below = |name: &str| packages.join(name);
    let elsewhere = [
        PathBuf::from("/"),
        "/etc".into(),
        "/root".into(),
        "/proc/self/root".into(),
        taken.path("victim"),
        taken.path("run"),
        taken.path("packages-2"),
        below("root"),
        below("root/etc"),
        below("up"),
        below("magic"),
        below("magic/etc"),
    ];
    for (id, path) in (1..).zip(&elsewhere) {
        let path = path.to_str().expect("text");
        let as_package = taken.hatch(id, |spec| spec["package"] = json!(path));
        let as_mount = taken.hatch(id, |spec| spec["read_only"] = json!([[path, "/mnt"]]));
        for order in [as_package, as_mount] {
            taken.say(&order, 4);
            let event = taken.hear().expect("an answer");
            assert_eq!(event["failed"]["error"]["step"], "package", "{path}: {event}");
        }
    }
    taken.serves(99);
}

#[test]
fn what_no_node_may_ask_for_ends_everything_and_says_why() {
    type Order = fn(&Taken) -> (Vec<u8>, usize);
    fn changed(taken: &Taken, field: &str, value: Value) -> (Vec<u8>, usize) {
        (taken.hatch(2, |spec| spec[field] = value).to_string().into_bytes(), 4)
    }
    let orders: &[(&str, Order)] = &[
        ("no JSON", |_| (b"\xff\x00 mount /".to_vec(), 0)),
        ("empty object", |_| (b"{}".to_vec(), 0)),
        ("another charter", |taken| (taken.charter("hatchway-x").to_string().into(), 0)),
        ("an order with more to it", |_| (br#"{"kill":{"id":1,"and":"/etc"}}"#.to_vec(), 0)),
        ("a path that goes up", |taken| changed(taken, "package", json!("/packages/../etc"))),
        ("a relative path", |taken| changed(taken, "package", json!("packages"))),
        ("a mount over what isolates", |taken| {
            changed(taken, "read_only", json!([["/usr", "/proc"]]))
        }),
        ("a mount over the root", |taken| changed(taken, "read_only", json!([["/usr", "/"]]))),
        ("more memory than machines have", |taken| {
            changed(taken, "memory_bytes", json!(1_u64 << 60))
        }),
        ("no limit of processes", |taken| changed(taken, "pids", json!(0))),
        ("processes without end", |taken| changed(taken, "pids", json!(4_000_000))),
        ("files without end", |taken| changed(taken, "files", json!(1_u64 << 40))),
        ("a variable that is two", |taken| changed(taken, "env", json!([["A=B", "c"]]))),
        ("no descriptor", |taken| (taken.hatch(2, |_| ()).to_string().into(), 0)),
        ("too many descriptors", |taken| (taken.hatch(2, |_| ()).to_string().into(), 5)),
        ("a name with a path in it", |_| (br#"{"go":{"id":1,"sandbox":"../../etc"}}"#.to_vec(), 0)),
        ("a limit below the kernel's", |_| {
            (br#"{"limit_cpu":{"id":1,"cpu_millis":0}}"#.to_vec(), 0)
        }),
    ];
    for (what, order) in orders {
        let mut taken = Taken::over();
        taken.serves(1);
        let (bytes, descriptors) = order(&taken);
        taken.say_bytes(&bytes, descriptors);
        let events = taken.rest();
        let note = events[0]["note"]["message"].as_str().unwrap_or_default();
        assert!(note.starts_with("order refused, ending all: "), "{what}: {events:?}");
        assert!(events.iter().any(|event| event["exited"]["id"] == 1), "{what}: {events:?}");
        assert_eq!(events.last(), Some(&json!("stopped")), "{what}");
    }
}

#[test]
fn ids_that_are_nobodys_reach_nobody() {
    let taken = Taken::over();
    taken.serves(1);
    for order in ["terminate", "kill"] {
        taken.say(&json!({ order: { "id": 77 } }), 0);
    }
    taken.say(&json!({ "limit_cpu": { "id": 77, "cpu_millis": 10 } }), 0);
    taken.say(&json!({ "go": { "id": 1, "sandbox": "sb-1" } }), 0);
    taken.say(&json!({ "connect": { "id": 77, "call": 5, "door": "tcp" } }), 0);
    let event = taken.hear().expect("an answer");
    assert_eq!(event["connected"], json!({ "call": 5, "errno": libc::ESRCH }));
    // Of one that is no zygote, nothing is forked; and an id is given once.
    taken.say(&json!({ "park": { "id": 2, "zygote": 1, "decided_ns": 1 } }), 4);
    assert_eq!(taken.hear().expect("an answer")["failed"]["id"], 2);
    taken.say(&taken.hatch(1, |_| ()), 4);
    assert_eq!(taken.hear().expect("an answer")["failed"]["error"]["step"], "check");
    taken.serves(3);
}

/// What a spawner removes at its end, in a folder that it takes for its own.
fn lay_victim(victim: &Path) {
    for name in ["stage", "etc"] {
        fs::create_dir_all(victim.join(name)).expect("folder");
        fs::write(victim.join(name).join("precious"), "precious").expect("file");
    }
    fs::write(victim.join("groups"), "precious").expect("file");
}

fn assert_whole(victim: &Path) {
    for name in ["stage/precious", "etc/precious", "groups"] {
        let text = fs::read_to_string(victim.join(name)).expect(name);
        assert_eq!(text, "precious", "{name}");
    }
}

#[test]
fn a_folder_in_the_place_of_its_own_is_not_cleared_at_the_end() {
    let mut taken = Taken::over();
    taken.serves(1);
    let (run, victim) = (taken.path("run"), taken.path("victim"));
    lay_victim(&victim);
    fs::rename(&run, taken.path("aside")).expect("the node's own folder");
    symlink(&victim, &run).expect("link");
    taken.say(&json!("stop"), 0);
    assert_eq!(taken.rest().last(), Some(&json!("stopped")));
    assert_whole(&victim);
    let left = fs::read_dir(taken.path("aside")).expect("it is there").count();
    assert_eq!(left, 0, "its own folder is cleared wherever it is");
}

#[test]
fn links_in_the_place_of_its_files_lead_nowhere_at_the_start() {
    let root = Taken::root();
    let (run, victim) = (root.path().join("run"), root.path().join("victim"));
    lay_victim(&victim);
    for name in ["stage", "etc", "groups"] {
        symlink(victim.join(name), run.join(name)).expect("link");
    }
    let mut taken = Taken::take(root);
    taken.serves(1);
    taken.say(&json!("stop"), 0);
    taken.rest();
    assert_whole(&victim);
}
