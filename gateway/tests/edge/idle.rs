//! What an idle connection costs.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use socket2::{Domain, Socket, Type};

use super::kit::{Recorder, catalog};

const CONNECTIONS: usize = 10_000;

/// What is there once is there before they are counted: these fill the pools of the core.
const FIRST: usize = 100;

/// Addresses of this machine that the connections come from: one alone may not have as many.
const ADDRESSES: usize = 8;

/// The promise, in an optimised build.
const BYTES: usize = 2_048;

struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        // It is a child of ours and may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Gateway {
    /// The real program with one core, and where it listens.
    fn start(catalog: &std::path::Path, node: SocketAddr) -> (Self, SocketAddr) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_hatchway-gateway"));
        program.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cores", "1"]);
        program.arg("--catalog").arg(catalog).arg("--node").arg(node.to_string());
        let mut child = program.stderr(Stdio::piped()).spawn().expect("the program is built");
        let log = child.stderr.take().expect("it is a pipe");
        let mut lines = BufReader::new(log).lines().map(|line| line.expect("a log is text"));
        let serving = lines.find(|line| line.contains("serving")).expect("it says where it serves");
        std::thread::spawn(move || lines.for_each(drop));
        let fields: serde_json::Value = serde_json::from_str(&serving).expect("a log line is JSON");
        let address = fields["fields"]["address"].as_str().expect("it has an address").parse();
        (Self(child), address.expect("an address is one"))
    }

    /// What it has in memory (proc(5), `VmRSS`).
    fn resident_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has one");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }
}

/// A connection that has served one request and stays.
fn served(gateway: SocketAddr, number: usize) -> TcpStream {
    let last = u8::try_from(number % ADDRESSES + 1).expect("few addresses");
    let from = SocketAddr::from((Ipv4Addr::new(127, 0, 1, last), 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("descriptors are left");
    socket.bind(&from.into()).expect("all of 127/8 is ours");
    socket.connect(&gateway.into()).expect("the gateway listens");
    let mut stream = TcpStream::from(socket);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"GET /") {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).expect("it answers");
        assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&bytes[..count]);
    }
    stream
}

#[test]
#[ignore = "a figure of an optimised build: --profile quick -- --ignored --nocapture"]
fn an_idle_connection_costs_at_most_two_kibibytes() {
    let recorder = Recorder::start();
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let path = folder.path().join("catalog.json");
    let text = serde_json::to_vec(&catalog()).expect("a catalog can be written");
    fs::write(&path, text).expect("a file can be written");
    let (gateway, address) = Gateway::start(&path, recorder.address);
    let warm: Vec<_> = (0..FIRST).map(|number| served(address, number)).collect();
    let before = gateway.resident_bytes();
    let idle: Vec<_> = (FIRST..CONNECTIONS).map(|number| served(address, number)).collect();
    let each = (gateway.resident_bytes() - before) / (CONNECTIONS - FIRST);
    println!("{each} bytes for each of {CONNECTIONS} idle connections");
    drop((warm, idle));
    assert!(each <= BYTES, "{each} bytes");
}
