//! One of our programs while it runs.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use crate::{Output, Source, eventually, program_path};

/// A running program and its output. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    readers: Vec<JoinHandle<()>>,
    /// What it prints.
    pub output: Output,
}

impl Program {
    /// Starts a program with a clean temporary folder and no colours.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, arguments: &[String], temporary: &Path) -> Self {
        Self::start_in(name, arguments, temporary, &[])
    }

    /// The same, with more in its environment.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_in(
        name: &str,
        arguments: &[String],
        temporary: &Path,
        environment: &[(String, String)],
    ) -> Self {
        let mut child = Command::new(program_path(name))
            .args(arguments)
            .envs(environment.iter().cloned())
            .env("TMPDIR", temporary)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let output = Output::default();
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let readers = vec![output.read(Source::Out, stdout), output.read(Source::Err, stderr)];
        Self { name: name.to_owned(), child, readers, output }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        // It may have ended already.
        let _ = kill_process(pid.expect("a process id is positive"), signal);
    }

    /// Waits for its end and reads its output to the end: `Ctrl-C`, then this, is what a user does.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let status = self.wait_alone();
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader does not panic");
        }
        status
    }

    /// Waits for its end alone: what it has started may live on and hold its output open.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait_alone(&mut self) -> ExitStatus {
        let what = format!("the end of {}, which has printed:\n{}", self.name, self.output);
        eventually(&what, || self.child.try_wait().expect("it is our child"))
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.has_ended() {
            // Only a test that fails comes here.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- {} printed:\n{}", self.name, self.output);
        }
    }
}
