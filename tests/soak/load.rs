//! The clients: each asks, checks what it is answered, thinks for a moment, and now and then leaves in the middle.

use std::collections::BTreeMap;
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use hatchway_tests::{Answer, Client, Draw, Raw, Up, Zipf};
use serde_json::json;

use crate::fleet::{Fleet, Function, Kind};

/// Failures that are shown; all are counted.
const SHOWN: usize = 20;

/// Between two requests of a client, at most: a machine that is busy all the time never reaps.
const THINK_MS: u64 = 200;

/// What came of all requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By what was done.
    pub(crate) done: BTreeMap<&'static str, u64>,
    /// Requests that were not answered as they should have been.
    pub(crate) failed: u64,
    /// The first of them.
    pub(crate) failures: Vec<String>,
    /// Of the whole answers, in microseconds.
    pub(crate) latencies_us: Vec<u64>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (what, count) in other.done {
            *self.done.entry(what).or_default() += count;
        }
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.truncate(SHOWN);
        self.latencies_us.extend(other.latencies_us);
    }
}

/// Asks until `end`.
pub(crate) fn run(fleet: &Fleet, up: &Up, clients: usize, end: Instant) -> Tally {
    let zipf = Zipf::new(fleet.functions.len());
    let mut tally = Tally::default();
    thread::scope(|scope| {
        let start = |seed| {
            let (zipf, fleet) = (&zipf, &fleet);
            scope.spawn(move || One::new(up, seed).ask_until(end, fleet, zipf))
        };
        let clients: Vec<_> = (0..clients as u64).map(start).collect();
        for client in clients {
            tally.add(client.join().expect("a client does not panic"));
        }
    });
    tally
}

/// One client.
struct One<'a> {
    up: &'a Up,
    client: Client,
    draw: Draw,
    tally: Tally,
}

impl<'a> One<'a> {
    fn new(up: &'a Up, seed: u64) -> Self {
        Self { up, client: up.client(), draw: Draw::new(seed), tally: Tally::default() }
    }

    fn ask_until(mut self, end: Instant, fleet: &Fleet, zipf: &Zipf) -> Tally {
        while Instant::now() < end {
            let function = &fleet.functions[zipf.draw(&mut self.draw)];
            let (what, result) = self.ask(function);
            *self.tally.done.entry(what).or_default() += 1;
            if let Err(failure) = result {
                self.tally.failed += 1;
                if self.tally.failures.len() < SHOWN {
                    self.tally.failures.push(format!("{what} of {}: {failure}", function.name));
                }
            }
            thread::sleep(Duration::from_millis(self.draw.below(THINK_MS)));
        }
        self.tally
    }

    fn ask(&mut self, function: &Function) -> (&'static str, Result<(), String>) {
        match self.draw.below(20) {
            0..=10 => ("call", self.timed(|one| one.call(function))),
            11..=12 => ("call with a body", self.timed(|one| one.echo(function))),
            13..=14 => ("stream, read to its end", self.timed(|one| one.stream(function))),
            15 => ("left before the head was sent", self.leave_in_head(function)),
            16 => ("left before the answer", self.leave_before_answer(function)),
            17 => ("left in the upload", self.leave_in_upload(function)),
            18 => ("left in the stream", self.leave_in_stream(function)),
            _ => ("call on a connection of its own", self.timed(|one| one.call_anew(function))),
        }
    }

    fn timed(&mut self, ask: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        let begun = Instant::now();
        ask(self)?;
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.tally.latencies_us.push(took);
        Ok(())
    }

    fn call(&mut self, function: &Function) -> Result<(), String> {
        let mut path = format!("/{}", function.name);
        if self.draw.below(50) == 0 && function.kind != Kind::Command {
            path.push_str("?print=a+line+for+the+logs");
        }
        let answer = self.client.request("GET", &path, &[], b"").map_err(|e| e.to_string())?;
        is_of(&answer, function, &json!(null))
    }

    fn call_anew(&mut self, function: &Function) -> Result<(), String> {
        let path = format!("/{}", function.name);
        let answer = self.up.client().request("GET", &path, &[("connection", "close")], b"");
        is_of(&answer.map_err(|e| e.to_string())?, function, &json!(null))
    }

    fn echo(&mut self, function: &Function) -> Result<(), String> {
        let length = usize::try_from(self.draw.below(64 * 1024)).expect("it is small");
        let echo = json!("x".repeat(length));
        let body = json!({ "echo": echo }).to_string();
        let headers = [("content-type", "application/json")];
        let path = format!("/{}", function.name);
        let answer = self.client.request("POST", &path, &headers, body.as_bytes());
        is_of(&answer.map_err(|e| e.to_string())?, function, &echo)
    }

    fn stream(&mut self, function: &Function) -> Result<(), String> {
        let (path, expected) = stream_of(function, 1 + self.draw.below(20));
        let mut response = self.client.open(&path).map_err(|e| e.to_string())?;
        let mut body = Vec::new();
        let read = response.body_mut().as_reader().read_to_end(&mut body);
        read.map_err(|e| e.to_string())?;
        if response.status() != 200 || body != expected {
            return Err(format!("{} with {} bytes", response.status(), body.len()));
        }
        Ok(())
    }

    fn leave_in_head(&mut self, function: &Function) -> Result<(), String> {
        let mut raw = self.up.raw();
        let sent = raw.try_send(format!("GET /{} HTTP/1.1\r\nHo", function.name).as_bytes());
        raw.leave();
        sent.map_err(|e| e.to_string())
    }

    fn leave_before_answer(&mut self, function: &Function) -> Result<(), String> {
        let mut raw = self.up.raw();
        raw.get(&format!("/{}", function.name));
        // Sometimes at once, sometimes during a cold start or a call.
        thread::sleep(Duration::from_millis(self.draw.below(60)));
        raw.leave();
        Ok(())
    }

    fn leave_in_upload(&mut self, function: &Function) -> Result<(), String> {
        let mut raw = self.up.raw();
        raw.post(&format!("/{}", function.name), 100_000).send(vec![b'x'; 5000]);
        thread::sleep(Duration::from_millis(self.draw.below(60)));
        raw.leave();
        Ok(())
    }

    fn leave_in_stream(&mut self, function: &Function) -> Result<(), String> {
        let (path, _) = stream_of(function, 1000);
        let mut raw = self.up.raw();
        let begun = begin(&mut raw, &path);
        raw.leave();
        begun
    }
}

/// Reads the head and the first bytes of a stream.
fn begin(raw: &mut Raw, path: &str) -> Result<(), String> {
    raw.get(path);
    let head = raw.try_head().map_err(|e| e.to_string())?;
    if head.status != 200 {
        return Err(format!("{head:?}"));
    }
    raw.exactly(8).map(drop).map_err(|e| e.to_string())
}

/// A path that is answered with much, and the answer.
fn stream_of(function: &Function, count: u64) -> (String, Vec<u8>) {
    let name = &function.name;
    if function.kind == Kind::Command {
        return (format!("/{name}/1m"), vec![b'x'; 1 << 20]);
    }
    let lines: String = (0..count).map(|n| format!("{name} {n}\n")).collect();
    (format!("/{name}?stream={count}"), lines.into_bytes())
}

fn is_of(answer: &Answer, function: &Function, echo: &serde_json::Value) -> Result<(), String> {
    let is_right = match function.kind {
        Kind::Command => answer.body == b"ok",
        Kind::Node | Kind::Python => {
            serde_json::from_slice(&answer.body).ok()
                == Some(json!({ "name": function.name, "echo": echo }))
        }
    };
    if answer.status == 200 && is_right {
        return Ok(());
    }
    let text: String = answer.text().chars().take(300).collect();
    Err(format!("{} {:?} {text}", answer.status, answer.header("proxy-status")))
}
