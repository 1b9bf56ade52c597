//! What the tests of commands share: the program itself, and a server that answers from a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// `hatchway`, with nothing of this machine's environment that would change what it does.
pub(crate) fn hatchway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hatchway"));
    command.args(arguments).env_remove("HATCHWAY_ADMIN").env("NO_COLOR", "1");
    command
}

/// Its exit code, standard output and standard error.
pub(crate) fn run(arguments: &[&str]) -> (i32, String, String) {
    told(hatchway(arguments).output().expect("hatchway can be started"))
}

pub(crate) fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("hatchway prints UTF-8");
    (output.status.code().expect("hatchway exits"), text(output.stdout), text(output.stderr))
}

/// One request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `GET /v1/status HTTP/1.1`, then the headers in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).expect("a request line has a target")
    }
}

/// A server on a free port of the loopback. Ends when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves one connection after the other; `answer` writes the whole response and the connection closes.
    pub(crate) fn start(answer: impl Fn(&Seen, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (record, stop) = (Arc::clone(&seen), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.expect("a connection can be accepted");
                let request = read(&stream);
                record.lock().expect("no test panics with it").push(request.clone());
                answer(&request, &mut stream);
            }
        });
        Self { address, seen, is_over, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics with it").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(stream: &TcpStream) -> Seen {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = reader.read_line(&mut head).expect("a request has a head");
        assert_ne!(read, 0, "the client left within the head: {head:?}");
    }
    let (line, headers) = head.split_once("\r\n").expect("a head has a first line");
    let head = format!("{line}\r\n{}", headers.to_lowercase());
    let body = match head.split("content-length: ").nth(1) {
        Some(rest) => {
            let length = rest.lines().next().and_then(|text| text.parse().ok());
            let mut body = vec![0; length.expect("a length is a number")];
            reader.read_exact(&mut body).expect("a body is as long as it says");
            body
        }
        None if head.contains("transfer-encoding: chunked") => chunked(&mut reader),
        None => Vec::new(),
    };
    Seen { head, body: String::from_utf8(body).expect("the tests send UTF-8") }
}

fn chunked(reader: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a chunk has a size");
        let size = usize::from_str_radix(line.trim(), 16).expect("a size is hexadecimal");
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).expect("a chunk is as long as it says");
        if size == 0 {
            return body;
        }
        body.extend(&chunk[..size]);
    }
}

/// Answers with a whole body.
pub(crate) fn answer(stream: &mut TcpStream, status: &str, kind: &str, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    // A client that has read enough may be gone.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}
