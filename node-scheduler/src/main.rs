//! `hatchway-node`: config, spawner, privileges, sockets, serve, drain.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hatchway_node::admin::HealthPages;
use hatchway_node::admit::NodeCore;
use hatchway_node::config::{Config, IsolationMode};
use hatchway_node::growth;
use hatchway_node::heir::Heir;
use hatchway_node::metrics::spans_dropped;
use hatchway_node::node::{self, Node, Succession, Taken};
use hatchway_node::pool::PoolEvent;
use hatchway_node::register;
use hatchway_node::rules;
use hatchway_node::serve;
use hatchway_wire::admin::Admin;
use hatchway_wire::catalog::Intake;
use hatchway_wire::catalog::etcd::registrar::Registrar;
use hatchway_wire::core::{self, Cores};
use hatchway_wire::link::{self, Role, Security};
use hatchway_wire::listen::{self, Address, Listener};
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
    let succession = Succession {
        adopt: Duration::from_secs(config.adopt_seconds),
        replaces: config.replace.then_some(&config.listen),
    };
    let mut prepared = node::prepare(&config.machine, IsolationMode::Strict, None, succession)
        .map_err(Exit::config)?;
    prepared.packages = Some(config.packages.clone());
    let own_place = match prepared.has_predecessor() {
        true => None,
        false => Some(Place::bind(&config)?),
    };
    prepared.drop_privileges().map_err(Exit::config)?;

    let registry = Registry::new();
    let tracing = Tracing::start(&config.trace, "hatchway-node", &spans_dropped(&registry))?;
    let tracers = tracing.as_ref().map(Tracing::tracers);
    let state = prepared.state().to_owned();
    let intake = Intake::open(&config.source, Some(&state), &registry);
    let intake = intake.map_err(Exit::config)?;
    let operators = config.operators.check(&config.admin).map_err(Exit::config)?;
    let (prepared, taken) = prepared.take_over().map_err(Exit::config)?;
    let place = own_place.or(taken.map(Place::from)).expect("it is our own, or taken");
    let node = prepared.start(&registry, log).map_err(Exit::config)?;
    let name = config.name(&place.address);
    // Before the rules: what they keep ready is within the plans.
    let planned = growth::begin(&config.source, &state, &name, &node)?;
    node.apply(&intake.first());
    let pages = Arc::new(node.pages());
    let health = Arc::new(HealthPages { registry });
    let admin = Admin::start(operators, vec![pages, health], None)
        .map_err(|error| Exit::unavailable(format!("cannot listen on {}", config.admin), error))?;
    let (pool, packages) = (node.pool.clone(), node.packages.clone());
    let (links, listeners) = (security.clone(), place.listeners()?);
    let serving = serve::start(listeners, place.instance, (links, tracers), move |core| {
        NodeCore::new(pool.clone(), packages.clone(), core)
    })
    .map_err(|error| Exit::unavailable("cannot start the cores".to_owned(), error))?;
    let plans = growth::follow(planned, &name, &node);
    let registrar = register::start(&config, (&name, &place.address), &node, place.instance)?;
    let mut door = match config.adopt_seconds {
        0 => None,
        _ => Some(node.open_door(&config.listen).map_err(|error| {
            Exit::unavailable("cannot open the door for the next daemon".to_owned(), error)
        })?),
    };
    let heir = async {
        match &mut door {
            Some(door) => door.taken().await,
            None => std::future::pending().await,
        }
    };
    let failures = register::tell_failures(registrar.as_ref(), &node);
    let follow = async {
        // From here on signals are heard.
        tracing::info!(address = %place.address, admin = %admin.address, "serving");
        follow(intake, &node, security, (plans, failures)).await
    };
    let heir = process::until_stopped_or(follow, heir)?;
    drop(door);
    let running = Running { config, place, node, admin, serving, registrar };
    match heir {
        Some(heir) => running.hand_over(heir),
        None => running.drain(),
    }
}

/// Where gateways connect, and what they know this node by.
struct Place {
    listeners: Vec<Listener>,
    address: Address,
    instance: u128,
}

impl Place {
    fn bind(config: &Config) -> Result<Self, Exit> {
        let cores = config.cores.unwrap_or_else(core::available);
        let (listeners, address) = listen::bind(&config.listen, cores).map_err(|error| {
            Exit::unavailable(format!("cannot listen on {}", config.listen), error)
        })?;
        Ok(Self { listeners, address, instance: link::draw_instance() })
    }

    /// The same again for the cores: these here are kept for an heir.
    fn listeners(&self) -> Result<Vec<Listener>, Exit> {
        let copies = self.listeners.iter().map(Listener::try_clone).collect::<Result<_, _>>();
        copies.map_err(|error| Exit::unavailable("cannot keep the listeners".to_owned(), error))
    }
}

impl From<Taken> for Place {
    fn from(taken: Taken) -> Self {
        let Taken { listeners, address, instance } = taken;
        Self { listeners, address, instance }
    }
}

/// Everything that ends with this daemon.
struct Running {
    config: Config,
    place: Place,
    node: Node,
    admin: Admin,
    serving: Cores,
    registrar: Option<Registrar>,
}

impl Running {
    fn drain(self) -> Result<(), Exit> {
        let Self { config, place, node, admin, serving, registrar } = self;
        tracing::info!("draining");
        node.farewell();
        // First to those who do not have a link yet.
        if let Some(registrar) = &registrar {
            registrar.drain();
        }
        let Place { listeners, address, .. } = place;
        drop(listeners);
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

    /// As [`drain`](Self::drain), but that nothing goes away: another daemon has it.
    fn hand_over(self, heir: Heir) -> Result<(), Exit> {
        let Self { config, place, node, admin, serving, registrar } = self;
        // It listens there itself.
        admin.stop();
        serving.hand_over();
        let events = node.pool.events();
        let (address, instance) = (&place.address, place.instance);
        if let Err(error) = node.hand_over(&heir, &place.listeners, (address, instance)) {
            tracing::error!(%error, "the daemon that was to take over is gone");
        }
        drop(place);
        // Ends with this process, which says by its end that nothing is used any more.
        std::thread::spawn(move || heir.follow(events));
        process::within(Duration::from_secs(config.drain_seconds), move || {
            serving.join();
            node.finish();
        })?;
        if let Some(registrar) = registrar {
            registrar.hand_over();
        }
        tracing::info!("replaced");
        Ok(())
    }
}

/// The next start would replace it, but nobody should find a socket that nobody listens on.
fn remove_socket(address: &Address) {
    let Address::Unix(path) = address else { return };
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(%address, %error, "the socket stays: its folder belongs to somebody else");
    }
}

/// Applies the rules after every change, and sees certificates change, for as long as the node runs.
async fn follow(
    intake: Intake,
    node: &Node,
    security: Security,
    (plans, failures): (impl Future<Output = ()>, impl Future<Output = ()>),
) -> Exit {
    let (changed, changes) = tokio::sync::mpsc::unbounded_channel();
    let following = intake.follow(move |objects| {
        tracing::info!("the catalog has changed");
        // Nobody listens once the node stops.
        let _ = changed.send(objects);
    });
    tokio::join!(following, rules::follow(node, changes), security.follow(), plans, failures);
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
        PoolEvent::Adopted { .. } => tracing::info!(function, sandbox, "adopted"),
        PoolEvent::Left { .. } => tracing::debug!(function, sandbox, "left to the next daemon"),
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
