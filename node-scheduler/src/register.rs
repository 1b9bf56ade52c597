//! A node says in etcd that it is there, and what it has.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use hatchway_proto::catalog::Registration;
use hatchway_wire::catalog::etcd::registrar::Registrar;
use hatchway_wire::listen::Address;
use hatchway_wire::process::Exit;
use tokio::time::sleep;

use crate::config::Config;
use crate::node::Node;

/// So often is looked whether packages have failed, or have come after all.
const LOOK: Duration = Duration::from_secs(1);

/// Failures that are told: an operator looks at one, and mends the store.
const FAILURES: usize = 20;

/// Gateways cannot know it.
#[derive(Debug, thiserror::Error)]
#[error(
    "--listen {0} is every address of this machine: say with --advertise which one gateways connect to"
)]
struct Everywhere(SocketAddr);

/// Registers `node` as `name`, which listens on `address`; nothing where the rules are in a file.
///
/// # Errors
/// What is wrong with the settings. etcd not being there is nothing.
pub fn start(
    config: &Config,
    (name, address): (&str, &Address),
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
        failed_packages: BTreeMap::new(),
    };
    tracing::info!(name, address = registration.address, "registered in etcd");
    let started = Registrar::start(etcd, name, registration);
    let failed = |error| Exit::unavailable("cannot start the registrar".to_owned(), error);
    started.map(Some).map_err(failed)
}

/// Says which packages the node could not get, for as long as it is polled.
pub async fn tell_failures(registrar: Option<&Registrar>, node: &Node) {
    let Some(registrar) = registrar else { return };
    loop {
        let failed = node.packages.status().into_iter().filter_map(|package| {
            let why = format!("{}: {}", package.reason?, package.detail?);
            Some((package.digest, why))
        });
        registrar.tell_failed(failed.take(FAILURES).collect());
        sleep(LOOK).await;
    }
}
