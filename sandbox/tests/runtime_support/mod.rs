//! Starts a function behind its adapter as a sandbox would, without the sandbox: the listener at
//! descriptor 3, the pipe at 4, a clean environment. Calls are made with curl.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

pub mod zygote;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use hatchway_sandbox::runtime::{
    Adapters, Assignment, Interpreters, Layout, NodeEntry, PythonEntry, Runtime, StartPlan,
    install_adapters,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Moves the listener from 0 to 3 and the pipe from 1 to 4, then becomes the function.
const HAND_OVER: &str = r#"exec 3<&0 4>&1 1>&2 0</dev/null; exec "$@""#;

pub const REQUEST_ID: &str = "req-1";

pub struct Function {
    child: Child,
    socket: PathBuf,
    ready: Option<PipeReader>,
    log: BufReader<PipeReader>,
    // The folders live as long as the function.
    _root: tempfile::TempDir,
}

/// A package in the making: files, then how to start it.
pub struct Package {
    root: tempfile::TempDir,
    env: BTreeMap<String, String>,
    concurrency: u32,
    warmup: Vec<String>,
}

impl Package {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join("app").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { root, env: BTreeMap::new(), concurrency: 4, warmup: Vec::new() }
    }

    /// The package that is an example of ours, with what `make setup` has installed there.
    pub fn example(name: &str) -> Self {
        let package = Self::new(&[]);
        let folder = example(name);
        std::os::unix::fs::symlink(folder.canonicalize().unwrap(), package.path()).unwrap();
        package
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn concurrency(mut self, concurrency: u32) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// What its zygote asks of it.
    pub fn warmup(mut self, paths: &[&str]) -> Self {
        self.warmup = paths.iter().map(|path| (*path).to_owned()).collect();
        self
    }

    /// Puts a link to a folder into the package.
    pub fn link(self, name: &str, folder: &Path) -> Self {
        std::os::unix::fs::symlink(folder.canonicalize().unwrap(), self.path().join(name)).unwrap();
        self
    }

    pub fn path(&self) -> PathBuf {
        self.root.path().join("app")
    }

    /// Starts the function, and does not wait for it to be ready.
    pub fn spawn(self, runtime: &Runtime) -> Function {
        let root = self.root.path();
        let interpreters = interpreters();
        let adapters = install_adapters(&root.join("adapters")).unwrap();
        let package = self.path();
        let layout = Layout {
            package: package.clone(),
            adapters: adapters.dir.clone(),
            socket: root.join("own.sock"),
        };
        let plan = plan(runtime, &self, &interpreters, &adapters, &layout);
        assert!(plan.inherits_listener);

        let socket = root.join("node.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (ready, ready_end) = std::io::pipe().unwrap();
        let (log, log_end) = std::io::pipe().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", HAND_OVER, "sh"]).args(&plan.argv).current_dir(&package);
        command.env_clear().envs(plan.env.iter().map(|(name, value)| (name, value)));
        command.stdin(OwnedFd::from(listener)).stdout(ready_end).stderr(log_end);
        let child = command.spawn().unwrap();
        // The ends that the child has were owned by the command.
        drop(command);
        Function { child, socket, ready: Some(ready), log: BufReader::new(log), _root: self.root }
    }

    /// Starts the function and waits for its word.
    pub fn start(self, runtime: &Runtime) -> Function {
        let mut function = self.spawn(runtime);
        let word = function.word();
        assert!(
            word["ready"]["load_ms"].is_number(),
            "not ready: {word}, {}",
            function.rest_of_log()
        );
        function
    }
}

pub fn node_handler(module: &str, export: &str) -> Runtime {
    Runtime::Node(NodeEntry::Handler { module: module.to_owned(), export: export.to_owned() })
}

pub fn node_main(script: &str) -> Runtime {
    Runtime::Node(NodeEntry::Main { script: script.to_owned() })
}

pub fn python_handler(module_path: &str, attribute: &str) -> Runtime {
    Runtime::Python(PythonEntry::Handler {
        module_path: module_path.to_owned(),
        attribute: attribute.to_owned(),
    })
}

pub fn python_app(module: &str, attribute: &str) -> Runtime {
    Runtime::Python(PythonEntry::App { module: module.to_owned(), attribute: attribute.to_owned() })
}

/// The folder of an example.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// A folder that `make setup` makes.
pub fn installed(folder: PathBuf) -> PathBuf {
    assert!(folder.is_dir(), "{} is missing: run `make setup`", folder.display());
    folder
}

pub fn interpreters() -> Interpreters {
    Interpreters::discover(&hatchway_sandbox::runtime::InterpreterSettings::default())
}

fn plan(
    runtime: &Runtime,
    package: &Package,
    on: &Interpreters,
    adapters: &Adapters,
    layout: &Layout,
) -> StartPlan {
    let assignment = Assignment {
        tenant: "acme",
        function: "tested",
        version: "v1",
        sandbox: "s1",
        concurrency: package.concurrency,
        memory_bytes: Some(256 << 20),
        env: &package.env,
    };
    StartPlan::new(runtime, &assignment, on, adapters, layout).unwrap()
}

impl Function {
    /// The one line on the pipe; waits until the adapter has closed it.
    pub fn word(&mut self) -> Value {
        let mut line = String::new();
        self.ready.take().unwrap().read_to_string(&mut line).unwrap();
        serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("no word but {line:?}: {}", self.rest_of_log()))
    }

    /// curl, set up to call this function with what the node scheduler adds to every request.
    pub fn curl(&self, path: &str) -> Curl {
        self.curl_as(REQUEST_ID, path)
    }

    pub fn curl_as(&self, request_id: &str, path: &str) -> Curl {
        Curl::new(&self.socket, request_id, path)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.curl(path).answer()
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The next line of stdout and stderr; waits for it.
    pub fn log_line(&mut self) -> String {
        let mut line = String::new();
        self.log.read_line(&mut line).unwrap();
        line
    }

    /// The rest of the log, once the function has ended.
    pub fn rest_of_log(&mut self) -> String {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        rest
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It may have ended already, as some tests want it to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One call in the making.
pub struct Curl(Command);

impl Curl {
    fn new(socket: &Path, request_id: &str, path: &str) -> Self {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--include", "--no-buffer", "--max-time", "60"]);
        command.arg("--unix-socket").arg(socket).arg(format!("http://tested{path}"));
        Self(command).header("hatchway-request-id", request_id).header("hatchway-tenant", "acme")
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        self.args(&["--header", &format!("{name}: {value}")])
    }

    pub fn method(self, method: &str) -> Self {
        self.args(&["--request", method])
    }

    pub fn head(self) -> Self {
        self.args(&["--head"])
    }

    pub fn body(self, content_type: &str, body: &str) -> Self {
        self.header("content-type", content_type).args(&["--data-binary", body])
    }

    /// Sends a file; `-` as curl's own sign for "length unknown" is not needed, a header says it.
    pub fn file(self, content_type: &str, path: &Path) -> Self {
        self.body(content_type, &format!("@{}", path.display()))
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.0.args(args);
        self
    }

    pub fn answer(mut self) -> Answer {
        let output = self.0.output().unwrap();
        Answer::parse(&output.stdout, output.status.code().unwrap(), &output.stderr)
    }

    /// All that curl writes, when there is more than one answer.
    pub fn output(mut self) -> String {
        String::from_utf8(self.0.output().unwrap().stdout).unwrap()
    }

    /// Starts the call, to read its answer as it comes.
    pub fn open(mut self) -> Open {
        let mut child = self.0.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Open { child, output }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// curl's own: 0, or 18 when the answer was cut off.
    pub exit: i32,
}

impl Answer {
    fn parse(mut output: &[u8], exit: i32, stderr: &[u8]) -> Self {
        loop {
            let end = output.windows(4).position(|w| w == b"\r\n\r\n");
            let end =
                end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(stderr)));
            let head = String::from_utf8(output[..end].to_vec()).unwrap();
            output = &output[end + 4..];
            let status = head[9..12].parse().unwrap();
            if status >= 200 {
                return Self { status, head: head.to_lowercase(), body: output.to_vec(), exit };
            }
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {self:?} {:?}", self.text()))
    }
}

/// A call whose answer is still coming.
pub struct Open {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Open {
    /// Reads up to and with the line `wanted`.
    pub fn read_to(&mut self, wanted: &str) {
        let mut line = String::new();
        while line.trim_end() != wanted {
            line.clear();
            assert_ne!(
                self.output.read_line(&mut line).unwrap(),
                0,
                "the answer ended before {wanted:?}"
            );
        }
    }

    /// The caller leaves.
    pub fn hang_up(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn finish(mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap();
        rest
    }
}
