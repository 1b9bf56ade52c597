//! A node says in etcd that it is there, and what it has.

use std::net::SocketAddr;

use hatchway_proto::catalog::Registration;
use hatchway_wire::catalog::etcd::registrar::Registrar;
use hatchway_wire::listen::Address;
use hatchway_wire::member;
use hatchway_wire::process::Exit;

use crate::config::Config;
use crate::node::Node;

/// Gateways cannot know it.
#[derive(Debug, thiserror::Error)]
#[error(
    "--listen {0} is every address of this machine: say with --advertise which one gateways connect to"
)]
struct Everywhere(SocketAddr);

/// Registers `node`, which listens on `address`; nothing where the rules are in a file.
///
/// # Errors
/// What is wrong with the settings. etcd not being there is nothing.
pub fn start(
    config: &Config,
    address: &Address,
    node: &Node,
    instance: u128,
) -> Result<Option<Registrar>, Exit> {
    if config.source.catalog.is_some() {
        return Ok(None);
    }
    let etcd = config.source.etcd.check().map_err(Exit::config)?;
    let advertised = config.advertise.as_ref().unwrap_or(address);
    if let Address::Tcp(tcp) = advertised
        && tcp.ip().is_unspecified()
    {
        return Err(Exit::config(Everywhere(*tcp)));
    }
    let name = config.name.clone().unwrap_or_else(|| member::default_name(address));
    let memory_mib = node.pool.load().memory_budget_bytes >> 20;
    let registration = Registration {
        address: advertised.to_string(),
        instance: format!("{instance:032x}"),
        labels: config.labels.iter().cloned().collect(),
        capacity_mib: u32::try_from(memory_mib).unwrap_or(u32::MAX),
        runtimes: node.runtimes.iter().map(|runtime| (*runtime).to_owned()).collect(),
        missing_isolation: node.grants.missing().map(|(step, _)| step.to_string()).collect(),
        is_draining: false,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    tracing::info!(name, address = registration.address, "registered in etcd");
    let started = Registrar::start(etcd, &name, registration);
    let failed = |error| Exit::unavailable("cannot start the registrar".to_owned(), error);
    started.map(Some).map_err(failed)
}
