//! What every `main` does the same way: logs, signals, an exit code that a supervisor understands.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The configuration is wrong (sysexits(3), `EX_CONFIG`).
const EX_CONFIG: u8 = 78;
/// Something that is needed is not there (sysexits(3), `EX_UNAVAILABLE`).
const EX_UNAVAILABLE: u8 = 69;

/// Why a program ends other than by being asked to.
#[derive(Debug)]
pub struct Exit {
    code: u8,
    message: String,
}

impl Exit {
    /// The configuration is wrong; starting again will not help.
    pub fn config(error: impl Error) -> Self {
        Self { code: EX_CONFIG, message: chain(&error) }
    }

    /// Something is missing that may come back.
    pub fn unavailable(what: String, error: impl Error) -> Self {
        Self { code: EX_UNAVAILABLE, message: format!("{what}: {}", chain(&error)) }
    }
}

/// An error and its causes on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The result of `main` as its exit code, with one line on stderr where something went wrong.
pub fn exit_code(program: &str, result: Result<(), Exit>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            eprintln!("{program}: {exit}");
            ExitCode::from(exit.code)
        }
    }
}

/// Structured logs on stderr: text on a terminal, JSON lines otherwise. `HATCHWAY_LOG` filters them, in the
/// syntax of tracing-subscriber.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("HATCHWAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.init();
    } else {
        builder.json().init();
    }
}

/// Lets this process, and all that it starts from now on, open as many files as it may without asking anybody
/// (getrlimit(2)): most systems start programs with a soft limit of 1,024, for those that call select(2), and a node holds
/// some for every sandbox, a gateway for every connection.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // It cannot be refused: nobody's limit goes up by it. And if it were, we would go on with fewer.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Runs `work` on this thread until SIGINT or SIGTERM.
///
/// # Errors
/// When signals cannot be heard, or when `work` ends first, with its reason.
pub fn until_stopped(work: impl Future<Output = Exit>) -> Result<(), Exit> {
    until_stopped_or(work, std::future::pending::<()>()).map(drop)
}

/// The same, or until `other` has come, which is given back.
///
/// # Errors
/// As [`until_stopped`].
pub fn until_stopped_or<T>(
    work: impl Future<Output = Exit>,
    other: impl Future<Output = T>,
) -> Result<Option<T>, Exit> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::unavailable("cannot start a runtime".to_owned(), error))?;
    runtime.block_on(async {
        let no_signals = |error| Exit::unavailable("cannot listen for signals".to_owned(), error);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        tokio::select! {
            _ = interrupt.recv() => Ok(None),
            _ = terminate.recv() => Ok(None),
            other = other => Ok(Some(other)),
            exit = work => Err(exit),
        }
    })
}

/// Waits for `work` on a thread of its own, but not longer than `limit`.
///
/// # Errors
/// When the limit has passed; the thread is left behind for the exit to end.
pub fn within(limit: Duration, work: impl FnOnce() + Send + 'static) -> Result<(), Exit> {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        work();
        // Nobody waits any more once the limit has passed.
        let _ = done.send(());
    });
    is_done.recv_timeout(limit).map_err(|_| Exit {
        code: 1,
        message: format!("requests were still running after {} s of drain", limit.as_secs()),
    })
}
