//! How a gateway is told what to do.

use std::path::PathBuf;

use clap::Parser;
use hatchway_wire::listen::Address;

/// Level one of Hatchway: routes requests to nodes. Keeps nothing, needs no privilege.
#[derive(Clone, Debug, Parser)]
#[command(name = "hatchway-gateway", version)]
pub struct Config {
    /// Where clients connect.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: Address,
    /// Where operators connect; never on an address that clients reach.
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub admin: std::net::SocketAddr,
    /// The rules, as `hatchway apply` writes them; followed while they change.
    #[arg(long)]
    pub catalog: PathBuf,
    /// A node: IP:PORT or unix:/path. Repeat for more.
    #[arg(long = "node", required = true)]
    pub nodes: Vec<Address>,
    /// Threads, each with its own listener; as many as there are cores by default.
    #[arg(long)]
    pub cores: Option<usize>,
    /// How long running requests may take to finish once the gateway is told to stop, in seconds.
    #[arg(long, default_value_t = 30)]
    pub drain_seconds: u64,
}
