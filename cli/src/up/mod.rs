//! `hatchway up`: a gateway and a node in one process, with projects in place of a shared catalog.
//!
//! The same gateway and node code as in a cluster, joined by a call instead of a socket. Reading order: here
//! the start and the end, [`watch`] (reload on save), [`view`] (what the admin pages show of the node),
//! [`announce`] (what is printed).

mod announce;
mod view;
mod watch;

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hatchway_gateway::accept::{self, Door, DoorConfig, Ports};
use hatchway_gateway::access::{AccessConfig, AccessLog, Scribes};
use hatchway_gateway::admin::GatewayApi;
use hatchway_gateway::catalog::{self, Catalog};
use hatchway_gateway::config::{TlsConfig, TlsPort};
use hatchway_gateway::handle::Gateway;
use hatchway_gateway::metrics::EdgeMetrics;
use hatchway_node::admit::NodeCore;
use hatchway_node::config::{IsolationMode, Machine};
use hatchway_node::node::{self, Node, Prepared, Succession};
use hatchway_wire::admin::{Admin, AdminArgs};
use hatchway_wire::catalog::StatusReader;
use hatchway_wire::core::{self, Cores};
use hatchway_wire::listen::{self, Address};
use hatchway_wire::process::{self, Exit};
use hatchway_wire::trace::{TraceConfig, Tracers, Tracing};
use prometheus::Registry;

use crate::project::{self, Project};
use crate::report;
use view::View;
use watch::Applier;

/// Requests have had their time when sandboxes are asked to end: what is left is for shutdown hooks.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What `hatchway up` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders with a hatchway.toml, or folders of such folders.
    #[arg(default_value = ".")]
    pub(crate) dirs: Vec<PathBuf>,
    /// Where functions are served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) tls: TlsConfig,
    /// Where the admin API is served.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub(crate) admin: Address,
    #[command(flatten)]
    pub(crate) operators: AdminArgs,
    /// How long running requests may take to finish after Ctrl-C, in seconds.
    #[arg(long, default_value_t = 30)]
    pub(crate) drain_seconds: u64,
    /// Threads that serve requests; as many as there are cores by default.
    #[arg(long)]
    pub(crate) cores: Option<usize>,
    #[command(flatten)]
    pub(crate) door: DoorConfig,
    #[command(flatten)]
    pub(crate) access: AccessConfig,
    #[command(flatten)]
    pub(crate) trace: TraceConfig,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// Serves until told to stop.
pub(crate) fn run(args: Args) -> ExitCode {
    let project = match project::load(&args.dirs) {
        Ok(project) => project,
        Err(mistakes) => {
            report::print(&mistakes);
            return ExitCode::from(report::BAD_PROJECT);
        }
    };
    report::print_notes(&project.notes);
    process::log_to_stderr();
    process::exit_code("hatchway", serve(args, project))
}

fn serve(args: Args, project: Project) -> Result<(), Exit> {
    let mut prepared = prepare(&args, &project)?;
    prepared.drain_limit = Some(LAST_WORDS);
    let cores = args.cores.unwrap_or_else(core::available);
    let no_listener = |error| Exit::unavailable(format!("cannot listen on {}", args.listen), error);
    let (listeners, address) =
        listen::bind(&Address::Tcp(args.listen), cores).map_err(no_listener)?;
    let tls = args.tls.open(cores)?;
    prepared.drop_privileges().map_err(Exit::config)?;
    check_readable(&project)?;
    announce::isolation(&prepared.grants);

    let registry = Registry::new();
    let (publisher, catalog) = catalog::channel();
    let metrics = Arc::new(EdgeMetrics::register(&registry, &catalog));
    // As who will open it again.
    let access = AccessLog::open(&args.access, &metrics.access_log_dropped)?;
    let scribes = access.as_ref().map(AccessLog::scribes);
    let tracing = Tracing::start(&args.trace, "hatchway", &metrics.spans_dropped)?;
    let tracers = tracing.as_ref().map(Tracing::tracers);
    let node = prepared.start(&registry, announce::event).map_err(Exit::config)?;
    let node = Arc::new(node);
    let applier = Applier::new(publisher, Arc::clone(&node));
    applier.first(project.objects.clone());

    let operators = args.operators.check(&args.admin).map_err(Exit::config)?;
    let api = api(&args, &address, &catalog, &registry, &node);
    let no_admin = |error| Exit::unavailable(format!("cannot listen on {}", args.admin), error);
    let admin =
        Admin::start(operators, vec![Arc::new(node.pages())], Some(api)).map_err(no_admin)?;
    if let Some(tls) = &tls {
        announce::tls(&tls.address);
    }
    let certificates = tls.as_ref().map(TlsPort::follow);
    let ports = Ports::from(listeners).with_tls(tls);
    let gateway = start_gateway(
        ports,
        Door::from(&args.door),
        &catalog,
        &node,
        (&metrics, scribes, tracers),
    )?;
    process::until_stopped(async {
        // From here on signals are heard.
        announce::ready(&project, &catalog.snapshot(), &address.to_string(), &admin.url());
        let following = watch::follow(args.dirs, project, applier, &node);
        let certificates = async {
            if let Some(following) = certificates {
                following.await;
            }
            std::future::pending().await
        };
        let hangups = async {
            AccessLog::follow_hangups(access.as_ref()).await;
            std::future::pending().await
        };
        tokio::select! {
            exit = following => exit,
            exit = certificates => exit,
            exit = hangups => exit,
        }
    })?;

    announce::draining();
    gateway.drain();
    let limit = Duration::from_secs(args.drain_seconds);
    let late = process::within(limit, move || gateway.join());
    admin.stop();
    if let Some(node) = Arc::into_inner(node) {
        node.drain();
    }
    late
}

/// The root of the process tree: everything that needs privileges, before any thread exists.
fn prepare(args: &Args, project: &Project) -> Result<Prepared, Exit> {
    let owner = project.functions.first().and_then(|function| {
        let uid = std::fs::metadata(&function.folder).ok()?.uid();
        (uid != 0).then(|| uid.to_string())
    });
    let mut machine = args.machine.clone();
    machine.packages.extend(args.dirs.iter().cloned());
    machine.packages.extend(project.functions.iter().map(|function| function.folder.clone()));
    // What a person has started ends with it, however it ends.
    let alone = Succession::default();
    node::prepare(&machine, IsolationMode::BestEffort, owner.as_deref(), alone)
        .map_err(Exit::config)
}

/// Nothing is more puzzling than a reload that finds nothing: better to hear of it at the start.
fn check_readable(project: &Project) -> Result<(), Exit> {
    #[derive(Debug, thiserror::Error)]
    #[error(
        "{path} cannot be read once privileges are dropped: start with --user NAME of somebody who can read it \
         (root keeps its name and loses its powers), or move the project"
    )]
    struct Unreadable {
        path: String,
        source: std::io::Error,
    }
    for function in &project.functions {
        std::fs::File::open(&function.manifest).map_err(|source| {
            Exit::config(Unreadable { path: function.manifest.clone(), source })
        })?;
    }
    Ok(())
}

fn start_gateway(
    ports: Ports,
    door: Door,
    catalog: &Catalog,
    node: &Node,
    (metrics, scribes, tracers): (&Arc<EdgeMetrics>, Option<Scribes>, Option<Tracers>),
) -> Result<Cores, Exit> {
    let (catalog, pool, metrics) = (catalog.clone(), node.pool.clone(), Arc::clone(metrics));
    let packages = node.packages.clone();
    accept::start(ports, door, move |core| {
        let node = NodeCore::new(pool.clone(), packages.clone(), core);
        Gateway::new(catalog.cached(), node, Arc::clone(&metrics))
            .put_down(scribes.as_ref())
            .tell(tracers.as_ref())
    })
    .map_err(|error| Exit::unavailable("cannot start the cores".to_owned(), error))
}

fn api(
    args: &Args,
    address: &Address,
    catalog: &Catalog,
    registry: &Registry,
    node: &Node,
) -> Arc<GatewayApi> {
    let dirs: Vec<_> = args.dirs.iter().map(|dir| dir.display().to_string()).collect();
    Arc::new(GatewayApi {
        program: "hatchway up",
        listen: address.to_string(),
        source: StatusReader::of_projects(&dirs.join(" ")),
        rules: None,
        catalog: catalog.clone(),
        registry: registry.clone(),
        started: (SystemTime::now(), Instant::now()),
        node: Some(Arc::new(View::new(node))),
        heads: None,
        fleet: None,
        is_leaving: Arc::default(),
    })
}
