//! Clients that go on asking while a cluster changes under them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use hatchway_tests::{Client, eventually};

/// Clients under way.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    /// Gateways that are ready, as a balancer would know it.
    gateways: RwLock<Vec<SocketAddr>>,
    /// Between two requests of a client.
    pause: Duration,
    is_over: AtomicBool,
    asked: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// `clients` that ask the `functions` in turn, each by a gateway in turn.
    pub(crate) fn start(clients: usize, functions: usize, gateways: Vec<SocketAddr>) -> Self {
        Self::paced(clients, functions, gateways, f64::INFINITY)
    }

    /// The same, of about so many requests a second.
    pub(crate) fn paced(
        clients: usize,
        functions: usize,
        gateways: Vec<SocketAddr>,
        per_second: f64,
    ) -> Self {
        let pause = Duration::from_secs_f64(clients as f64 / per_second);
        let shared = Arc::new(Shared {
            gateways: RwLock::new(gateways),
            pause,
            is_over: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            failures: Mutex::default(),
        });
        let start = |client| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.ask(client, functions))
        };
        let threads = (0..clients).map(start).collect();
        Self { shared, threads }
    }

    /// From now on these are ready. Whoever asks another one is heard out.
    pub(crate) fn spread_over(&self, gateways: Vec<SocketAddr>) {
        *self.shared.gateways.write().expect("nobody panics with it") = gateways;
    }

    /// Waits until so many more have been answered.
    #[track_caller]
    pub(crate) fn go_on(&self, more: usize) {
        let until = self.shared.asked.load(Ordering::Relaxed) + more;
        eventually("more answers", || {
            (self.shared.asked.load(Ordering::Relaxed) >= until).then_some(())
        });
    }

    /// Ends it; how many were asked, and what failed.
    pub(crate) fn end(self) -> (usize, Vec<String>) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client does not panic");
        }
        let failures = std::mem::take(&mut *self.shared.failures.lock().expect("all have ended"));
        (self.shared.asked.load(Ordering::Relaxed), failures)
    }
}

impl Shared {
    fn ask(&self, client: usize, functions: usize) {
        let mut known: Option<(SocketAddr, Client)> = None;
        for turn in client.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(self.pause);
            // Held while it asks: whoever takes a gateway away knows that nobody is on the way to it.
            let gateways = self.gateways.read().expect("nobody panics with it");
            let address = gateways[turn / 8 % gateways.len()];
            let client = match &known {
                Some((at, client)) if *at == address => client,
                Some(_) | None => &known.insert((address, Client::new(address))).1,
            };
            let path = format!("/f{}", turn % functions);
            let failed = match client.request("GET", &path, &[], b"") {
                Ok(answer) if answer.status == 200 => None,
                Ok(answer) => Some(format!("{} {}", answer.status, answer.text())),
                Err(error) => Some(error.to_string()),
            };
            if let Some(failed) = failed {
                let failed = format!("{path} by {address}: {failed}");
                self.failures.lock().expect("nobody panics with it").push(failed);
            }
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }
}
