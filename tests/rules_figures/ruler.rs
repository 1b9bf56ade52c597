//! What a step costs that has to wait for memory: the ruler beside what finding a function costs.

use std::hint::black_box;
use std::time::Instant;

use hatchway_tests::Draw;

use crate::report::{Report, percentile};

/// What a core fetches at once.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    next: usize,
}

const STEPS: usize = 1_000_000;
const ROUNDS: usize = 7;

/// Three sizes: what a core's own cache holds, about what the routes of 100,000 functions have, and all there is of them.
pub(crate) fn measure(report: &mut Report) {
    let each = [1, 16, 128].map(|mib| format!("{:.3} us in {mib} MiB", step(mib << 20)));
    report.row("a step into memory on this machine", "", each.join(", "));
}

/// Microseconds of one step of many, each of which says where the next one leads: the fastest of some rounds.
fn step(bytes: usize) -> f64 {
    let mut ring: Vec<Line> = (0..bytes / size_of::<Line>()).map(|next| Line { next }).collect();
    // Sattolo's algorithm: one ring through all of them.
    let mut draw = Draw::new(1);
    for last in (1..ring.len()).rev() {
        let other = usize::try_from(draw.below(last as u64)).expect("it is less than a usize");
        let next = ring[last].next;
        ring[last].next = std::mem::replace(&mut ring[other].next, next);
    }
    let mut at = 0;
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..STEPS {
                at = ring[at].next;
            }
            begun.elapsed().as_secs_f64() * 1e6 / STEPS as f64
        })
        .collect();
    black_box(at);
    percentile(&mut rounds, 0)
}
