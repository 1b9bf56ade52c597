//! What our programs say of themselves on their admin ports.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::Value;

use crate::{Answer, Client, eventually};

/// The admin port of a program.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it is.
    pub address: SocketAddr,
    client: Client,
}

/// A sandbox, as far as tests look at it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Sandbox {
    /// Told apart by this.
    pub id: u64,
    /// With its tenant.
    pub function: String,
    /// Which build.
    pub version: String,
    /// `starting`, `idle`, `busy`, `draining` or `ending`.
    pub phase: String,
    /// Slots in use.
    pub in_flight: u32,
    /// Of the host; none before there is a process.
    pub pid: Option<u32>,
    /// Requests it has run.
    pub requests: u64,
    /// As measured.
    pub memory_bytes: Option<u64>,
    /// As measured.
    pub memory_peak_bytes: Option<u64>,
    /// As measured.
    pub cpu_ms: Option<f64>,
}

/// A scrape.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// As it came.
    pub text: String,
}

impl Metrics {
    /// The sum of all samples of `name` whose labels hold each of `labels`, written as `key="value"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let of_name =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let samples = self.text.lines().filter(of_name);
        let wanted = samples.filter(|line| labels.iter().all(|label| line.contains(label)));
        // From zero: the sum of nothing would be -0.
        wanted
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .fold(0.0, |a, b| a + b)
    }
}

impl Admin {
    /// At an address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, client: Client::new(address) }
    }

    /// A page.
    ///
    /// # Panics
    /// When it is not answered.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.client.get(path)
    }

    /// What functions are served, and how.
    ///
    /// # Panics
    /// When the page is not there.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.get("/v1/status").ok()
    }

    /// Whether this machine gives no step of isolation whose name contains `part`.
    ///
    /// # Panics
    /// When the page is not there.
    #[track_caller]
    pub fn lacks(&self, part: &str) -> bool {
        let status = self.status();
        let missing = status["isolation"]["missing"].as_array().expect("a list");
        missing.iter().any(|one| one["what"].as_str().is_some_and(|what| what.contains(part)))
    }

    /// The row of one function in the status.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    pub fn function(&self, name: &str) -> Value {
        let status = self.status();
        let rows = status["functions"].as_array().expect("a list");
        let row = rows.iter().find(|row| row["name"] == format!("local/{name}"));
        row.unwrap_or_else(|| panic!("{name} is not in {status}")).clone()
    }

    /// All sandboxes.
    ///
    /// # Panics
    /// When the page is not there.
    #[track_caller]
    pub fn sandboxes(&self) -> Vec<Sandbox> {
        let answer = self.get("/v1/sandboxes");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// The sandboxes of one function.
    ///
    /// # Panics
    /// When the page is not there.
    #[track_caller]
    pub fn sandboxes_of(&self, function: &str) -> Vec<Sandbox> {
        let name = format!("local/{function}");
        self.sandboxes().into_iter().filter(|sandbox| sandbox.function == name).collect()
    }

    /// The one sandbox of a function.
    ///
    /// # Panics
    /// When it has none, or several.
    #[track_caller]
    pub fn sandbox(&self, function: &str) -> Sandbox {
        let found = self.sandboxes_of(function);
        let [one] = &found[..] else { panic!("{function} has not one sandbox: {found:?}") };
        one.clone()
    }

    /// Requests of a function that hold a slot.
    ///
    /// # Panics
    /// When the page is not there.
    #[track_caller]
    pub fn in_flight(&self, function: &str) -> u32 {
        self.sandboxes_of(function).iter().map(|sandbox| sandbox.in_flight).sum()
    }

    /// Waits until so many requests of a function hold a slot.
    ///
    /// # Panics
    /// When they never do.
    #[track_caller]
    pub fn wait_in_flight(&self, function: &str, count: u32) {
        let what = format!("{count} requests of {function} in flight");
        eventually(&what, || (self.in_flight(function) == count).then_some(()));
    }

    /// Waits until so many requests of a function wait.
    ///
    /// # Panics
    /// When they never do.
    #[track_caller]
    pub fn wait_queued(&self, function: &str, count: u64) {
        let what = format!("{count} requests of {function} in the queue");
        eventually(&what, || (self.function(function)["queued"] == count).then_some(()));
    }

    /// A scrape.
    ///
    /// # Panics
    /// When the page is not there.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.text());
        Metrics { text: answer.text() }
    }

    /// Starts of sandboxes that began, so far.
    ///
    /// # Panics
    /// When the page is not there.
    #[track_caller]
    pub fn hatches(&self, function: &str) -> f64 {
        let label = format!("function=\"local/{function}\"");
        self.metrics().sum("node_hatches_total", &[&label])
    }

    /// What functions printed, newest last.
    ///
    /// # Panics
    /// When the page is not there.
    #[track_caller]
    pub fn logs(&self, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v1/logs?{query}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}
