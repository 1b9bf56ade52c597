//! Web sockets over HTTP/2 (RFC 8441), from a client that speaks it frame by frame to functions that speak HTTP/1.1; and what becomes of
//! open ones when a program goes away.

mod goodbye;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use hatchway_tests::{Pair, Project, Up, python_with_packages, skipped};
use serde_json::Value;

const MANIFEST: &str = r#"
[function.ws]
runtime = "command"
command = ["python3", "server.py"]
http = { path = "/ws" }
memory = "256MiB"

[function.plain]
runtime = "node"
main = "plain.cjs"
http = { path = "/plain" }

[function.liar]
runtime = "node"
main = "liar.cjs"
http = { path = "/liar" }
"#;

/// Knows nothing of web sockets.
const PLAIN: &str = "require('node:http').createServer((request, answer) => answer.end('plain'))\
                     .listen(process.env.HATCHWAY_SOCKET)\n";

/// Says 101 to whoever asks, without having read the key.
const LIAR: &str = "const server = require('node:http').createServer()\n\
    server.on('upgrade', (request, socket) => socket.write('HTTP/1.1 101 Switching Protocols\\r\\n' +\n\
      'Connection: upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n'))\n\
    server.listen(process.env.HATCHWAY_SOCKET)\n";

fn project(python: &Path) -> Project {
    let project = Project::new(MANIFEST)
        .file("server.py", include_str!("server.py"))
        .file("plain.cjs", PLAIN)
        .file("liar.cjs", LIAR);
    let script = "import os, websockets; print(os.path.dirname(websockets.__file__))";
    let output = Command::new(python).args(["-c", script]).output().expect("python runs");
    let lib = project.folder().join("lib");
    fs::create_dir(&lib).expect("own folder");
    let from = String::from_utf8(output.stdout).expect("a path is text");
    let copied = Command::new("cp").args(["-r", from.trim()]).arg(&lib).status();
    assert!(copied.expect("cp runs").success(), "{from}");
    project
}

#[track_caller]
fn client(python: &Path, port: u16) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/websocket/client.py");
    let output = Command::new(python).arg(script).arg(port.to_string()).output();
    let output = output.expect("python runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "well\n", "{errors}");
}

#[test]
fn sockets_open_carry_messages_and_close_in_one_process() {
    let Some(python) = python_with_packages() else {
        return skipped("web sockets over HTTP/2", "h2 and websockets in a venv");
    };
    let project = project(&python);
    let log = project.root().join("access.log");
    fs::write(&log, "").expect("own folder");
    fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).expect("own file");
    let up = Up::start_with(&project, &["--access-log", &log.display().to_string()]);
    client(&python, up.address.port());
    up.stop();
    // A line is written at the end of a socket, and counts what went through it.
    let lines = fs::read_to_string(&log).expect("own file");
    let lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let opened = |line: &&Value| line["protocol"] == "HTTP/2" && line["path"] == "/ws";
    let most = |way: &str| lines.iter().filter(opened).filter_map(|line| line[way].as_u64()).max();
    assert!(most("bytes_in") > Some(10_000) && most("bytes_out") > Some(10_000), "{lines:#?}");
}

#[test]
fn sockets_open_carry_messages_and_close_in_two_processes() {
    let Some(python) = python_with_packages() else {
        return skipped("web sockets over HTTP/2", "h2 and websockets in a venv");
    };
    let project = project(&python);
    let pair = Pair::start(&project);
    client(&python, pair.gateway.address.port());
    pair.gateway.stop();
    pair.node.stop();
}
