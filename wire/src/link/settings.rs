//! What a link may take, each with its reason.

use std::time::Duration;

use hatchway_proto::link::hello;

/// Limits and clocks of one connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a gateway says in its greeting that it wants: bits of [`Hello::features`](hatchway_proto::link::Hello::features).
    pub features: u64,
    /// Credit of a direction before its reader has taken anything: what a gateway keeps of a request until a node has
    /// accepted it, and what a reader that takes nothing can hold.
    pub first_credit: u32,
    /// What a reader that keeps up is given: 128 KiB on their way and a round trip of a millisecond are 125 MB a second. No
    /// more than a spare buffer holds, for larger ones are fetched from the system and given back each time.
    pub window: u32,
    /// What all calls together may be promised before windows shrink.
    pub budget: u64,
    /// A new call's credit, and the window of all, beyond the budget.
    pub tight: u32,
    /// Bytes that wait to be written before calls have to wait: what a socket takes in one write, and with the headers of
    /// its frames no more than a spare buffer. Credit, cancels and pings do not wait.
    pub out_bytes: usize,
    /// More than this waits only for a peer that asks and does not read the answers.
    pub flood_bytes: usize,
    /// Calls at a time: those of 10,000 connections of a gateway's core, and some streams.
    pub calls: u32,
    /// From the connection to the greeting: the kernel connects by itself, a program has to be scheduled, on a machine that
    /// may be very busy.
    pub hello_clock: Duration,
    /// Between a sign of life and the next one that a gateway asks for: a node that says nothing more is found out in this time and
    /// what the gateway waits for the answer, and what it is asked until then hangs.
    pub ping_every: Duration,
    /// Without a sign of life: several pings, so that a stopped process is not taken for a dead one at once.
    pub silence: Duration,
    /// Between two load summaries that go out by themselves.
    pub load_every: Duration,
    /// Between two that ride on answers.
    pub load_fresh: Duration,
    /// How long a node that drains waits for gateways to close after the last call: a call that was sent before the
    /// drain was heard of is served.
    pub drain_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            features: hello::HEIRS,
            first_credit: 64 * 1024,
            window: 128 * 1024,
            budget: 32 * 1024 * 1024,
            tight: 32 * 1024,
            out_bytes: 120 * 1024,
            flood_bytes: 4 * 1024 * 1024,
            calls: 16 * 1024,
            hello_clock: Duration::from_secs(5),
            ping_every: Duration::from_secs(1),
            silence: Duration::from_secs(15),
            load_every: Duration::from_secs(1),
            load_fresh: Duration::from_millis(100),
            drain_grace: Duration::from_secs(2),
        }
    }
}
