//! The log: an end for every core, a thread that writes, and what it is told.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::Builder;
use std::time::{Duration, SystemTime};

use hatchway_proto::failure::Failure;
use hatchway_proto::http1::RequestHead;
use hatchway_proto::name::FunctionName;
use hatchway_wire::account::Account;
use hatchway_wire::backend::Invocation;
use hatchway_wire::backlog::{Backlog, Level, Reader, Share};
use hatchway_wire::http1::{Outcome, Peer};
use hatchway_wire::process::Exit;
use hatchway_wire::scratch;
use prometheus::IntCounter;
use tokio::signal::unix::{SignalKind, signal};

use super::batch::Batch;
use super::config::{AccessConfig, Target};
use super::entry::Entry;
use super::line;
use super::record::Over;
use super::sink::{Lost, Sink};

/// How long the last lines may take when the program ends: a pipe that nobody reads takes them never.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Lines that are made before they are written: what one write takes well, and a bound for what they hold.
const WRITE_BYTES: usize = 256 * 1024;

/// An access log. Dropped, it writes what there is, for a bounded while.
#[derive(Debug)]
pub struct AccessLog {
    scribes: Scribes,
    reopens: Arc<AtomicBool>,
    is_file: bool,
    ended: Receiver<()>,
}

/// Makes an end of the log for every core.
#[derive(Clone, Debug)]
pub struct Scribes {
    backlog: Backlog<Batch>,
    dropped: IntCounter,
    with_query: bool,
}

/// One core's end of the log.
#[derive(Debug)]
pub(crate) struct Scribe {
    share: Share<Batch>,
    dropped: IntCounter,
    with_query: bool,
}

impl AccessLog {
    /// Opens what `config` names and starts the thread that writes there; none where it names nothing. `dropped` counts requests
    /// that have no line.
    ///
    /// # Errors
    /// A file that cannot be opened, or a thread that cannot be started.
    pub fn open(config: &AccessConfig, dropped: &IntCounter) -> Result<Option<Self>, Exit> {
        let Some(target) = config.target.clone() else { return Ok(None) };
        let what = match &target {
            Target::Stdout => "standard output".to_owned(),
            Target::File(path) => path.display().to_string(),
        };
        let is_file = target != Target::Stdout;
        let no_log = |error: io::Error| {
            Exit::unavailable(format!("--access-log: cannot write to {what}"), error)
        };
        let sink = Sink::open(target).map_err(no_log)?;
        let (backlog, reopens) = (Backlog::default(), Arc::default());
        let mut writer = Writer {
            sink,
            reopens: Arc::clone(&reopens),
            dropped: dropped.clone(),
            gap: 0,
            is_failing: false,
            lines: Vec::new(),
        };
        let (end, ended) = mpsc::channel();
        let reading = backlog.clone();
        let write = move || {
            reading.read(&mut writer);
            // Nobody waits once the time for it has passed.
            let _ = end.send(());
        };
        Builder::new().name("access-log".to_owned()).spawn(write).map_err(no_log)?;
        let with_query = !config.without_query;
        let scribes = Scribes { backlog, dropped: dropped.clone(), with_query };
        Ok(Some(Self { scribes, reopens, is_file, ended }))
    }

    /// For the cores.
    pub fn scribes(&self) -> Scribes {
        self.scribes.clone()
    }

    /// Opens the file again at each SIGHUP, for as long as it is polled. With a terminal as standard input the signal is that of
    /// its end, and ends the program as ever.
    pub async fn follow_hangups(log: Option<&Self>) {
        let Some(log) = log.filter(|log| log.is_file && !io::stdin().is_terminal()) else { return };
        match signal(SignalKind::hangup()) {
            Ok(mut hangups) => {
                while hangups.recv().await.is_some() {
                    log.reopens.store(true, Ordering::Relaxed);
                    log.scribes.backlog.hurry();
                }
            }
            Err(error) => tracing::error!(%error, "the access log is not opened again by a signal"),
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.scribes.backlog.close();
        if self.ended.recv_timeout(LAST_LINES).is_err() {
            tracing::warn!("the last lines of the access log are not written");
        }
    }
}

impl Scribes {
    /// The end of one more core.
    pub(crate) fn scribe(&self) -> Scribe {
        let (share, dropped) = (self.backlog.share(), self.dropped.clone());
        Scribe { share, dropped, with_query: self.with_query }
    }
}

impl Scribe {
    /// Notes what the head of a request says.
    pub(crate) fn note(&self, head: &RequestHead<'_>, peer: Peer<'_>) -> Box<Entry> {
        Box::new(Entry::new(head, peer, self.with_query))
    }

    /// Puts down a request that led to a version, and is over.
    pub(crate) fn put(&self, mut entry: Box<Entry>, invocation: &Invocation, outcome: &Outcome) {
        let Invocation { request_id, function, version, timing, trace, .. } = invocation;
        entry.trace_id = trace.map_or(0, |trace| trace.trace_id);
        self.add(&Over {
            entry: &entry,
            request_id,
            function: Some(function),
            version: Some(*version),
            account: Account::of(timing),
            outcome,
        });
        scratch::give(entry.texts);
    }

    /// The same of one that the gateway has answered, for `function` where one was found.
    pub(crate) fn put_refused(
        &self,
        entry: Box<Entry>,
        request_id: &str,
        function: Option<&FunctionName>,
        outcome: &Outcome,
    ) {
        let (version, account) = (None, None);
        self.add(&Over { entry: &entry, request_id, function, version, account, outcome });
        scratch::give(entry.texts);
    }

    /// Puts down that a client has sent what is no request.
    pub(crate) fn put_nonsense(&self, peer: Peer<'_>, request_id: &str, failure: &Failure) {
        let entry = Entry::without_head(peer);
        entry.failed(failure);
        let outcome = &Outcome { status: failure.status, is_ours: true, ..Outcome::default() };
        let (function, version, account) = (None, None, None);
        self.add(&Over { entry: &entry, request_id, function, version, account, outcome });
    }

    fn add(&self, over: &Over<'_>) {
        let now = SystemTime::now();
        self.share.add(|batch| {
            batch.add(over, now).unwrap_or_else(|| {
                self.dropped.inc();
                Level::High
            })
        });
    }
}

/// Makes lines and writes them, on a thread of its own.
struct Writer {
    sink: Sink,
    reopens: Arc<AtomicBool>,
    dropped: IntCounter,
    /// Requests without a line that the log has not been told of.
    gap: u64,
    is_failing: bool,
    lines: Vec<u8>,
}

impl Writer {
    fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        match self.sink.write(&self.lines) {
            Ok(()) if std::mem::take(&mut self.is_failing) => {
                tracing::info!("the access log is written again");
            }
            Ok(()) => {}
            Err(Lost { lines, why }) => {
                self.gap += lines;
                self.dropped.inc_by(lines);
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(error = %why, "the access log cannot be written");
                }
            }
        }
        self.lines.clear();
    }
}

impl Reader<Batch> for Writer {
    fn take(&mut self, batch: &mut Batch) {
        for recorded in batch.records() {
            line::write(&mut self.lines, recorded);
            if self.lines.len() >= WRITE_BYTES {
                self.flush();
            }
        }
        self.gap += batch.clear();
    }

    fn turn(&mut self) {
        self.flush();
        if self.gap > 0 {
            line::write_gap(&mut self.lines, SystemTime::now(), self.gap);
            if self.sink.write(&self.lines).is_ok() {
                self.gap = 0;
            }
            self.lines.clear();
        }
        if self.reopens.swap(false, Ordering::Relaxed)
            && let Err(error) = self.sink.reopen()
        {
            tracing::error!(%error, "the access log goes on in its old file");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::process::Command;

    use serde_json::Value;

    use super::*;

    #[test]
    fn a_reader_that_stops_costs_lines_and_the_log_says_how_many() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let opened = path.clone();
        let reader = std::thread::spawn(move || File::open(opened).unwrap());
        let dropped = IntCounter::new("dropped", "for a test").unwrap();
        let config = AccessConfig { target: Some(Target::File(path)), without_query: false };
        let log = AccessLog::open(&config, &dropped).unwrap().unwrap();
        let mut pipe = reader.join().unwrap();
        let scribe = log.scribes().scribe();
        let failure = crate::answer::wants_tls();
        let mut put = 0;
        // Whatever the pipe and the thread hold: the batch is full in the end, and nobody has waited.
        while dropped.get() < 1000 {
            scribe.put_nonsense(Peer::default(), "r", &failure);
            put += 1;
        }
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        });
        drop((scribe, log));
        let text = reading.join().unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let gaps: Vec<u64> = lines.iter().filter_map(|line| line["dropped"].as_u64()).collect();
        assert!(!gaps.is_empty());
        assert_eq!(gaps.iter().sum::<u64>(), dropped.get());
        assert_eq!((lines.len() - gaps.len()) as u64 + dropped.get(), put);
    }
}
