//! What is measured: Hatchway, the servers a user would pick instead, and the function alone. Each is
//! started fresh for each figure, with one worker on one core, logs off, and kept connections behind.

mod certificate;
mod direct;
mod envoy;
mod haproxy;
mod hatchway;
mod nginx;
mod pair;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::child::Child;
use crate::error::{During as _, Result};
use crate::front::Front;
use crate::machine::Cores;
use crate::process::Tree;

pub(crate) use certificate::Certificate;
pub(crate) use hatchway::{Daemon, Sandbox, write_project};
pub(crate) use pair::{Plan, ROUTES};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    /// The function itself, called over TCP: what there is without a gateway.
    Direct,
    /// `hatchway up`.
    Hatchway,
    /// `hatchway-gateway` and `hatchway-node`.
    Pair,
    /// The same with 100,000 routes.
    Routes,
    Nginx,
    Haproxy,
    Envoy,
}

impl Peer {
    pub(crate) const ALL: [Self; 7] = [
        Self::Direct,
        Self::Hatchway,
        Self::Pair,
        Self::Routes,
        Self::Nginx,
        Self::Haproxy,
        Self::Envoy,
    ];

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Hatchway | Self::Pair | Self::Routes)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "function alone",
            Self::Hatchway => "Hatchway",
            Self::Pair => "Hatchway, two hops",
            Self::Routes => "... 100,000 routes",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
        }
    }

    /// Which version would be measured.
    ///
    /// # Errors
    /// When it is not on this machine.
    pub(crate) fn version(self, site: &Site) -> Result<String> {
        match self {
            Self::Direct => Ok(String::new()),
            Self::Hatchway | Self::Pair | Self::Routes => hatchway::version(site),
            Self::Nginx => nginx::version(),
            Self::Haproxy => haproxy::version(),
            Self::Envoy => envoy::version(site),
        }
    }

    /// Starts it with a function behind it, and returns when a request can be answered.
    pub(crate) fn start(self, site: &Site, front: Front) -> Result<Running> {
        match self {
            Self::Direct => direct::start(site),
            Self::Hatchway => hatchway::start(site, front),
            Self::Pair => pair::start(site, 0),
            Self::Routes => pair::start(site, ROUTES),
            Self::Nginx => nginx::start(site, front),
            Self::Haproxy => haproxy::start(site, front),
            Self::Envoy => envoy::start(site, front),
        }
    }
}

/// Where things are, and where they may be put.
#[derive(Debug)]
pub(crate) struct Site {
    /// For configurations, sockets and logs of one start.
    pub(crate) dir: PathBuf,
    /// Where `hatchway` and its helpers are.
    pub(crate) programs: PathBuf,
    /// The canned server.
    pub(crate) function: PathBuf,
    /// The folder that `make setup-bench` puts Envoy into.
    pub(crate) envoy: PathBuf,
    pub(crate) cores: Cores,
}

/// A gateway that serves.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// What is charged for a figure.
    pub(crate) charged: Tree,
    /// Ended in this order: the gateway, then the function behind it.
    _children: Vec<Child>,
}

impl Running {
    /// Starts the function, then `command` in front of it, and charges the latter.
    fn in_front(site: &Site, name: &str, address: SocketAddr, command: Command) -> Result<Self> {
        let function = start_function(site)?;
        let mut gateway = Child::start(name, site.cores.gateway, command, &site.dir)?;
        gateway.wait_until(|| TcpStream::connect(address).is_ok())?;
        Ok(Self { address, charged: Tree::of(gateway.pid()), _children: vec![gateway, function] })
    }
}

impl Site {
    fn function_socket(&self) -> PathBuf {
        self.dir.join("function.sock")
    }
}

/// The function on its Unix socket, on the core of the load.
fn start_function(site: &Site) -> Result<Child> {
    let socket = site.function_socket();
    remove_if_there(&socket)?;
    let mut command = Command::new(&site.function);
    command.env("HATCHWAY_SOCKET", &socket);
    let mut function = Child::start("function", site.cores.load, command, &site.dir)?;
    function.wait_until(|| UnixStream::connect(&socket).is_ok())?;
    Ok(function)
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", path),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A loopback port that nobody uses now.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).during("look for a free port")?;
    probe.local_addr().during("look for a free port")
}
