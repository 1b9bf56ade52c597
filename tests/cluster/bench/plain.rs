//! The functions' processes as anybody would start them: no gateway, no node, no sandbox. What they cost is the machine's.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use hatchway_tests::{Client, Draw, Raw, eventually, program_path};
use tempfile::TempDir;

use super::clients::{Asked, Manner, ask_by, exchange};
use super::functions::{function, path};

/// Processes that listen on a Unix socket each, and the idle connections to them. Killed when dropped.
pub(crate) struct Plain {
    processes: Vec<Child>,
    idle: Vec<Mutex<Vec<Raw<UnixStream>>>>,
    root: TempDir,
}

impl Plain {
    pub(crate) fn start(count: usize) -> Self {
        let root = tempfile::Builder::new().prefix("hw-plain").tempdir().expect("a folder");
        let start = |n| {
            let mut command = Command::new(program_path("hatchway-bench-function"));
            command.env("HATCHWAY_SOCKET", socket(root.path(), n)).stdin(Stdio::null());
            command.spawn().expect("the program starts")
        };
        let processes = (0..count).map(start).collect();
        let idle = (0..count).map(|_| Mutex::default()).collect();
        let this = Self { processes, idle, root };
        for n in 0..count {
            eventually("it listens", || this.connect(n).ok());
        }
        this
    }

    fn connect(&self, n: usize) -> io::Result<Raw<UnixStream>> {
        UnixStream::connect(socket(self.root.path(), n)).map(Raw::over)
    }

    /// Asks them as `manner` says; `which` says whom.
    pub(crate) fn ask(&self, manner: Manner, which: impl Fn(&mut Draw) -> usize + Sync) -> Asked {
        ask_by(
            manner,
            |draw| path(which(draw)),
            |_| |path: &str| self.ask_one(path).map_err(|error| error.to_string()),
        )
    }

    fn ask_one(&self, path: &str) -> io::Result<()> {
        let n = function(path).ok_or_else(|| io::Error::other("no such function"))?;
        let kept = self.idle[n].lock().expect("nobody panics with it").pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect(n)?,
        };
        let (status, _) = exchange(&mut connection, path)?;
        self.idle[n].lock().expect("nobody panics with it").push(connection);
        if status == 200 { Ok(()) } else { Err(io::Error::other(status.to_string())) }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.processes.iter_mut().for_each(end);
    }
}

/// nginx before them, with a worker for each of two cores and connections that are kept.
pub(crate) struct Nginx {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    pub(crate) fn start(before: &Plain) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = listener.expect("a free port");
        let root = before.root.path();
        let file = root.join("nginx.conf");
        let text = configuration(root, address, before.processes.len());
        fs::write(&file, text).expect("own folder");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(root).args(["-e", "stderr", "-c"]).arg(&file);
        let process = command.spawn().expect("nginx starts: `make setup-bench` installs it");
        let client = Client::new(address);
        eventually("nginx serves", || {
            client.request("GET", &path(0), &[], b"").ok().filter(|answer| answer.status == 200)
        });
        Self { process, address }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers go with it when it is asked to; killed, it would leave them behind.
        let asked = Command::new("kill").arg(self.process.id().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()), "it runs");
        // It has heard, or the test is over anyway.
        let _ = self.process.wait();
    }
}

fn configuration(root: &Path, address: SocketAddr, count: usize) -> String {
    let (mut upstreams, mut locations) = (String::new(), String::new());
    for n in 0..count {
        let socket = socket(root, n);
        writeln!(
            upstreams,
            "upstream f{n} {{ server unix:{}; keepalive 16; keepalive_requests 1000000000; }}",
            socket.display()
        )
        .expect("a string takes every write");
        writeln!(locations, "location /f{n}/ {{ proxy_pass http://f{n}; }}")
            .expect("a string takes every write");
    }
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let root = root.display();
    format!(
        "daemon off;\n{user}\nworker_processes 2;\nworker_rlimit_nofile 20000;\npid {root}/nginx.pid;\n\
         error_log stderr error;\nevents {{ worker_connections 12000; }}\nhttp {{\naccess_log off;\n\
         keepalive_requests 1000000000;\nkeepalive_timeout 600s;\nproxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\nproxy_buffering off;\n\
         client_body_temp_path {root}/a;\nproxy_temp_path {root}/b;\nfastcgi_temp_path {root}/c;\n\
         uwsgi_temp_path {root}/d;\nscgi_temp_path {root}/e;\n{upstreams}\
         server {{\nlisten {address} backlog=4096;\n{locations}}}\n}}\n"
    )
}

fn socket(root: &Path, n: usize) -> PathBuf {
    root.join(format!("f{n}.sock"))
}

fn end(process: &mut Child) {
    // It may have ended by itself.
    let _ = process.kill();
    let _ = process.wait();
}
