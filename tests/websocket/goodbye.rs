//! A program that goes away says so to the clients of open web sockets: 1001, and they can connect again elsewhere.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use hatchway_tests::{Pair, Up, python_with_packages, skipped};

use crate::project;

/// A client with an open socket.
struct Socket {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Socket {
    #[track_caller]
    fn open(python: &Path, port: u16) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/websocket/goodbye.py");
        let mut command = Command::new(python);
        command.arg(script).arg(port.to_string()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python runs");
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut this = Self { child, lines };
        assert_eq!(this.line(), "open");
        this
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a pipe can be read");
        line.trim_end().to_owned()
    }

    /// The code that it was closed with.
    #[track_caller]
    fn closed_with(mut self) -> String {
        let code = self.line();
        assert!(self.child.wait().expect("it is our child").success());
        code
    }
}

#[test]
fn a_socket_is_told_when_its_gateway_goes_away() {
    let Some(python) = python_with_packages() else {
        return skipped("web sockets", "h2 and websockets in a venv");
    };
    let project = project(&python);
    let up = Up::start(&project);
    let sockets: Vec<_> = (0..3).map(|_| Socket::open(&python, up.address.port())).collect();
    up.stop();
    for socket in sockets {
        assert_eq!(socket.closed_with(), "1001");
    }
}

#[test]
fn a_socket_is_told_when_its_node_goes_away_and_when_its_gateway_does() {
    let Some(python) = python_with_packages() else {
        return skipped("web sockets", "h2 and websockets in a venv");
    };
    for leaves_first in ["node", "gateway"] {
        let project = project(&python);
        let Pair { gateway, node } = Pair::start(&project);
        let socket = Socket::open(&python, gateway.address.port());
        if leaves_first == "node" {
            node.stop();
            assert_eq!(socket.closed_with(), "1001");
            gateway.stop();
        } else {
            gateway.stop();
            assert_eq!(socket.closed_with(), "1001");
            node.stop();
        }
    }
}
