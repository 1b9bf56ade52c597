//! How a node is told what to do.

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};
use hatchway_proto::network::Network;
use hatchway_wire::admin::AdminArgs;
use hatchway_wire::catalog::SourceArgs;
use hatchway_wire::link::LinkTlsArgs;
use hatchway_wire::listen::Address;
use hatchway_wire::member;
use hatchway_wire::trace::TraceConfig;

use crate::package::PackageArgs;

/// Level two of Hatchway: decides which sandbox is hatched and reaped on this machine.
#[derive(Clone, Debug, Parser)]
#[command(name = "hatchway-node", version)]
pub struct Config {
    /// Where gateways connect: a Unix socket, an address of the loopback, or any address where links are encrypted.
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub listen: Address,
    #[command(flatten)]
    pub link: LinkTlsArgs,
    /// Where operators connect: IP:PORT or unix:/path.
    #[arg(long, default_value = "127.0.0.1:8091")]
    pub admin: Address,
    #[command(flatten)]
    pub operators: AdminArgs,
    /// Where the rules come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// What operators call this node, in etcd too; HOST:PORT by default.
    #[arg(long, value_parser = member::parse_name)]
    pub name: Option<String>,
    /// Where gateways connect, if that is not the address of --listen.
    #[arg(long, value_name = "ADDRESS", requires = "etcd")]
    pub advertise: Option<Address>,
    /// Says something of this node: zone=a, set=gpu, lane=blue. Repeat for more.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label, requires = "etcd")]
    pub labels: Vec<(String, String)>,
    #[command(flatten)]
    pub trace: TraceConfig,
    /// How long running requests may take to finish once the node is told to stop, in seconds.
    #[arg(long, default_value_t = 30)]
    pub drain_seconds: u64,
    /// How long sandboxes serve on when this daemon goes without a word (kill -9, a crash), in seconds, for the next one
    /// of the same state folder to adopt; 0 ends them at once.
    #[arg(long, default_value_t = 10)]
    pub adopt_seconds: u64,
    /// Takes the place of the daemon that holds the state folder, without a failed request: its listeners, as many cores, its
    /// sandboxes. Without one it starts as ever.
    #[arg(long)]
    pub replace: bool,
    /// Threads that serve calls; as many as there are cores by default.
    #[arg(long)]
    pub cores: Option<usize>,
    #[command(flatten)]
    pub packages: PackageArgs,
    /// What every node needs to know, `hatchway up` included.
    #[command(flatten)]
    pub machine: Machine,
}

impl Config {
    /// What this node is called, which listens on `address`.
    pub fn name(&self, address: &Address) -> String {
        self.name.clone().unwrap_or_else(|| member::default_name(address))
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write NAME=VALUE, as in zone=a".to_owned()),
    }
}

/// The machine that a node has, and how it uses it.
#[derive(Args, Clone, Debug)]
pub struct Machine {
    /// Where sockets, adapters and the lock of this node live. Defaults to /var/lib/hatchway for root and to
    /// $XDG_STATE_HOME/hatchway for others.
    #[arg(long)]
    pub state: Option<PathBuf>,
    /// What to do when the machine cannot give a part of the isolation.
    #[arg(long, value_enum)]
    pub isolation: Option<IsolationMode>,
    /// A folder below which packages may lie that the catalog names by path; may be given more than once. Nothing of
    /// this machine but these, the state folder and the runtimes can be mounted into a sandbox.
    #[arg(long, value_name = "DIR")]
    pub packages: Vec<PathBuf>,
    /// Whom to become once the spawner runs, when started as root.
    #[arg(long)]
    pub user: Option<String>,
    /// Memory that sandboxes may use together, in MiB; three quarters of what this process may use by default.
    #[arg(long)]
    pub memory_mib: Option<u64>,
    /// Starts that may have two cores until they have answered, whatever their limit, at a time; as many as there are
    /// cores by default, 0 for none.
    #[arg(long)]
    pub start_boosts: Option<usize>,
    /// How functions start: forked from a process that has loaded their code, where there is one and that works, else in a
    /// runtime that has booted in advance; always in such a runtime; or each by a process of its own.
    #[arg(long, value_enum, default_value_t = Starts::Fork)]
    pub starts: Starts,
    /// Memory that processes which wait to be forked may use together, in MiB; a quarter of what sandboxes may use by
    /// default, and never what they need.
    #[arg(long)]
    pub zygote_memory_mib: Option<u64>,
    /// Memory that runtimes which have booted in advance may use together, in MiB; the sixteenth part of what sandboxes may
    /// use by default, at most 64, and never what they need.
    #[arg(long)]
    pub stem_memory_mib: Option<u64>,
    /// A network that functions may reach through the egress proxy, of those that it leads nobody to: private ones, the loopback,
    /// link-local ones. An address of this node, or of a cloud's metadata, has to be given by itself. May be given more than once.
    #[arg(long, value_name = "NETWORK")]
    pub egress_allow: Vec<Network>,
}

/// How functions start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Starts {
    /// Forked from a zygote, where there is one and their code allows it, else in a stem cell.
    Fork,
    /// In a stem cell, where there is one.
    Stem,
    /// Each by a process of its own.
    Fresh,
}

/// What to do when the machine cannot give a part of the isolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IsolationMode {
    /// Refuse to start.
    Strict,
    /// Start, and name what is missing.
    BestEffort,
}
