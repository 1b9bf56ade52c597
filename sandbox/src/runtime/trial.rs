//! Can this Node be forked? Found out by doing it, once, when the daemon starts: a zygote of a
//! function of ours, two children, an answer from each.
//!
//! That a fork of Node works rests on things that Node does not promise. A version where one of
//! them is different starts its functions by other means, and says why.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, sockopt};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Deserialize;

use super::{Adapters, Interpreter, node};
use crate::protocol::packet::{self, Receiver};
use crate::protocol::zygote::{Answer, Go, Prepare, Request};

/// The versions with which all of `tests/runtime_node_zygote` has passed. 18 has not: a forked
/// process hangs there when it starts a thread.
const TESTED: [u32; 4] = [20, 22, 24, 26];
/// For the whole of it. It takes half a second, but a node may start on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// Moves the zygote's socket from 0 to 3 and its ready pipe from 1 to 4, then becomes it.
const HAND_OVER: &str = r#"exec 3<&0 4>&1 0</dev/null 1>&2; exec "$@""#;

/// Why this version of Node cannot be forked.
#[derive(Debug, thiserror::Error)]
pub enum Unforkable {
    #[error("only versions {TESTED:?} have been tested with")]
    Untested,
    #[error("it cannot be tried")]
    Io(#[from] io::Error),
    #[error("no {step} within {LIMIT:?}")]
    Late { step: &'static str },
    #[error("it did not come to its fork point: {word}")]
    NotReady { word: String },
    #[error("a child sent something else than {wanted}: {text}")]
    Garbled { wanted: &'static str, text: String },
    #[error("siblings draw the same {what}")]
    Alike { what: String },
    #[error("a child cannot {what}")]
    Unable { what: String },
}

/// What a child answers, see `adapters/node/zygote/trial.mjs`.
#[derive(Debug, Deserialize)]
struct Report {
    drawn: BTreeMap<String, Vec<String>>,
    can: BTreeMap<String, bool>,
}

impl Interpreter {
    /// Tries to fork this Node. Blocks for half a second, and never for longer than 20.
    ///
    /// # Errors
    /// What it could not do. Its functions are to be started by other means then.
    pub fn try_fork(&self, adapters: &Adapters) -> Result<(), Unforkable> {
        if !TESTED.contains(&self.version.0) {
            return Err(Unforkable::Untested);
        }
        let deadline = Deadline(Instant::now() + LIMIT);
        let mut zygote = Zygote::start(self, adapters)?;
        zygote.expect_ready(&deadline)?;
        let (first, second) = (zygote.fork(1, &deadline)?, zygote.fork(2, &deadline)?);
        judge(&first.report(&deadline)?, &second.report(&deadline)?)?;
        first.end(&deadline)?;
        second.end(&deadline)
    }
}

fn judge(first: &Report, second: &Report) -> Result<(), Unforkable> {
    for (what, values) in &first.drawn {
        let other = second.drawn.get(what).map(Vec::as_slice).unwrap_or_default();
        if values.is_empty() || values.iter().any(|value| other.contains(value)) {
            return Err(Unforkable::Alike { what: what.clone() });
        }
    }
    match first.can.iter().chain(&second.can).find(|(_, can)| !**can) {
        Some((what, _)) => Err(Unforkable::Unable { what: what.clone() }),
        None => Ok(()),
    }
}

struct Zygote {
    process: Child,
    socket: OwnedFd,
    ready: io::PipeReader,
}

impl Zygote {
    fn start(interpreter: &Interpreter, adapters: &Adapters) -> io::Result<Self> {
        let folder = adapters.dir.join("node");
        let adapter = folder.join("handler.cjs").display().to_string();
        let mut argv = vec![interpreter.path.clone(), adapter, "trial.mjs".into(), "answer".into()];
        node::make_zygote(&mut argv);
        let (socket, socket_end) = packet::pair()?;
        let (ready, ready_end) = io::pipe()?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", HAND_OVER, "sh"]).args(argv).current_dir(folder.join("zygote"));
        command.env_clear().env("HATCHWAY_ZYGOTE_FD", "3");
        command.stdin(socket_end).stdout(ready_end).stderr(Stdio::null());
        Ok(Self { process: command.spawn()?, socket, ready })
    }

    fn expect_ready(&mut self, deadline: &Deadline) -> Result<(), Unforkable> {
        deadline.wait(&self.ready, "word of a zygote")?;
        // Written at once, and the pipe is closed right after.
        let mut word = String::new();
        self.ready.read_to_string(&mut word)?;
        match word.starts_with(r#"{"ready":"#) {
            true => Ok(()),
            false => Err(Unforkable::NotReady { word: word.trim_end().to_owned() }),
        }
    }

    /// Forks the child `number` and lets it serve.
    fn fork(&self, number: u64, deadline: &Deadline) -> Result<Sibling, Unforkable> {
        let name = format!("hatchway-trial-{}-{number}", self.process.id());
        let address = SocketAddr::from_abstract_name(name)?;
        let listener = UnixListener::bind_addr(&address)?;
        let (ready, ready_end) = io::pipe()?;
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
        let (control, control_end) = packet::pair()?;
        sockopt::set_socket_passcred(&control, true).map_err(io::Error::from)?;
        let output = null.as_fd();
        let given = [listener.as_fd(), ready_end.as_fd(), output, output, control_end.as_fd()];
        packet::send_message(&self.socket, &Request::Fork(number), &given)?;
        drop((listener, ready_end, control_end));

        deadline.wait(&control, "word of a child")?;
        let mut receiver = Receiver::new();
        let packet = receiver.receive_from(&control, RecvFlags::empty())?;
        let (bytes, _, sender) = packet.unwrap_or_default();
        let garbled = || Unforkable::Garbled {
            wanted: "that it is parked",
            text: String::from_utf8_lossy(bytes).into_owned(),
        };
        let child = Sibling::find(sender.ok_or_else(garbled)?, address)?;
        match packet::decode::<Answer>(bytes) {
            Ok(Answer::Here { here, prepare: true }) if here == number => {}
            Ok(Answer::Here { .. } | Answer::Failed { .. }) | Err(_) => return Err(garbled()),
        }
        packet::send_message(&control, &Prepare { prepare: number }, &[])?;
        let go = Go { go: number, sandbox: "trial".to_owned() };
        packet::send_message(&control, &go, &[])?;
        deadline.wait(&ready, "child that serves")?;
        Ok(child)
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Sibling {
    pidfd: OwnedFd,
    address: SocketAddr,
}

impl Sibling {
    /// The zygote waits for none of its children here, so the number is still that of this one.
    fn find(pid: Pid, address: SocketAddr) -> io::Result<Self> {
        Ok(Self { pidfd: pidfd_open(pid, PidfdFlags::empty())?, address })
    }

    fn report(&self, deadline: &Deadline) -> Result<Report, Unforkable> {
        let answer = self.call("/", deadline)?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        let report = body.and_then(|body| serde_json::from_str(body).ok());
        report.ok_or(Unforkable::Garbled { wanted: "its report", text: answer })
    }

    /// Has it end as Node ends, which joins threads.
    fn end(&self, deadline: &Deadline) -> Result<(), Unforkable> {
        self.call("/?end=1", deadline)?;
        deadline.wait(&self.pidfd, "end of a child")
    }

    fn call(&self, path: &str, deadline: &Deadline) -> Result<String, Unforkable> {
        let mut connection = UnixStream::connect_addr(&self.address)?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: trial\r\nconnection: close\r\n\r\n");
        connection.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        loop {
            deadline.wait(&connection, "answer of a child")?;
            let mut piece = [0; 4096];
            match connection.read(&mut piece) {
                Ok(0) => return Ok(String::from_utf8_lossy(&answer).into_owned()),
                Ok(length) => answer.extend_from_slice(&piece[..length]),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        // It has ended already, unless the trial has failed.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

struct Deadline(Instant);

impl Deadline {
    /// Waits until there is something to read, or the end of it.
    fn wait(&self, fd: impl AsFd, step: &'static str) -> Result<(), Unforkable> {
        let left = self.0.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).expect("seconds fit");
        let mut watched = [PollFd::new(&fd, PollFlags::IN)];
        let ready = rustix::io::retry_on_intr(|| poll(&mut watched, Some(&timeout)));
        match ready.map_err(io::Error::from)? {
            0 => Err(Unforkable::Late { step }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(math: &str, can: bool) -> Report {
        Report {
            drawn: [("math".to_owned(), vec!["0.1".to_owned(), math.to_owned()])].into(),
            can: [("wait".to_owned(), can)].into(),
        }
    }

    fn drawn(values: &[&str]) -> Report {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        Report { drawn: [("math".to_owned(), values)].into(), can: BTreeMap::new() }
    }

    #[test]
    fn siblings_that_share_one_value_are_alike() {
        let verdict = judge(&drawn(&["0.1", "0.2"]), &drawn(&["0.3", "0.1"]));
        assert_eq!(verdict.expect_err("0.1").to_string(), "siblings draw the same math");
        assert!(judge(&drawn(&["0.1", "0.2"]), &drawn(&["0.3", "0.4"])).is_ok());
        assert!(judge(&drawn(&[]), &drawn(&["0.3"])).is_err(), "nothing drawn proves nothing");
    }

    #[test]
    fn what_one_of_them_cannot_do_is_named() {
        let mut second = report("0.3", true);
        second.drawn.insert("math".to_owned(), vec!["0.4".to_owned()]);
        assert!(judge(&report("0.2", true), &second).is_ok());
        second.can.insert("wait".to_owned(), false);
        let verdict = judge(&report("0.2", true), &second).expect_err("it cannot");
        assert_eq!(verdict.to_string(), "a child cannot wait");
    }
}
