//! The HTTP/1.1 engine over real sockets: a test file per theme, each test a claim.

/// Bodies are copied here; `http1_spliced` runs the same tests with those that can go through a pipe going there.
const SPLICE_FROM: u64 = u64::MAX;

mod answers;
mod clocks;
mod closing;
mod expect;
mod faults;
mod framing;
mod kit;
mod leaving;
mod pipeline;
mod reuse;
mod slow;
mod split;
mod streaming;
mod upgrade;
