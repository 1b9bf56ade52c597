//! Limits at the door, each with its reason.

use std::time::Duration;

use hatchway_proto::network::Network;
use hatchway_wire::http1::Settings;

use crate::trigger::Trusted;

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
    /// Requests that one core has under way at a time; the next one is answered 503.
    pub requests_per_core: usize,
    /// What this process may hold in memory; while it holds more, new requests and connections are answered 503.
    pub memory_bytes: u64,
    /// From a connection to the end of its TLS handshake. It holds a place meanwhile.
    pub handshake_clock: Duration,
    /// Proxies that are believed when they say for whom they speak; they count as one client only among all.
    pub trusted: Trusted,
    /// Every connection begins with a header of the PROXY protocol; one from anybody else is closed.
    pub proxy_protocol: bool,
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
            // Each costs 10 to 20 KiB here while it waits and as much in the kernel: 160 MiB at the limit.
            requests_per_core: 8192,
            // All limits of two cores together reach half of this, the rules of 100,000 functions a sixth, at 1.6 KiB each; the
            // rest is for bodies on their way.
            memory_bytes: 1024 * 1024 * 1024,
            // Three messages, and a second for each on a bad line; an attacker's place is free again soon.
            handshake_clock: Duration::from_secs(5),
            trusted: Trusted::default(),
            proxy_protocol: false,
            http1: Settings::default(),
        }
    }
}

/// The door as an operator sets it.
#[derive(Clone, Debug, clap::Args)]
pub struct DoorConfig {
    /// Connections that one core serves at a time; the next one is answered 503.
    #[arg(long, value_name = "COUNT", default_value_t = Door::default().connections_per_core)]
    pub connections_per_core: usize,
    /// The same for one IPv4 address or one /64 of IPv6.
    #[arg(long, value_name = "COUNT", default_value_t = Door::default().connections_per_address)]
    pub connections_per_address: usize,
    /// Requests that one core has under way at a time; the next one is answered 503.
    #[arg(long, value_name = "COUNT", default_value_t = Door::default().requests_per_core)]
    pub requests_per_core: usize,
    /// What this process may hold in memory, in MiB; while it holds more, what is new is answered 503.
    #[arg(long, value_name = "MIB", default_value_t = Door::default().memory_bytes >> 20)]
    pub own_memory_mib: u64,
    /// A proxy or balancer whose word is taken for who its clients are (X-Forwarded-*, Forwarded): 10.0.0.0/8, 2001:db8::/32
    /// or an address. Repeat for more.
    #[arg(long = "trusted-proxy", value_name = "CIDR")]
    pub trusted_proxies: Vec<Network>,
    /// Connections come from trusted proxies alone, and begin with a header of the PROXY protocol, version 2.
    #[arg(long, requires = "trusted_proxies")]
    pub proxy_protocol: bool,
}

impl From<&DoorConfig> for Door {
    fn from(config: &DoorConfig) -> Self {
        Self {
            connections_per_core: config.connections_per_core,
            connections_per_address: config.connections_per_address,
            requests_per_core: config.requests_per_core,
            memory_bytes: config.own_memory_mib.saturating_mul(1 << 20),
            trusted: Trusted::from(&config.trusted_proxies[..]),
            proxy_protocol: config.proxy_protocol,
            ..Self::default()
        }
    }
}
