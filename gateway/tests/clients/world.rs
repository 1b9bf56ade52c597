//! A whole gateway with one route, and a node with a function that the test plays over HTTP/1.1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use hatchway_gateway::accept::{self, Door, Ports};
use hatchway_gateway::catalog::{self, apply::apply};
use hatchway_gateway::config::TlsConfig;
use hatchway_gateway::forward::{Fleet, RemoteNodes};
use hatchway_gateway::handle::Gateway;
use hatchway_gateway::metrics::EdgeMetrics;
use hatchway_wire::core::Cores;
use hatchway_wire::link::Security;
use hatchway_wire::listen::{self, Address};
use prometheus::Registry;

use crate::node;

/// The body of `/large`.
pub(crate) const LARGE: usize = 20 << 20;

/// A gateway with one route, `/site`, and its node.
pub(crate) struct World {
    cores: Option<Cores>,
    pub(crate) address: Address,
    /// Where TLS is spoken, if it is.
    pub(crate) tls: Option<Address>,
    pub(crate) registry: Registry,
}

impl World {
    /// Without TLS.
    pub(crate) fn start() -> Self {
        Self::start_with(&TlsConfig::default(), Door::default())
    }

    pub(crate) fn start_with(tls: &TlsConfig, door: Door) -> Self {
        let function = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let at = function.local_addr().expect("a listener has an address");
        let at = Address::Tcp(node::in_front_of(at));
        std::thread::spawn(move || {
            for stream in function.incoming().flatten() {
                std::thread::spawn(move || serve(&stream));
            }
        });
        let registry = Registry::new();
        let (publisher, catalog) = catalog::channel();
        let metrics = Arc::new(EdgeMetrics::register(&registry, &catalog));
        let objects = serde_json::from_value(objects()).expect("the catalog is well-formed");
        let snapshot = apply(&publisher.current(), Arc::new(objects));
        assert!(snapshot.problems.is_empty(), "{:?}", snapshot.problems);
        publisher.publish(snapshot);
        let free = "127.0.0.1:0".parse().expect("an address");
        let (listeners, address) = listen::bind(&free, 1).expect("loopback has free ports");
        let tls = tls.open(1).expect("the certificates are good");
        if let Some(tls) = &tls {
            let following = tls.follow();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime can be made").block_on(following);
            });
        }
        let tls_address = tls.as_ref().map(|tls| tls.address.clone());
        let cores = accept::start(Ports::from(listeners).with_tls(tls), door, move |core| {
            let nodes =
                RemoteNodes::new(&Fleet::from(vec![at.clone()]), Security::default(), &core.ticker);
            Gateway::new(catalog.cached(), nodes, Arc::clone(&metrics))
        });
        let cores = Some(cores.expect("threads can be started"));
        Self { cores, address, tls: tls_address, registry }
    }

    /// The value of a counter; 0 before it was ever counted.
    pub(crate) fn counted(&self, family: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|found| found.name() == family);
        let metric = family.and_then(|family| {
            let is_it = |metric: &&prometheus::proto::Metric| {
                metric.get_label().iter().any(|pair| pair.value() == label)
            };
            family.get_metric().iter().find(is_it)
        });
        metric.map_or(0.0, |metric| metric.get_counter().get_value())
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
pub(crate) fn output(command: &mut Command, input: &[u8]) -> Output {
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
            path if path.ends_with("/head") => {
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len())
                    .into_bytes()
            }
            path if path.ends_with("/large") => {
                let mut answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").into_bytes();
                answer.extend((0..=250).cycle().take(LARGE));
                answer
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
