//! `hatchway-node`: config, spawner, privileges, sockets, serve, drain.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hatchway_node::admin::HealthPages;
use hatchway_node::admit::NodeCore;
use hatchway_node::config::{Config, IsolationMode};
use hatchway_node::metrics::spans_dropped;
use hatchway_node::node::{self, Node};
use hatchway_node::pool::PoolEvent;
use hatchway_node::register;
use hatchway_node::rules;
use hatchway_node::serve;
use hatchway_wire::admin::Admin;
use hatchway_wire::catalog::Intake;
use hatchway_wire::core;
use hatchway_wire::link::{self, Role, Security};
use hatchway_wire::listen::{self, Address};
use hatchway_wire::process::{self, Exit};
use hatchway_wire::trace::Tracing;
use prometheus::Registry;

/// Half of the instructions of glibc's for what a request allocates (`make perf-budget`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let config = Config::parse();
    process::log_to_stderr();
    process::exit_code("hatchway-node", run(config))
}

fn run(config: Config) -> Result<(), Exit> {
    let security = Security::load(&config.link, Role::Node).map_err(Exit::config)?;
    security.check("--listen", &config.listen).map_err(Exit::config)?;
    let mut prepared =
        node::prepare(&config.machine, IsolationMode::Strict, None).map_err(Exit::config)?;
    prepared.packages = Some(config.packages.clone());
    let cores = config.cores.unwrap_or_else(core::available);
    let (listeners, address) = listen::bind(&config.listen, cores)
        .map_err(|error| Exit::unavailable(format!("cannot listen on {}", config.listen), error))?;
    prepared.drop_privileges().map_err(Exit::config)?;

    let registry = Registry::new();
    let tracing = Tracing::start(&config.trace, "hatchway-node", &spans_dropped(&registry))?;
    let tracers = tracing.as_ref().map(Tracing::tracers);
    let intake = Intake::open(&config.source, Some(prepared.state()), &registry);
    let intake = intake.map_err(Exit::config)?;
    let node = prepared.start(&registry, log).map_err(Exit::config)?;
    node.apply(&intake.first());
    let pages = Arc::new(node.pages());
    let health = Arc::new(HealthPages { registry });
    let operators = config.operators.check(&config.admin).map_err(Exit::config)?;
    let admin = Admin::start(operators, vec![pages, health], None)
        .map_err(|error| Exit::unavailable(format!("cannot listen on {}", config.admin), error))?;
    let (pool, packages) = (node.pool.clone(), node.packages.clone());
    let instance = link::draw_instance();
    let links = security.clone();
    let serving = serve::start(listeners, instance, (links, tracers), move |core| {
        NodeCore::new(pool.clone(), packages.clone(), core)
    })
    .map_err(|error| Exit::unavailable("cannot start the cores".to_owned(), error))?;
    let registrar = register::start(&config, &address, &node, instance)?;
    tracing::info!(%address, admin = %admin.address, "serving");

    process::until_stopped(follow(intake, &node, security))?;

    tracing::info!("draining");
    // First to those who do not have a link yet.
    if let Some(registrar) = &registrar {
        registrar.drain();
    }
    serving.drain();
    process::within(Duration::from_secs(config.drain_seconds), move || {
        serving.join();
        node.drain();
    })?;
    if let Some(registrar) = registrar {
        registrar.leave();
    }
    admin.stop();
    remove_socket(&address);
    Ok(())
}

/// The next start would replace it, but nobody should find a socket that nobody listens on.
fn remove_socket(address: &Address) {
    let Address::Unix(path) = address else { return };
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(%address, %error, "the socket stays: its folder belongs to somebody else");
    }
}

/// Applies the rules after every change, and sees certificates change, for as long as the node runs.
async fn follow(intake: Intake, node: &Node, security: Security) -> Exit {
    let (changed, changes) = tokio::sync::mpsc::unbounded_channel();
    let following = intake.follow(move |objects| {
        tracing::info!("the catalog has changed");
        // Nobody listens once the node stops.
        let _ = changed.send(objects);
    });
    tokio::join!(following, rules::follow(node, changes), security.follow());
    std::future::pending().await
}

fn log(event: &PoolEvent) {
    let of = event.of();
    let (function, sandbox) = (of.function.as_str(), of.sandbox.0);
    match event {
        PoolEvent::Hatching { .. } => tracing::debug!(function, sandbox, "hatching"),
        PoolEvent::Hatched { took, .. } => {
            tracing::info!(function, sandbox, took_ms = took.as_millis(), "hatched");
        }
        PoolEvent::HatchFailed { failure, .. } => {
            tracing::warn!(function, sandbox, error = %failure, "a sandbox did not start");
        }
        PoolEvent::Reaped { why, served, .. } => {
            tracing::info!(function, sandbox, why = why.word(), served, "reaped");
        }
        PoolEvent::Died { exit, in_flight, .. } => {
            tracing::warn!(function, sandbox, %exit, in_flight, "a sandbox died");
        }
    }
}
