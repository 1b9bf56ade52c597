//! A function that tries to leave its sandbox, and is seen to fail: in C, Python and Node, started by itself, grown from a stem
//! cell and forked beside a sibling, by root and by an ordinary user, in the company of a neighbour and the daemon.

mod bait;
mod table;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

use bait::Bait;
use hatchway_tests::{Answer, Project, Up, eventually, skipped};
use serde_json::Value;
use table::{LIMITS, Outcome, attempts};

/// What a neighbour holds open.
const NEIGHBOUR: &str = "hatchway-neighbour";

/// A project of a hostile function at `/hostile`, and a neighbour.
fn project(run: &str) -> Project {
    let manifest = format!(
        "[function.hostile]\n{run}\n{LIMITS}http = {{ path = \"/hostile\" }}\n\
         [function.neighbour]\nruntime = \"command\"\ncommand = [\"./hostile\"]\n\
         http = {{ path = \"/neighbour\" }}\n"
    );
    let project = Project::new(&manifest)
        .file("hostile.py", include_str!("../functions/hostile/hostile.py"))
        .file("hostile.mjs", include_str!("../functions/hostile/hostile.mjs"))
        .file("secret.txt", "a secret of the neighbour");
    compile(&project);
    project
}

/// The function in C, and the native module of the one in Node.
fn compile(project: &Project) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("functions/hostile");
    let headers = sources.join("../../../sandbox/zygote-node");
    let cc = |words: &[&str], into: &str| {
        let made = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(&headers)
            .args(words)
            .arg("-o")
            .arg(project.folder().join(into))
            .current_dir(&sources)
            .output()
            .expect("a C compiler is there: run `make setup`");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    cc(&["-static", "server.c", "attempts.c"], "hostile");
    cc(&["-shared", "-fPIC", "native.c"], "native.node");
}

/// Whether everything but limits is isolated here; says so where it is not.
fn is_isolated(up: &Up, test: &str) -> bool {
    let status = up.admin.status();
    let missing = status["isolation"]["missing"].as_array().expect("a list");
    let walls: Vec<_> = missing.iter().filter(|one| one["what"] != "control group").collect();
    if !walls.is_empty() {
        skipped(test, &format!("{walls:?}"));
    }
    walls.is_empty()
}

/// Whether a function is there.
fn answers(up: &Up, path: &str) {
    let outcomes: Vec<Value> = send(up, path, &["read\t/etc/hosts".to_owned()]).json();
    assert_eq!(outcomes[0]["errno"], 0, "{path}");
}

fn send(up: &Up, path: &str, lines: &[String]) -> Answer {
    let text = [("content-type", "text/plain")];
    let answer = up.request("POST", path, &text, lines.join("\n").as_bytes());
    answer.unwrap_or_else(|error| panic!("{path} was not answered: {error}"))
}

/// The neighbour leaves things about, and stays.
fn settle(up: &Up) {
    let lines = [
        format!("bind\t{NEIGHBOUR}"),
        "write\t/tmp/neighbour".to_owned(),
        "write\t/dev/shm/neighbour".to_owned(),
        // IPC_CREAT, and everybody may read and write.
        format!("call\t{}\t{}\t4096\t0x3b6", libc::SYS_shmget, Bait::SHARED_MEMORY),
    ];
    let outcomes: Vec<Value> = send(up, "/neighbour", &lines).json();
    assert!(outcomes.iter().all(|outcome| outcome["errno"] == 0), "{outcomes:?}");
}

/// Has every attempt made, and looks at what came of each.
fn try_everything(project: &Project, up: &Up) {
    let attempts = attempts(&Bait::lay(project, up, NEIGHBOUR));
    let lines: Vec<String> = attempts.iter().map(|attempt| attempt.line.clone()).collect();
    let answer = send(up, "/hostile", &lines);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let outcomes: Vec<Outcome> = answer.json();
    assert_eq!(outcomes.len(), attempts.len());
    let wrong: Vec<String> = attempts
        .iter()
        .zip(&outcomes)
        .filter(|(attempt, outcome)| !attempt.expected.is_met_by(outcome))
        .map(|(attempt, outcome)| format!("{:?}: {outcome:?}", attempt.line))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), outcomes.len(), wrong.join("\n"));
}

/// A hostile function in the company of a neighbour; nobody is harmed, and nothing is left in the end.
fn is_kept_inside(test: &str, run: &str) {
    is_kept_inside_started(test, run, "fresh");
}

/// The same, started from what `starts` says.
fn is_kept_inside_started(test: &str, run: &str, starts: &str) {
    let project = project(run);
    let up = Up::start_with(&project, &["--starts", starts]);
    if !is_isolated(&up, test) {
        return;
    }
    settle(&up);
    if starts == "stem" {
        eventually("a stem cell that waits", || {
            (up.admin.metrics().sum("node_stem_cells", &[]) >= 1.0).then_some(())
        });
        answers(&up, "/hostile");
        let rows: Vec<Value> = up.admin.get("/v1/sandboxes").json();
        let is_grown = |row: &Value| row["start"]["kind"] == "stem";
        assert!(rows.iter().any(is_grown), "{rows:?}");
    }
    let neighbour = up.admin.sandbox("neighbour").pid;
    try_everything(&project, &up);
    leave_things_running(&up);
    assert_eq!(up.admin.sandbox("neighbour").pid, neighbour, "the neighbour was harmed");
    answers(&up, "/neighbour");
    up.stop();
}

/// Processes that nobody waits for, that no polite signal ends, and that print for ever: the end of the sandbox is
/// theirs, as the audit at the end of the daemon shows.
fn leave_things_running(up: &Up) {
    let stubborn = "trap '' TERM HUP INT; while :; do sleep 1000; done";
    let noisy = "while :; do echo the same again and again; done";
    let lines = [
        format!("run\t/bin/sh\t-c\t(setsid sh -c '{stubborn}' >/dev/null 2>&1 &) &"),
        format!("run\t/bin/sh\t-c\t(setsid sh -c '{noisy}' >&2 2>/dev/null &) >/dev/null &"),
    ];
    assert_eq!(send(up, "/hostile", &lines).status, 200);
}

const C: &str = "runtime = \"command\"\ncommand = [\"./hostile\"]";
const PYTHON: &str = "runtime = \"python\"\nhandler = \"hostile.py#run\"";
const NODE: &str = "runtime = \"node\"\nhandler = \"hostile.mjs#run\"";

#[test]
fn a_hostile_function_in_c_stays_inside() {
    is_kept_inside("a_hostile_function_in_c_stays_inside", C);
}

/// A way out for what it lists is none for the rest.
#[test]
fn a_hostile_function_behind_the_proxy_stays_inside() {
    let run = format!("{C}\nnetwork = \"egress-proxy\"\negress = [\"*\"]");
    is_kept_inside("a_hostile_function_behind_the_proxy_stays_inside", &run);
}

#[test]
fn a_hostile_function_in_python_stays_inside() {
    is_kept_inside("a_hostile_function_in_python_stays_inside", PYTHON);
}

#[test]
fn a_hostile_function_in_node_stays_inside() {
    is_kept_inside("a_hostile_function_in_node_stays_inside", NODE);
}

/// What has booted before it was known for whom has the rights of an ordinary start, and no more.
#[test]
fn a_hostile_function_that_a_stem_cell_of_python_has_become_stays_inside() {
    let test = "a_hostile_function_that_a_stem_cell_of_python_has_become_stays_inside";
    is_kept_inside_started(test, PYTHON, "stem");
}

#[test]
fn a_hostile_function_that_a_stem_cell_of_node_has_become_stays_inside() {
    let test = "a_hostile_function_that_a_stem_cell_of_node_has_become_stays_inside";
    is_kept_inside_started(test, NODE, "stem");
}

/// Two sandboxes forked from one zygote share what `sandbox/src/protocol/zygote.rs` says, and nothing more: one waits at
/// a gate while the other tries everything, and is there when the gate opens.
fn is_kept_from_its_sibling(test: &str, run: &str) {
    let project = project(&format!("{run}\nconcurrency = 1\nmax = 2\nidle_timeout = \"200ms\""));
    let up = Up::start(&project);
    let can_fork = !up.admin.lacks("control group") && is_isolated(&up, test);
    if !can_fork {
        return skipped(test, "forks");
    }
    answers(&up, "/hostile");
    eventually("a zygote", || {
        let rows: Vec<Value> = up.admin.get("/v1/zygotes").json();
        let is_ready = |row: &Value| row["function"] == "local/hostile" && row["state"] == "ready";
        rows.iter().any(is_ready).then_some(())
    });
    eventually("it is reaped", || up.admin.sandboxes().is_empty().then_some(()));
    settle(&up);
    let gate = |script: &str| format!("run\t/bin/sh\t-c\t{script}");
    std::thread::scope(|scope| {
        let wait = gate("mkfifo /tmp/gate; cat /tmp/gate; rm /tmp/gate");
        let sibling = scope.spawn(|| send(&up, "/hostile", &[wait]));
        up.admin.wait_in_flight("hostile", 1);
        let pid = up.admin.sandbox("hostile").pid;
        send(&up, "/hostile", &[gate("until [ -p /tmp/gate ]; do :; done")]);
        try_everything(&project, &up);
        let rows: Vec<Value> = up.admin.get("/v1/sandboxes").json();
        let of_it = rows.iter().filter(|row| row["function"] == "local/hostile");
        let kinds: Vec<_> = of_it.map(|row| row["start"]["kind"].clone()).collect();
        assert_eq!(kinds, ["fork", "fork"]);
        assert!(up.admin.sandboxes_of("hostile").iter().any(|one| one.pid == pid));
        send(&up, "/hostile", &[gate("echo open > /tmp/gate")]);
        let answer: Vec<Value> = sibling.join().expect("no panic").json();
        assert_eq!(answer[0]["got"], "open\n");
    });
    up.stop();
}

#[test]
fn a_forked_function_in_python_stays_away_from_its_sibling() {
    is_kept_from_its_sibling("a_forked_function_in_python_stays_away_from_its_sibling", PYTHON);
}

#[test]
fn a_forked_function_in_node_stays_away_from_its_sibling() {
    is_kept_from_its_sibling("a_forked_function_in_node_stays_away_from_its_sibling", NODE);
}

/// The spawner, which is root, connects to a socket that the function has made, in a folder where it may write.
#[test]
fn a_link_in_the_place_of_its_socket_leads_nowhere() {
    let test = "a_link_in_the_place_of_its_socket_leads_nowhere";
    let project = project(C);
    let up = Up::start(&project);
    if !is_isolated(&up, test) {
        return;
    }
    let call = |number: libc::c_long, words: &str| format!("call\t{number}\t{words}");
    answers(&up, "/hostile");
    let target = project.root().join("elsewhere.sock");
    let elsewhere = UnixListener::bind(&target).expect("own folder");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o777)).expect("own socket");
    elsewhere.set_nonblocking(true).expect("own socket");
    let target = target.display();
    let lines = [
        call(libc::SYS_renameat, "-100\ts:/run/hatchway/http.sock\t-100\ts:/run/hatchway/aside"),
        call(libc::SYS_symlinkat, &format!("s:{target}\t-100\ts:/run/hatchway/http.sock")),
    ];
    let outcomes: Vec<Value> = send(&up, "/hostile", &lines).json();
    assert!(outcomes.iter().all(|outcome| outcome["errno"] == 0), "{outcomes:?}");
    let answer = up.get("/hostile");
    assert!([502, 503].contains(&answer.status), "{}", answer.text());
    let nobody = elsewhere.accept().expect_err("the spawner has followed the link");
    assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
    fs::remove_file(project.root().join("elsewhere.sock")).expect("own socket");
    drop(elsewhere);
    answers(&up, "/neighbour");
    up.stop();
}

/// Runs the tests above once more as a user without any privilege, and so without control groups: where user namespaces
/// are allowed, the walls are the same.
#[test]
fn an_ordinary_user_keeps_it_inside_as_well() {
    const NOBODY: u32 = 65_534;
    let test = "an_ordinary_user_keeps_it_inside_as_well";
    if !rustix::process::geteuid().is_root() {
        return skipped(test, "root, who could become one");
    }
    let this = env::current_exe().expect("this test");
    let home = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::chown(home.path(), Some(NOBODY), Some(NOBODY)).expect("own folder");
    let as_nobody = |words: &[&str]| {
        let mut command = Command::new(&this);
        command.args(words).uid(NOBODY).gid(NOBODY).current_dir("/");
        command.env("TMPDIR", home.path()).env("HOME", home.path()).output()
    };
    if let Err(error) = as_nobody(&["--list"]) {
        return skipped(test, &format!("{} for others: {error}", this.display()));
    }
    let output =
        as_nobody(&["stays_inside", "leads_nowhere", "--test-threads", "1"]).expect("it runs");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{}", text.concat());
    assert!(text[0].contains("7 passed"), "{}", text.concat());
    if text[1].contains("SKIPPED") {
        skipped(test, &text[1]);
    }
}
