//! Clients that cost little: what is measured shares two cores with them.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use hatchway_tests::{Draw, Raw, together};

/// The longest that a client waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that was answered well.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) path: String,
    /// When it should have been sent.
    pub(crate) due: Instant,
    /// How long after that its answer was there.
    pub(crate) took: Duration,
}

/// Requests that were answered, or not.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) answered: Vec<Answered>,
    /// What went wrong.
    pub(crate) failures: Vec<String>,
    pub(crate) took: Duration,
}

/// How clients ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) clients: usize,
    /// Of all clients; none: each asks again when it is answered.
    pub(crate) per_second: Option<f64>,
    pub(crate) long: Duration,
}

/// A client with a connection to each gateway.
struct Client {
    gateways: Vec<(SocketAddr, Option<Raw>)>,
    turn: usize,
}

impl Client {
    /// Asks for `path` by the next gateway.
    fn ask(&mut self, path: &str) -> Result<(), String> {
        self.turn += 1;
        let at = self.turn % self.gateways.len();
        let (address, kept) = &mut self.gateways[at];
        let mut connection = match kept.take().filter(Raw::is_quiet) {
            Some(connection) => connection,
            None => Raw::try_connect(*address, PATIENCE).map_err(|error| error.to_string())?,
        };
        let (status, body) = exchange(&mut connection, path).map_err(|error| error.to_string())?;
        *kept = Some(connection);
        match status {
            200 => Ok(()),
            _ => Err(format!("{status} {}", String::from_utf8_lossy(&body))),
        }
    }
}

/// One request and its answer.
pub(crate) fn exchange<S: Read + Write>(
    connection: &mut Raw<S>,
    path: &str,
) -> io::Result<(u16, Vec<u8>)> {
    connection.try_send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())?;
    let head = connection.try_head()?;
    let length = head.field("content-length").parse().map_err(io::Error::other)?;
    Ok((head.status, connection.exactly(length)?))
}

/// Asks as `manner` says, each client by one gateway after the other; `path` says for what.
pub(crate) fn ask(
    gateways: &[SocketAddr],
    manner: Manner,
    path: impl Fn(&mut Draw) -> String + Sync,
) -> Asked {
    ask_by(manner, path, |number| {
        let gateways = gateways.iter().map(|address| (*address, None)).collect();
        let mut client = Client { gateways, turn: number };
        move |path: &str| client.ask(path)
    })
}

/// The same by clients that `make` makes of their numbers.
pub(crate) fn ask_by<C>(
    manner: Manner,
    path: impl Fn(&mut Draw) -> String + Sync,
    make: impl Fn(usize) -> C + Sync,
) -> Asked
where
    C: FnMut(&str) -> Result<(), String>,
{
    let all = Mutex::new(Asked::default());
    let began = Instant::now();
    let every = manner.per_second.map(|all| Duration::from_secs_f64(manner.clients as f64 / all));
    together(manner.clients, |number| {
        let mut draw = Draw::new(number as u64 + 1);
        let mut ask = make(number);
        let mut mine = Asked::default();
        // Not all at the same time.
        let mut next = began + every.unwrap_or_default().mul_f64(draw.share());
        while began.elapsed() < manner.long {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let due = if every.is_some() { next } else { Instant::now() };
            let path = path(&mut draw);
            match ask(&path) {
                Ok(()) => mine.answered.push(Answered { path, due, took: due.elapsed() }),
                Err(why) => mine.failures.push(why),
            }
            next += every.unwrap_or_default();
        }
        let all = &mut *all.lock().expect("nobody panics with it");
        all.answered.append(&mut mine.answered);
        all.failures.append(&mut mine.failures);
    });
    let mut all = all.into_inner().expect("all have ended");
    all.took = began.elapsed();
    all
}

impl Asked {
    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn count(&self) -> usize {
        self.answered.len() + self.failures.len()
    }

    /// What 99 of 100 took at most, of those that were due from `from` on and before `to`.
    pub(crate) fn p99(&self, from: Instant, to: Instant) -> Option<Duration> {
        self.p99_of(|one| (from..to).contains(&one.due))
    }

    /// The same of those that `which` takes.
    pub(crate) fn p99_of(&self, which: impl Fn(&Answered) -> bool) -> Option<Duration> {
        let mut took: Vec<_> =
            self.answered.iter().filter(|one| which(one)).map(|one| one.took).collect();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).copied()
    }
}
