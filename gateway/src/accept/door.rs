//! Limits at the door, each with its reason.

use std::time::Duration;

use hatchway_wire::http1::Settings;

/// How many may come in, and what a connection may take.
#[derive(Clone, Debug)]
pub struct Door {
    /// Connections that one core serves at a time; the next one is answered 503 and closed.
    pub connections_per_core: usize,
    /// The same for one address, or for one /64 of IPv6, which is what a household has. Connections of an
    /// address are spread over all cores.
    pub connections_per_address: usize,
    /// Connections that are being told so at a time; while as many are, the next one is closed without a word.
    pub turned_away: usize,
    /// From a connection to the end of its TLS handshake. It holds a place meanwhile.
    pub handshake_clock: Duration,
    /// Limits of a connection.
    pub http1: Settings,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            // An idle connection costs about 2 KiB here and as much in the kernel: 40 MiB at the limit.
            connections_per_core: 10_000,
            // Half of the room: enough for a load balancer in front, and no address alone fills the house.
            connections_per_address: 5_000,
            // A few KiB each, for two seconds at most.
            turned_away: 128,
            // Three messages, and a second for each on a bad line; an attacker's place is free again soon.
            handshake_clock: Duration::from_secs(5),
            http1: Settings::default(),
        }
    }
}
