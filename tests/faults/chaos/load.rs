//! Clients that go on calling whatever happens, and remember what became of each call.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hatchway_tests::{Draw, Zipf};

use crate::caller::{Caller, Outcome};

/// A call that is over.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) number: u64,
    /// By its number; the one that took it.
    pub(crate) gateway: usize,
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    /// How long the function took by its own will.
    pub(crate) ms: u64,
    pub(crate) outcome: Outcome,
}

/// Clients under way.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    gateways: Vec<SocketAddr>,
    /// The one that leaves, as a balancer would know it.
    leaves: RwLock<Option<usize>>,
    functions: usize,
    numbers: AtomicU64,
    is_over: AtomicBool,
    calls: Mutex<Vec<Call>>,
}

/// The longest that a client thinks.
const THINKS_MS: u64 = 80;

impl Load {
    /// `clients` that call `functions` by Zipf's law, by whichever gateway takes the call.
    pub(crate) fn start(
        seed: u64,
        clients: u64,
        functions: usize,
        gateways: Vec<SocketAddr>,
    ) -> Self {
        let shared = Arc::new(Shared {
            gateways,
            leaves: RwLock::default(),
            functions,
            // Far from what else is called.
            numbers: AtomicU64::new(1 << 32),
            is_over: AtomicBool::new(false),
            calls: Mutex::default(),
        });
        let start = |client| {
            let (shared, draw) = (Arc::clone(&shared), Draw::new(seed << 8 | client));
            thread::spawn(move || shared.call_on(draw))
        };
        let clients = (0..clients).map(start).collect();
        Self { shared, clients }
    }

    /// From now on this gateway is not asked, or all are again. Whoever asks it is heard out.
    pub(crate) fn pass_over(&self, gateway: Option<usize>) {
        *self.shared.leaves.write().expect("nobody panics with it") = gateway;
    }

    /// Ends it; all calls that were made.
    pub(crate) fn end(self) -> Vec<Call> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client does not panic");
        }
        std::mem::take(&mut *self.shared.calls.lock().expect("all have ended"))
    }
}

impl Shared {
    fn call_on(&self, mut draw: Draw) {
        let zipf = Zipf::new(self.functions);
        let mut callers: Vec<_> = self.gateways.iter().map(|at| Caller::new(*at)).collect();
        while !self.is_over.load(Ordering::Relaxed) {
            let call = self.call(&mut draw, &zipf, &mut callers);
            self.calls.lock().expect("nobody panics with it").push(call);
            thread::sleep(Duration::from_millis(draw.below(THINKS_MS)));
        }
    }

    fn call(&self, draw: &mut Draw, zipf: &Zipf, callers: &mut [Caller]) -> Call {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let function = zipf.draw(draw);
        let ms = if draw.below(5) == 0 { 50 + draw.below(350) } else { draw.below(10) };
        let first = usize::try_from(draw.below(callers.len() as u64)).expect("it is an index");
        // Held while it asks: whoever takes a gateway away knows that nobody is on the way to it.
        let leaves = self.leaves.read().expect("nobody panics with it");
        let began = Instant::now();
        let (mut gateway, mut outcome) = (first, Outcome::Unsent(String::new()));
        for turn in 0..callers.len() {
            gateway = (first + turn) % callers.len();
            if *leaves == Some(gateway) {
                continue;
            }
            outcome = callers[gateway].call(function, number, ms);
            // As a balancer does: who does not listen is passed over.
            if !matches!(outcome, Outcome::Unsent(_)) {
                break;
            }
        }
        Call { number, gateway, began, took: began.elapsed(), ms, outcome }
    }
}
