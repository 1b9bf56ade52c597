//! Plays the spawner for a zygote: `protocol/zygote.rs` of the library tells what is said.
//! Without namespaces and groups, so the children are plain processes beside this test.

use std::fs;
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, PipeReader, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use hatchway_sandbox::runtime::{Assignment, Layout, Runtime, StartPlan, install_adapters};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    sockopt,
};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

use super::{Answer, Curl, HAND_OVER, Package, REQUEST_ID, interpreters};

pub struct Zygote {
    process: Child,
    socket: Option<OwnedFd>,
    ready: Option<PipeReader>,
    log: BufReader<PipeReader>,
    forked: u64,
    root: tempfile::TempDir,
}

/// A child that waits for its "go".
pub struct Parked {
    serving: Serving,
    control: OwnedFd,
}

/// A child that serves.
pub struct Serving {
    pub number: u64,
    pub pid: Pid,
    pidfd: OwnedFd,
    socket: PathBuf,
    ready: Option<PipeReader>,
    log: BufReader<PipeReader>,
}

impl Package {
    /// Starts the zygote of `runtime`, and does not wait for it.
    pub fn spawn_zygote(self, runtime: &Runtime) -> Zygote {
        let root = self.root.path();
        let adapters = install_adapters(&root.join("adapters")).unwrap();
        let package = self.path();
        let layout = Layout {
            package: package.clone(),
            adapters: adapters.dir.clone(),
            socket: root.join("own.sock"),
        };
        let assignment = Assignment {
            tenant: "acme",
            function: "tested",
            version: "v1",
            sandbox: "",
            concurrency: self.concurrency,
            memory_bytes: None,
            env: &self.env,
        };
        let plan = StartPlan::zygote(runtime, &assignment, &interpreters(), &adapters, &layout);
        let plan = plan.unwrap().unwrap().with_warmup(self.warmup.iter().map(String::as_str));

        let (socket, socket_end) = pair();
        let (ready, ready_end) = std::io::pipe().unwrap();
        let (log, log_end) = std::io::pipe().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", HAND_OVER, "sh"]).args(&plan.argv).current_dir(&package);
        command.env_clear().envs(plan.env.iter().map(|(name, value)| (name, value)));
        command.stdin(socket_end).stdout(ready_end).stderr(log_end);
        let process = command.spawn().unwrap();
        drop(command);
        let (ready, log) = (Some(ready), BufReader::new(log));
        Zygote { process, socket: Some(socket), ready, log, forked: 0, root: self.root }
    }

    /// Starts the zygote and waits until it can be forked.
    pub fn zygote(self, runtime: &Runtime) -> Zygote {
        let mut zygote = self.spawn_zygote(runtime);
        zygote.expect_ready();
        zygote
    }
}

impl Zygote {
    /// The one line on its own pipe; waits for the end of the pipe.
    pub fn word(&mut self) -> Value {
        let mut line = String::new();
        self.ready.take().unwrap().read_to_string(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no word but {line:?}"))
    }

    pub fn expect_ready(&mut self) {
        let word = self.word();
        if !word["ready"]["load_ms"].is_number() {
            let mut log = String::new();
            self.log.read_to_string(&mut log).unwrap();
            panic!("not ready: {word}, {log}");
        }
    }

    /// Forks a child, and waits until it is parked.
    pub fn park(&mut self) -> Parked {
        self.forked += 1;
        let number = self.forked;
        let socket = self.root.path().join(format!("{number}.sock"));
        let listener = UnixListener::bind(&socket).unwrap();
        let (ready, ready_end) = std::io::pipe().unwrap();
        let (log, log_end) = std::io::pipe().unwrap();
        let (control, control_end) = pair();
        sockopt::set_socket_passcred(&control, true).unwrap();
        self.send(
            &format!(r#"{{"fork":{number}}}"#),
            &[
                listener.as_fd(),
                ready_end.as_fd(),
                log_end.as_fd(),
                log_end.as_fd(),
                control_end.as_fd(),
            ],
        );
        drop((listener, ready_end, log_end, control_end));
        let (text, pid) = receive(&control);
        assert_eq!(text, format!(r#"{{"here":{number},"prepare":true}}"#));
        let prepare = format!(r#"{{"prepare":{number}}}"#);
        rustix::net::send(&control, prepare.as_bytes(), SendFlags::NOSIGNAL).unwrap();
        let pid = pid.expect("the kernel names the sender");
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        let (ready, log) = (Some(ready), BufReader::new(log));
        Parked { serving: Serving { number, pid, pidfd, socket, ready, log }, control }
    }

    /// Forks a child and lets it serve; waits until it does.
    pub fn serve(&mut self) -> Serving {
        let mut serving = self.park().go();
        let word = serving.word();
        assert!(word["ready"]["load_ms"].is_number(), "{word}, {}", serving.rest_of_log());
        serving
    }

    /// Says that the child of that number has ended.
    pub fn collect(&self, number: u64) {
        self.send(&format!(r#"{{"collect":{number}}}"#), &[]);
    }

    fn send(&self, text: &str, beside: &[std::os::fd::BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(5))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !beside.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(beside)));
        }
        let part = [IoSlice::new(text.as_bytes())];
        let socket = self.socket.as_ref().unwrap();
        sendmsg(socket, &part, &mut ancillary, SendFlags::NOSIGNAL).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// The next line of what it prints itself.
    pub fn log_line(&mut self) -> String {
        let mut line = String::new();
        self.log.read_line(&mut line).unwrap();
        line
    }

    /// Closes its socket and waits for its end.
    pub fn dismiss(&mut self) -> std::process::ExitStatus {
        self.socket = None;
        self.process.wait().unwrap()
    }

    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.process.wait().unwrap()
    }

    pub fn folder(&self) -> &Path {
        self.root.path()
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // It may have ended already, as some tests want it to.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Parked {
    pub fn go(self) -> Serving {
        let number = self.serving.number;
        let text = format!(r#"{{"go":{number},"sandbox":"sb-{number}"}}"#);
        rustix::net::send(&self.control, text.as_bytes(), SendFlags::NOSIGNAL).unwrap();
        self.serving
    }

    pub fn pid(&self) -> Pid {
        self.serving.pid
    }

    /// Closes control instead.
    pub fn abandon(self) -> Serving {
        self.serving
    }
}

impl Serving {
    /// The one line on its ready pipe; waits for the end of the pipe.
    pub fn word(&mut self) -> Value {
        let mut line = String::new();
        self.ready.take().unwrap().read_to_string(&mut line).unwrap();
        serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("no word but {line:?}: {}", self.rest_of_log()))
    }

    pub fn curl(&self, path: &str) -> Curl {
        Curl::new(&self.socket, REQUEST_ID, path)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.curl(path).answer()
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn log_line(&mut self) -> String {
        let mut line = String::new();
        self.log.read_line(&mut line).unwrap();
        line
    }

    /// The rest of its log, once it has ended.
    pub fn rest_of_log(&mut self) -> String {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        rest
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Waits for its end, and reads what wait(2) would say from what is left of it: the last field of
    /// `/proc/pid/stat` (proc_pid_stat(5)).
    pub fn wait(&self) -> i32 {
        let mut ended = [PollFd::new(&self.pidfd, PollFlags::IN)];
        poll(&mut ended, None).unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        stat.split_whitespace().last().unwrap().parse().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already, as some tests want it to.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

fn pair() -> (OwnedFd, OwnedFd) {
    let (family, kind, flags) = (AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC);
    socketpair(family, kind, flags, None).unwrap()
}

/// One packet, and who has sent it.
fn receive(socket: &OwnedFd) -> (String, Option<Pid>) {
    let mut text = [0; 256];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut text)];
    let got = recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::empty()).unwrap();
    let sender = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmCredentials(credentials) => Some(credentials.pid),
        _ => None,
    });
    (String::from_utf8(text[..got.bytes].to_vec()).unwrap(), sender)
}
