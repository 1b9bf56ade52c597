//! A daemon goes, and its sandboxes stay: killed, with another one started after it; or replaced, while calls are under way.

mod load;
mod replaced;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use hatchway_tests::{NodeProgram, PUPPET, Pair, Project, apply, eventually, puppet, skipped};

use load::Load;

/// One request at a time, many at a time, and a server that is found by its port.
fn project() -> Project {
    let manifest = [
        puppet("one", "concurrency = 1\nmin = 2\nmax = 2"),
        puppet("many", "concurrency = 16\nmin = 1\nmax = 1"),
        "[function.probed]\nruntime = \"command\"\ncommand = [\"node\", \"probed.js\"]\n\
         http = { path = \"/probed\" }\nmin = 1\nmax = 1\n"
            .to_owned(),
    ];
    let probed = "require('http').createServer((request, response) => {
      setTimeout(() => response.end(String(process.pid)), 5);
    }).listen(process.env.PORT);";
    Project::new(&manifest.concat()).file("puppet.mjs", PUPPET).file("probed.js", probed)
}

/// The processes of all sandboxes, once as many as are wanted can serve.
fn pids(node: &NodeProgram) -> BTreeSet<u32> {
    eventually("four sandboxes that serve", || {
        let sandboxes = node.admin.sandboxes();
        let serve = |phase: &str| matches!(phase, "idle" | "busy");
        let pids = sandboxes.iter().filter(|one| serve(&one.phase)).filter_map(|one| one.pid);
        let pids: BTreeSet<u32> = pids.collect();
        (pids.len() == 4 && sandboxes.len() == 4).then_some(pids)
    })
}

#[test]
fn after_kill_9_the_next_daemon_adopts_what_serves_and_only_calls_under_way_are_lost() {
    let project = project();
    let Pair { gateway, mut node } = Pair::start(&project);
    let (before, first) = (pids(&node), node.traces());
    let load = Load::start(gateway.address, 4);
    load.served(40);
    node.kill();
    let node = NodeProgram::start_again(&project);
    load.served(40);
    let ended = load.stop();
    assert!(ended.cut <= ended.clients, "{ended:?}");
    // While there was no daemon, calls were turned away with a reason.
    assert_eq!(ended.other, [""; 0]);
    assert_eq!(pids(&node), before);
    assert_eq!(node.admin.metrics().sum("node_adopted_total", &[]), 4.0);
    assert_eq!(node.admin.hatches("one") + node.admin.hatches("many"), 0.0);

    // What it has adopted it commands: it grows, prints, and ends with it.
    gateway.get("/many?do=print&line=adopted").ok();
    eventually("a line that was printed after", || {
        let lines = node.admin.logs("lines=100");
        lines.iter().any(|line| line.to_string().contains("adopted")).then_some(())
    });
    gateway.stop();
    node.stop();
    first.assert_none("after the end of the daemon that adopted");
}

#[test]
fn without_an_heir_nothing_is_left() {
    let project = project();
    apply(&project);
    let words = [&hatchway_tests::in_file(&project)[..], &["--adopt-seconds".into(), "1".into()]];
    let mut node = NodeProgram::start_with(&project, &words.concat());
    pids(&node);
    let traces = node.traces();
    node.kill();
    assert!(!traces.groups().is_empty(), "they live on at first");
    eventually("the end of every process and group", || {
        let found = traces.found();
        let is_left = |trace: &String| {
            ["process", "listener", "mount", "group"].iter().any(|kind| trace.starts_with(kind))
        };
        (!found.iter().any(is_left)).then_some(())
    });
    let node = NodeProgram::start_again(&project);
    node.stop();
    traces.assert_none("after the next one has ended");
}

#[test]
fn a_version_that_went_meanwhile_is_ended() {
    let project = project();
    let pair = Pair::start(&project);
    let before = pids(&pair.node);
    let many = pair.node.admin.sandbox("many");
    pair.node.kill();
    project.write(
        "probed.js",
        "require('http').createServer((a, b) => b.end('new')).listen(process.env.PORT);",
    );
    project.write("puppet.mjs", format!("{PUPPET}\n// Another version.\n"));
    apply(&project);
    let node = NodeProgram::start_again(&project);
    let after = pids(&node);
    assert!(after.is_disjoint(&before), "{after:?} {before:?}");
    assert_ne!(node.admin.sandbox("many").version, many.version);
    assert_eq!(node.admin.metrics().sum("node_adopted_total", &[]), 0.0);
    for pid in before {
        let gone = || hatchway_tests::proc::Process::with_id(pid).is_none_or(|one| !one.is_alive());
        eventually("the end of what is not served any more", || gone().then_some(()));
    }
    pair.gateway.stop();
    node.stop();
}

/// Connects to the door of a spawner and says something; prints what is answered.
const INTRUDER: &str = "
import json, socket, sys
door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
door.settimeout(30)
door.connect(sys.argv[1])
try:
    door.send(json.dumps({}).encode())
    print(len(door.recv(65536)))
except (ConnectionResetError, BrokenPipeError):
    print(0)
";

#[test]
fn an_heir_of_another_user_or_of_another_folder_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return skipped("an_heir_of_another_user_or_of_another_folder_is_refused", "root");
    }
    let (project, other) = (project(), self::project());
    apply(&project);
    let node = NodeProgram::start(&project);
    let before = pids(&node);
    node.kill();

    // The folder is closed to others; were it not, who comes is asked all the same.
    let door = project.state().join("run/spawner");
    for folder in [project.root().to_owned(), project.state(), project.state().join("run")] {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder, mode).expect("we are root");
    }
    let mut intruder = Command::new("python3");
    intruder.args(["-c", INTRUDER]).arg(&door).uid(65_533).gid(65_533).current_dir("/");
    let answer = intruder.output().expect("python3 is there");
    let errors = String::from_utf8_lossy(&answer.stderr);
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "0", "{errors}");

    apply(&other);
    let stranger = NodeProgram::start(&other);
    assert!(pids(&stranger).is_disjoint(&before));
    assert_eq!(stranger.admin.metrics().sum("node_adopted_total", &[]), 0.0);
    stranger.stop();

    let heir = NodeProgram::start_again(&project);
    assert_eq!(pids(&heir), before);
    heir.stop();
}
