//! The HTTP/1.1 engine over real sockets: a test file per theme, each test a claim.

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
