//! `hatchway-gateway`: config, sockets, serve, drain.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use hatchway_gateway::accept::{self, Door, Ports};
use hatchway_gateway::access::AccessLog;
use hatchway_gateway::admin::GatewayApi;
use hatchway_gateway::admit;
use hatchway_gateway::catalog::{self, Catalog, Publisher, apply::apply};
use hatchway_gateway::config::{Config, TlsPort};
use hatchway_gateway::forward::{Fleet, RemoteNodes};
use hatchway_gateway::growth::{self, Signals};
use hatchway_gateway::handle::Gateway;
use hatchway_gateway::metrics::EdgeMetrics;
use hatchway_gateway::registry::Registry;
use hatchway_gateway::rehearse::Heads;
use hatchway_gateway::rollout;
use hatchway_proto::link::hello;
use hatchway_wire::admin::Admin;
use hatchway_wire::catalog::{Intake, Refused, StatusReader};
use hatchway_wire::core;
use hatchway_wire::link::{self, Role, Security};
use hatchway_wire::listen;
use hatchway_wire::process::{self, Exit};
use hatchway_wire::trace::Tracing;
use prometheus::Registry as Metrics;

/// Half of the instructions of glibc's for what a request allocates (`make perf-budget`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let config = Config::parse();
    process::log_to_stderr();
    process::raise_descriptor_limit();
    process::exit_code("hatchway-gateway", run(config))
}

fn run(config: Config) -> Result<(), Exit> {
    let registry = Metrics::new();
    let (publisher, catalog) = catalog::channel();
    let metrics = Arc::new(EdgeMetrics::register(&registry, &catalog));
    let tracing = Tracing::start(&config.trace, "hatchway-gateway", &metrics.spans_dropped)?;
    let intake = Intake::open(&config.source, config.state.as_deref(), &registry);
    let intake = intake.map_err(Exit::config)?;
    if intake.is_known() {
        publish(&publisher, intake.first());
    }

    let security = secure(&config)?;
    let cores = config.cores.unwrap_or_else(core::available);
    let (listeners, address) = listen::bind(&config.listen, cores)
        .map_err(|error| Exit::unavailable(format!("cannot listen on {}", config.listen), error))?;
    let tls = config.tls.open(cores)?;
    let access = AccessLog::open(&config.access, &metrics.access_log_dropped)?;
    let operators = config.operators.check(&config.admin).map_err(Exit::config)?;
    let heads = Heads::with_room(config.keep_heads);
    let fleet = Fleet::from(config.nodes.clone());
    let is_leaving = Arc::<AtomicBool>::default();
    let ours = (&fleet, &is_leaving);
    let api = api(&config, &address, &catalog, (&registry, intake.status(), heads.clone()), ours);
    let admin = Admin::start(operators, Vec::new(), Some(api))
        .map_err(|error| Exit::unavailable(format!("cannot listen on {}", config.admin), error))?;

    let rollouts = rollout::follow(&config.source, catalog.clone()).map_err(Exit::config)?;
    let shares = admit::fair::follow(&config.source, catalog.clone()).map_err(Exit::config)?;
    let signals = Signals::register(&registry);
    let growth = growth::follow(&config.source, catalog.clone(), signals).map_err(Exit::config)?;
    let nodes = config.nodes.is_empty().then(|| follow_nodes(&config, &fleet, &security));
    fleet.register(&registry);
    let (reading, counts) = (catalog.clone(), Arc::clone(&metrics));
    let scribes = access.as_ref().map(AccessLog::scribes);
    let tracers = tracing.as_ref().map(Tracing::tracers);
    let settings = link_settings(scribes.is_some());
    let tls_address = tls.as_ref().map(|tls| tls.address.to_string());
    let certificates = tls.as_ref().map(TlsPort::follow);
    let ports = Ports::from(listeners).with_tls(tls);
    let links = security.clone();
    let gateway = accept::start(ports, Door::from(&config.door), move |core| {
        let nodes = RemoteNodes::with(&fleet, links.clone(), &core.ticker, settings.clone());
        Gateway::new(reading.cached(), nodes, Arc::clone(&counts))
            .put_down(scribes.as_ref())
            .tell(tracers.as_ref())
            .remember(heads.as_ref())
    })
    .map_err(|error| Exit::unavailable("cannot start the cores".to_owned(), error))?;
    let name = config.name(&address);
    process::until_stopped(async {
        // From here on signals are heard.
        tracing::info!(%address, tls = tls_address, admin = %admin.address, name, "serving");
        let requests = || metrics.total();
        let publish = |objects| publish(&publisher, objects);
        let us = (&*name, env!("CARGO_PKG_VERSION"));
        let hear = |found: &_, is_heard| {
            if let Some(nodes) = &nodes {
                nodes.hear(found, is_heard);
            }
        };
        let catalog = intake.follow_as_gateway(us, requests, publish, hear);
        let sweep = async {
            if let Some(nodes) = &nodes {
                nodes.sweep().await;
            }
        };
        let certificates = async {
            if let Some(following) = certificates {
                following.await;
            }
        };
        let hangups = AccessLog::follow_hangups(access.as_ref());
        tokio::join!(
            catalog,
            sweep,
            certificates,
            security.follow(),
            rollouts,
            shares,
            growth,
            hangups
        );
        std::future::pending().await
    })?;

    tracing::info!("draining");
    is_leaving.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(config.leave_seconds));
    gateway.drain();
    process::within(Duration::from_secs(config.drain_seconds), move || gateway.join())?;
    admin.stop();
    Ok(())
}

/// How links to nodes are encrypted: those that leave the machine have to be.
fn secure(config: &Config) -> Result<Security, Exit> {
    let security = Security::load(&config.link, Role::Gateway).map_err(Exit::config)?;
    for node in &config.nodes {
        security.check("--node", node).map_err(Exit::config)?;
    }
    Ok(security)
}

/// The nodes are those that are registered in etcd.
fn follow_nodes(config: &Config, fleet: &Fleet, security: &Security) -> Registry {
    let (allowed, state) = (config.node_allow.clone(), config.state.as_deref());
    Registry::open(fleet.clone(), security.clone(), allowed, state)
}

/// Who writes down what was served asks nodes how.
fn link_settings(wants_accounts: bool) -> link::Settings {
    let mut settings = link::Settings::default();
    if wants_accounts {
        settings.features |= hello::ACCOUNTS;
    }
    settings
}

/// Serves by `objects` from now on, and gives back what it could not apply, by key.
fn publish(publisher: &Publisher, objects: Arc<hatchway_proto::catalog::Objects>) -> Refused {
    let snapshot = apply(&publisher.current(), objects);
    for (object, why) in &snapshot.problems {
        tracing::warn!(object, why, "an object of the catalog is left out");
    }
    tracing::info!(revision = snapshot.revision, "the catalog is applied");
    let key = |(object, why): (&String, &String)| (object.replacen(' ', "s/", 1), why.clone());
    let refused = snapshot.problems.iter().map(key).collect();
    publisher.publish(snapshot);
    refused
}

fn api(
    config: &Config,
    address: &listen::Address,
    catalog: &Catalog,
    (registry, source, heads): (&Metrics, StatusReader, Option<Arc<Heads>>),
    (fleet, is_leaving): (&Fleet, &Arc<AtomicBool>),
) -> Arc<GatewayApi> {
    Arc::new(GatewayApi {
        program: "hatchway-gateway",
        listen: address.to_string(),
        source,
        rules: Some(config.source.clone()),
        catalog: catalog.clone(),
        registry: registry.clone(),
        started: (SystemTime::now(), Instant::now()),
        node: None,
        heads,
        fleet: Some(fleet.clone()),
        is_leaving: Arc::clone(is_leaving),
    })
}
