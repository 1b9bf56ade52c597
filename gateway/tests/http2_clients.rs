//! HTTP/2 as programs speak it that we did not write: curl, nghttp and h2load in front of a whole gateway, with a node that
//! the test plays over HTTP/1.1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use hatchway_gateway::accept::{self, Door};
use hatchway_gateway::catalog::{self, apply::apply};
use hatchway_gateway::forward::RemoteNodes;
use hatchway_gateway::handle::Gateway;
use hatchway_gateway::metrics::EdgeMetrics;
use hatchway_wire::core::Cores;
use hatchway_wire::listen::{self, Address};
use prometheus::Registry;

/// A gateway with one route, `/site`, and its node.
struct World {
    cores: Option<Cores>,
    address: Address,
}

impl World {
    fn start() -> Self {
        let node = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let at = Address::Tcp(node.local_addr().expect("a listener has an address"));
        std::thread::spawn(move || {
            for stream in node.incoming().flatten() {
                std::thread::spawn(move || serve(&stream));
            }
        });
        let metrics = Arc::new(EdgeMetrics::register(&Registry::new()));
        let (publisher, catalog) = catalog::channel();
        let objects = serde_json::from_value(objects()).expect("the catalog is well-formed");
        let snapshot =
            apply(&publisher.current(), Arc::new(objects), |name| metrics.function(name));
        assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
        publisher.publish(snapshot);
        let free = "127.0.0.1:0".parse().expect("an address");
        let (listeners, address) = listen::bind(&free, 1).expect("loopback has free ports");
        let cores = accept::start(listeners, Door::default(), move |_| {
            let nodes = RemoteNodes::new(vec![at.clone()]);
            Gateway::new(catalog.cached(), nodes, Arc::clone(&metrics))
        });
        Self { cores: Some(cores.expect("threads can be started")), address }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn curl(&self, arguments: &[&str], path: &str, input: &[u8]) -> Output {
        let mut command = Command::new("curl");
        command.args(["--http2-prior-knowledge", "-sS", "--max-time", "60"]).args(arguments);
        output(command.arg(self.url(path)), input)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let cores = self.cores.take().expect("it is dropped once");
        cores.drain();
        cores.join();
    }
}

fn objects() -> serde_json::Value {
    serde_json::json!({
        "functions": { "test/site": {} },
        "versions": { "0123456789abcdef": {
            "function": "test/site",
            "package": { "root": "/nowhere", "digest": "0" },
            "runtime": { "kind": "command", "argv": ["./server"] },
            "resources": {
                "cpu_millis": 100, "memory_bytes": 1, "pids": 1, "files": 1, "tmp_bytes": 1
            },
            "concurrency": 1, "min": 0, "max": 1, "idle_timeout": "30s",
            "clocks": {
                "queue": "30s", "start": "30s", "first_byte": "30s", "idle": "30s", "run": "60s"
            },
        } },
        "routes": { "site": { "path": "/site", "function": "test/site" } },
        "releases": { "test/site": { "stable": "0123456789abcdef" } },
    })
}

/// Runs a client to its end.
fn output(command: &mut Command, input: &[u8]) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the client is installed");
    let mut stdin = child.stdin.take().expect("it is piped");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A client that has its answer need not read on.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().expect("the client ends")
    })
}

/// Answers requests on one connection: with what was sent, or with a greeting.
fn serve(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let head = head(&mut reader)?;
        let (body, trailers) = if let Some(length) = field(&head, "content-length") {
            let mut body = vec![0; length.parse().ok()?];
            reader.read_exact(&mut body).ok()?;
            (body, String::new())
        } else if field(&head, "transfer-encoding").is_some() {
            chunks(&mut reader)?
        } else {
            (b"hello".to_vec(), String::new())
        };
        let is_head = head.starts_with("HEAD ");
        let answer = match head.split(' ').nth(1)? {
            path if path.ends_with("/trailers") => {
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                format!("{head}2\r\nhi\r\n0\r\ngrpc-status: 7\r\nx-seen: {trailers}\r\n\r\n")
                    .into_bytes()
            }
            path if path.ends_with("/none") => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            _ => {
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                let mut answer = head.into_bytes();
                answer.extend_from_slice(if is_head { b"" } else { &body });
                answer
            }
        };
        (&*stream).write_all(&answer).ok()?;
    }
}

fn head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A body, and the trailers behind it.
fn chunks(reader: &mut impl BufRead) -> Option<(Vec<u8>, String)> {
    let (mut body, mut trailers) = (Vec::new(), String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        if size == 0 {
            break;
        }
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..]).ok()?;
        reader.read_line(&mut String::new()).ok()?;
    }
    while !trailers.ends_with("\r\n\r\n") && trailers != "\r\n" {
        reader.read_line(&mut trailers).ok()?;
    }
    Some((body, trailers.trim().to_owned()))
}

#[test]
#[ignore = "needs curl with HTTP/2"]
fn curl_gets_answers_and_refusals() {
    let world = World::start();
    let got = world.curl(&["-w", " %{http_version} %{http_code}"], "/site/a", b"");
    assert_eq!(String::from_utf8_lossy(&got.stdout), "hello 2 200", "{got:?}");
    let got = world.curl(&["-I"], "/site/a", b"");
    let text = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(text.starts_with("HTTP/2 200") && text.contains("content-length: 5\r\n"), "{text}");
    let got = world.curl(&["-w", "%{http_code}"], "/site/none", b"");
    assert_eq!(String::from_utf8_lossy(&got.stdout), "204");
    let got = world.curl(&["-i"], "/elsewhere", b"");
    let text = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(text.starts_with("HTTP/2 404"), "{text}");
    assert!(text.contains("content-type: application/problem+json"), "{text}");
    assert!(text.contains("no-route"), "{text}");
}

#[test]
#[ignore = "needs curl with HTTP/2"]
fn curl_sends_megabytes_in_both_framings_and_gets_them_back() {
    let world = World::start();
    let body: Vec<u8> = (0..=250).cycle().take(20 << 20).collect();
    for framing in [["-X", "POST", "--data-binary", "@-"], ["-X", "POST", "-T", "-"]] {
        let got = world.curl(&framing, "/site/echo", &body);
        assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
        assert!(got.stdout == body, "{framing:?}: {} bytes", got.stdout.len());
    }
}

#[test]
#[ignore = "needs nghttp"]
fn nghttp_reads_trailers_and_sends_them() {
    let world = World::start();
    let url = world.url("/site/trailers");
    // A body of declared length has no place for trailers in HTTP/1.1.
    let arguments =
        ["-v", "--no-content-length", "--trailer", "x-sum: 1", "-d", "Cargo.toml", &url];
    let got = output(Command::new("nghttp").args(arguments), b"");
    let text = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(got.status.success() && text.contains("grpc-status: 7"), "{text}");
    assert!(text.contains("x-seen: x-sum: 1"), "{text}");
}

#[test]
#[ignore = "needs h2load"]
fn h2load_gets_every_answer_over_many_streams() {
    let world = World::start();
    let url = world.url("/site/a");
    let arguments = ["-n", "5000", "-c", "4", "-m", "100", &url];
    let got = output(Command::new("h2load").args(arguments), b"");
    let text = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(text.contains("5000 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
}
