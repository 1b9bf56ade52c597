//! A program under measurement: pinned to a core, its words kept in a file, ended with its guard.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::{BenchError, During as _, Result};

/// Generous: Envoy takes a second on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// What a drain may take before the group is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at a foreign program that offers no event to wait for.
const POLL: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    process: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts `command` in a process group of its own, on core `cpu` or on all.
    pub(crate) fn start(
        name: &str,
        cpu: impl Into<Option<usize>>,
        command: Command,
        dir: &Path,
    ) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let output = File::create(&log).at("create", &log)?;
        let errors = output.try_clone().during("share a log file")?;
        let mut command = match cpu.into() {
            Some(cpu) => pinned(cpu, &command),
            None => command,
        };
        let process = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .during(&format!("start {name}"))?;
        Ok(Self { name: name.to_owned(), process, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Asks `is_ready` until it holds.
    ///
    /// # Errors
    /// With what the program wrote, when it ends or takes longer than [`READY_LIMIT`].
    pub(crate) fn wait_until(&mut self, is_ready: impl Fn() -> bool) -> Result<()> {
        self.wait_within(READY_LIMIT, is_ready)
    }

    /// The same with another limit.
    ///
    /// # Errors
    /// As [`wait_until`](Self::wait_until).
    pub(crate) fn wait_within(
        &mut self,
        limit: Duration,
        is_ready: impl Fn() -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !is_ready() {
            let ended = self.process.try_wait().during("look after a program")?.is_some();
            if ended || Instant::now() > deadline {
                let output = last_lines(&fs::read_to_string(&self.log).unwrap_or_default());
                return Err(BenchError::NotReady { name: self.name.clone(), output });
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        // Fails only when the group has gone, which is what is wanted.
        let _ = group.map(|group| kill_process_group(group, signal));
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        self.signal(Signal::KILL);
        let _ = self.process.wait();
    }
}

/// The same command under `taskset`, which becomes the program: the process id stays its own.
pub(crate) fn pinned(cpu: usize, command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.arg("-c").arg(cpu.to_string()).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => pinned.env(name, value),
            None => pinned.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        pinned.current_dir(dir);
    }
    pinned
}

/// Runs `command` to its end, and returns what it wrote to its standard output.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().during(&format!("run {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(BenchError::Failed { program, output: text + &errors })
}

/// Enough to see why, and not the whole life of a server.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

/// Where `program` is on the path, servers' folders included by the caller's `PATH`.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file());
    found.ok_or_else(|| BenchError::NotInstalled { program: program.to_owned() })
}
