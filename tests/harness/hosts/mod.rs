//! Hosts on one machine: a network namespace each, and between any two a [`Way`] that can be cut, narrowed, slowed down and made to lose
//! packets, in one direction or both.
//!
//! It takes root, namespaces and `/dev/net/tun`, all of which a container may lack; [`on_hosts`] says so then. A namespace has no name,
//! and so leaves nothing behind.

mod router;
mod space;
mod way;

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tun_rs::DeviceBuilder;

use self::router::{Port, Router};
use self::space::Space;
pub use self::way::Way;
use crate::skipped;

/// The network of all hosts; which one it is matters to nobody outside.
const NETWORK: [u8; 3] = [10, 77, 0];

/// Hosts, and what is between them.
#[derive(Debug)]
pub struct Network {
    router: Router,
    hosts: usize,
}

/// A machine, as far as the network knows. Cheap to clone; ends with its last clone and the last program on it.
#[derive(Clone, Debug)]
pub struct Host {
    space: Arc<Space>,
    port: Port,
    /// What others reach it by.
    pub ip: IpAddr,
}

/// Does `work` on a host of its own, from which it may start and reach others. Says that `test` was skipped where this machine
/// gives no hosts.
///
/// # Panics
/// When `work` does.
pub fn on_hosts(test: &str, seed: u64, work: impl FnOnce(&mut Network, &Host) + Send) {
    match Network::new(seed) {
        Ok((mut network, first)) => first.within(|| work(&mut network, &first)),
        Err(error) => {
            skipped(test, &format!("network namespaces of our own, with TUN devices ({error})"));
        }
    }
}

impl Network {
    /// One with a first host. What is lost is drawn from `seed`.
    fn new(seed: u64) -> io::Result<(Self, Host)> {
        let mut network = Self { router: Router::start(seed)?, hosts: 0 };
        let first = network.add()?;
        Ok((network, first))
    }

    /// One more host.
    ///
    /// # Panics
    /// When there is none to be had, although there was a first one.
    pub fn host(&mut self) -> Host {
        self.add().expect("there was one before")
    }

    fn add(&mut self) -> io::Result<Host> {
        self.hosts += 1;
        let last = u8::try_from(self.hosts).map_err(io::Error::other)?;
        let [a, b, c] = NETWORK;
        let ip = Ipv4Addr::new(a, b, c, last);
        let space = Space::new()?;
        let device = space.within(|| device(ip))?;
        let port = self.router.connect(device);
        Ok(Host { space: Arc::new(space), port, ip: ip.into() })
    }

    /// From now on packets `from` one host travel so `to` another.
    pub fn set(&self, from: &Host, to: &Host, way: Way) {
        self.router.set(from.port, to.port, way);
    }

    /// The same for both directions.
    pub fn set_both(&self, one: &Host, other: &Host, way: Way) {
        self.set(one, other, way);
        self.set(other, one, way);
    }
}

impl Host {
    /// Does `work` there: what it starts runs there, what it connects comes from there.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.space.within(work)
    }

    /// Where a program listens there.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, port)
    }
}

/// The one interface of a host, up, with its address; its loopback as well.
fn device(ip: Ipv4Addr) -> io::Result<File> {
    let device = DeviceBuilder::new().name("eth0").build_sync()?;
    device.set_nonblocking(true)?;
    let mut ip_program = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn()?;
    let mut orders = ip_program.stdin.take().expect("it is piped");
    writeln!(orders, "link set lo up\naddr add {ip}/24 dev eth0\nlink set eth0 mtu 1500 up")?;
    drop(orders);
    match ip_program.wait()?.success() {
        true => device.as_fd().try_clone_to_owned().map(File::from),
        false => Err(io::Error::other("`ip` could not set up an interface")),
    }
}
