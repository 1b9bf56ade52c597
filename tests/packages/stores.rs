//! The same over HTTP, and over what speaks like S3.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use hatchway_tests::{Client, eventually, python_with_packages, skipped};

use crate::kit::{Site, machine, project, wait_for};

/// A web server over the folder of packages. Ends when dropped.
pub(crate) struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    folder: PathBuf,
    stall_after: AtomicU64,
    is_over: AtomicBool,
}

impl Web {
    pub(crate) fn over(package: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            folder: package.parent().expect("it is in a folder").to_owned(),
            stall_after: AtomicU64::new(u64::MAX),
            is_over: AtomicBool::new(false),
        });
        let of = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if of.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let of = Arc::clone(&of);
                // Ends with its connection, which ends with the node.
                thread::spawn(move || of.serve(stream.expect("it was accepted")));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on no more than so many bytes of an answer come.
    pub(crate) fn stall_after(&self, bytes: u64) {
        self.shared.stall_after.store(bytes, Ordering::SeqCst);
    }
}

impl Shared {
    /// One request to a connection; none is worth more here.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        let request = lines.next()?.ok()?;
        while !lines.next()?.ok()?.is_empty() {}
        let mut words = request.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let found = path
            .strip_prefix("/packages/")
            .and_then(|name| std::fs::read(self.folder.join(name)).ok());
        let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
        let body = found.unwrap_or_default();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nlast-modified: Sat, 21 Nov 2026 00:00:00 GMT\r\n\
             etag: \"1\"\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
        if method == "HEAD" {
            return Some(());
        }
        let most = usize::try_from(self.stall_after.load(Ordering::SeqCst)).unwrap_or(usize::MAX);
        stream.write_all(&body[..length.min(most)]).ok()?;
        if most < length {
            // Until the other side goes.
            let _ = lines.next();
        }
        Some(())
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does not panic");
        }
    }
}

#[test]
fn a_web_server_is_a_store_to_read_from() {
    let site = Site::start();
    let (here, edge) = (machine(), machine());
    let project = project("one");
    site.deploy(&project, &[]);
    let web = Web::over(&site.package());
    let node = site.node(&here, &["--store", &web.url()]);
    let gateway = site.serving(&edge, &[&node]);
    assert_eq!(gateway.get("/word").text(), "one");
    crate::kit::write(&project, "two");
    let output = site.run_deploy(&project, &["--store", &web.url()]);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && why.contains("can only be read"), "{why}");
}

/// A server that speaks S3. Ended when dropped.
struct S3 {
    child: Child,
    url: String,
}

impl S3 {
    fn start(python: &Path) -> Option<Self> {
        let known = Command::new(python).args(["-c", "import moto.server"]).output().ok()?;
        if !known.status.success() {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let child = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let s3 = Self { child, url: format!("http://127.0.0.1:{port}") };
        let client = Client::new(SocketAddr::from(([127, 0, 0, 1], port)));
        eventually("S3 makes a bucket", || {
            let made = client.request("PUT", "/functions", &[], &[]).ok()?;
            (made.status == 200).then_some(())
        });
        Some(s3)
    }

    fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "tester"),
            ("AWS_SECRET_ACCESS_KEY", "not a secret"),
        ]
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It is our child, and may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn s3_keeps_packages_of_one_part_and_of_several() {
    let s3 = python_with_packages().and_then(|python| S3::start(&python));
    let Some(s3) = s3 else { return skipped("s3_keeps_packages", "moto in a venv") };
    let site = Site::start().with(&s3.environment());
    let (here, edge) = (machine(), machine());
    let project = project("one");
    let store = ["--store", "s3://functions/some/where"];
    assert_eq!(site.deploy(&project, &store)["uploaded"], 1);
    assert_eq!(site.deploy(&project, &store)["uploaded"], 0, "it is there");
    let node = site.node(&here, &store);
    let gateway = site.serving(&edge, &[&node]);
    assert_eq!(gateway.get("/word").text(), "one");
    // More than one part.
    crate::kit::write(&project, "two");
    project.write("noise.bin", crate::kit::noise(20 << 20, 1));
    site.deploy(&project, &store);
    wait_for(&node, "ready", 2);
    eventually("the second one answers", || (gateway.get("/word").text() == "two").then_some(()));
}
