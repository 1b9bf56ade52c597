//! What is asked for: functions, how popular they are, and when requests come.
//!
//! In the manner of the Azure Functions trace of 2019 (Shahrad et al., USENIX ATC 2020): few functions get nearly all requests, most are
//! asked less than once a minute, many come in bursts, and times are log-normal.

use rand::rngs::Xoshiro256PlusPlus as Generator;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::weighted::WeightedAliasIndex;
use rand_distr::{Distribution, Exp1, LogNormal, Pareto};

/// A function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    /// By which it is ranked.
    pub(crate) key: u64,
    /// Of a sandbox.
    pub(crate) memory_mib: u32,
    /// Requests that one sandbox runs at a time.
    pub(crate) concurrency: u32,
    /// The median of its times.
    median_us: f64,
}

/// What comes: requests in the order of their times.
pub(crate) struct World {
    pub(crate) functions: Vec<Function>,
    popular: WeightedAliasIndex<f64>,
    per_second: f64,
    rng: Generator,
    next_us: u64,
    /// Requests of bursts that are still to come: when, and of which function.
    bursts: std::collections::BinaryHeap<std::cmp::Reverse<(u64, u32)>>,
    next_burst_us: u64,
}

/// Of the requests, so many come in bursts.
const BURST_SHARE: f64 = 0.2;

/// Requests of a burst: at least, and how its tail falls.
const BURST: (f64, f64) = (20.0, 1.5);

/// No burst is longer, in requests.
const LONGEST_BURST: f64 = 5000.0;

impl World {
    /// The same one for the same seed.
    pub(crate) fn new(functions: u32, per_second: f64, seed: u64) -> Self {
        let mut rng = Generator::seed_from_u64(seed);
        let all = (0..functions).map(|_| Function::draw(&mut rng)).collect();
        // The upper 1 % of 50,000 get five sixths of all, and half of them are asked less than once in ten minutes.
        let weights = (0..functions).map(|n| 1.0 / f64::from(n + 50).powf(1.8)).collect();
        let popular = WeightedAliasIndex::new(weights).expect("there are functions");
        let (bursts, next_us, next_burst_us) = Default::default();
        Self { functions: all, popular, per_second, rng, next_us, bursts, next_burst_us }
    }

    /// The next request: when, in microseconds, of which function, and how long it runs.
    pub(crate) fn next(&mut self) -> (u64, u32, u64) {
        while self.next_burst_us <= self.next_us {
            self.burst();
        }
        let (at, function) = match self.bursts.peek() {
            Some(std::cmp::Reverse((at, _))) if *at <= self.next_us => {
                let std::cmp::Reverse(request) = self.bursts.pop().expect("it was seen");
                request
            }
            _ => {
                let at = self.next_us;
                self.next_us += wait(&mut self.rng, self.per_second * (1.0 - BURST_SHARE));
                (at, index(self.popular.sample(&mut self.rng)))
            }
        };
        let median = self.functions[function as usize].median_us;
        let times = LogNormal::new(median.ln(), 0.6).expect("a median is positive");
        (at, function, whole(times.sample(&mut self.rng).min(60e6)))
    }

    /// A function that is not asked much is asked often for some seconds.
    fn burst(&mut self) {
        let from = self.next_burst_us;
        let size = Pareto::new(BURST.0, BURST.1).expect("they are positive");
        let requests = size.sample(&mut self.rng).min(LONGEST_BURST);
        let mean = BURST.0 * BURST.1 / (BURST.1 - 1.0);
        self.next_burst_us += wait(&mut self.rng, self.per_second * BURST_SHARE / mean);
        let function = self.rng.random_range(0..index(self.functions.len()));
        let long_us = self.rng.random_range(1e5..5e6);
        for _ in 0..whole(requests) {
            let at = from + whole(self.rng.random_range(0.0..long_us));
            self.bursts.push(std::cmp::Reverse((at, function)));
        }
    }
}

impl Function {
    fn draw(rng: &mut Generator) -> Self {
        let median = LogNormal::new(60_000_f64.ln(), 1.2).expect("they are positive").sample(rng);
        Self {
            key: rng.next_u64(),
            memory_mib: [64, 128, 128, 256, 512][rng.random_range(0..5)],
            concurrency: [1, 4, 16, 16][rng.random_range(0..4)],
            median_us: median.clamp(1e3, 10e6),
        }
    }
}

fn wait(rng: &mut Generator, per_second: f64) -> u64 {
    let waits: f64 = Exp1.sample(rng);
    whole(waits / per_second * 1e6).max(1)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times and counts of a simulation are far below 2^52"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

fn index(number: usize) -> u32 {
    u32::try_from(number).expect("there are fewer functions")
}
