//! Calls without a pause, each of them counted by what came of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hatchway_tests::{Client, eventually};

/// What is called, in turn.
const PATHS: [&str; 3] = ["/one?do=work&ms=5", "/many?do=work&ms=5", "/probed"];

/// Clients at work.
pub(crate) struct Load {
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    is_over: AtomicBool,
    /// That no daemon is there is a failure as well.
    is_strict: bool,
    served: AtomicUsize,
    cut: AtomicUsize,
    other: Mutex<Vec<String>>,
}

/// What came of all calls.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) clients: usize,
    pub(crate) served: usize,
    /// Answered by 502: under way when the daemon went.
    pub(crate) cut: usize,
    /// Neither served, nor cut, nor turned away while no daemon was there.
    pub(crate) other: Vec<String>,
}

impl Load {
    /// So many clients for each path, of a system that may have no daemon for a while.
    pub(crate) fn start(address: SocketAddr, each: usize) -> Self {
        Self::with(address, each, false)
    }

    /// The same, of one that may not.
    pub(crate) fn start_strict(address: SocketAddr, each: usize) -> Self {
        Self::with(address, each, true)
    }

    fn with(address: SocketAddr, each: usize, is_strict: bool) -> Self {
        let counts = Arc::new(Counts { is_strict, ..Counts::default() });
        let paths = PATHS.iter().cycle().take(PATHS.len() * each);
        let client = |path: &&'static str| {
            let (path, counts) = (*path, Arc::clone(&counts));
            std::thread::spawn(move || counts.call(&Client::new(address), path))
        };
        let clients = paths.map(client).collect();
        Self { counts, clients }
    }

    /// Waits until `more` have been served from now on.
    pub(crate) fn served(&self, more: usize) {
        let goal = self.counts.served.load(Ordering::Relaxed) + more;
        eventually("more answers", || {
            (self.counts.served.load(Ordering::Relaxed) >= goal).then_some(())
        });
    }

    pub(crate) fn stop(self) -> Ended {
        self.counts.is_over.store(true, Ordering::Relaxed);
        let clients = self.clients.len();
        for client in self.clients {
            client.join().expect("a client does not panic");
        }
        let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let other = self.counts.other.lock().expect("nobody panicked").clone();
        Ended { clients, served: load(&self.counts.served), cut: load(&self.counts.cut), other }
    }
}

impl Counts {
    fn call(&self, client: &Client, path: &str) {
        while !self.is_over.load(Ordering::Relaxed) {
            let told = match client.request("GET", path, &[], b"") {
                Ok(answer) if answer.status == 200 => {
                    self.served.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Ok(answer) if answer.status == 502 => {
                    self.cut.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Ok(answer) if !self.is_strict && answer.status == 503 => {
                    assert_eq!(answer.problem().reason, "no-node");
                    continue;
                }
                Ok(answer) => format!("{path}: {} {}", answer.status, answer.text()),
                Err(error) => format!("{path}: {error}"),
            };
            self.other.lock().expect("nobody panicked").push(told);
        }
    }
}
