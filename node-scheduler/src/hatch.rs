//! The pool's hatchery: a version becomes a start plan, the plan a sandbox, the sandbox a process that can answer.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hatchway_proto::catalog::{self, Version, Warmup};
use hatchway_proto::name::{SandboxId, VersionId};
use hatchway_sandbox::runtime::{
    self, Adapters, Assignment, Interpreters, Layout, NodeEntry, PythonEntry, Runtime, StartPlan,
    StemKind,
};
use hatchway_sandbox::{
    Connection, Entry, ExitKind, HatchError, Network, NotReady, Sandbox, SandboxSpec, Spawner,
    StemCell,
};
use hatchway_wire::Stream;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::adopt;
use crate::boost::{BOOSTED_MILLIS, Boost, Boosts, UNANSWERED};
use crate::code::Codes;
use crate::egress::{Egress, Outlet};
use crate::logs::{Logs, Origin};
use crate::package::{Held, Packages};
use crate::pool::{Exit, HatchFailure, Hatched, Hatchery, LiveSandbox, StartPhases, Usage};
use crate::stem::StemCells;
use crate::zygote::{Blueprint, CHILD_CLOCK, Children, Trial, Zygotes};

/// Why a start in a stem cell has failed, where it could be for what the cell is, and not for what the function does.
const MAY_BE_OURS: [&str; 3] = ["crashed", "isolation", "start-failed"];

/// Starts sandboxes through the spawner.
#[derive(Debug)]
pub struct ProcessHatchery {
    spawner: Spawner,
    interpreters: Interpreters,
    adapters: Adapters,
    logs: Logs,
    boosts: Boosts,
    zygotes: Zygotes,
    pub(crate) packages: Packages,
    egress: Egress,
    codes: Codes,
    trial: Trial,
    stems: StemCells,
}

/// A start in the making: what it is for.
#[derive(Clone, Copy, Debug)]
struct Wanted<'a> {
    id: SandboxId,
    version_id: VersionId,
    version: &'a Arc<Version>,
    package: &'a Held,
}

/// A process that can answer.
#[derive(Debug)]
pub struct Process {
    sandbox: Arc<Sandbox>,
    boost: Option<Arc<Boost>>,
    /// Kept where one request runs at a time.
    current: Option<Current>,
    /// Its files, and its way out where it has one, stay as long as it lives.
    _package: Held,
    _outlet: Option<Outlet>,
    /// Its zygote knows by it that it lives.
    _children: Option<Children>,
    was_hung: AtomicBool,
}

/// The request that a sandbox serves: for lines that no adapter attributed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Current(Arc<Mutex<Option<Box<str>>>>);

impl Current {
    fn get(&self) -> Option<Box<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, request_id: Option<Box<str>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = request_id;
    }
}

impl ProcessHatchery {
    /// Uses a spawner that runs, and interpreters found once. At most `boosts` starts at a time get more
    /// processor time than their limit.
    pub(crate) fn new(
        spawner: Spawner,
        (zygotes, stems): (Zygotes, StemCells),
        (packages, egress, codes): (Packages, Egress, Codes),
        interpreters: Interpreters,
        adapters: Adapters,
        logs: Logs,
        boosts: usize,
    ) -> Self {
        let trial = Trial::new(&interpreters, &adapters);
        let boosts = Boosts::new(boosts);
        Self {
            spawner,
            interpreters,
            adapters,
            logs,
            boosts,
            zygotes,
            packages,
            egress,
            codes,
            trial,
            stems,
        }
    }

    /// An ordinary start.
    fn plan(&self, wanted: Wanted<'_>) -> Result<StartPlan, HatchFailure> {
        let (sandbox, version) = (wanted.id.to_string(), wanted.version);
        let (runtime, assignment) =
            (described(&version.runtime), assign(&wanted.version_id, version, &sandbox));
        let layout = Layout::default();
        let plan =
            StartPlan::new(&runtime, &assignment, &self.interpreters, &self.adapters, &layout);
        let plan = plan.map_err(|missing| HatchFailure {
            reason: "no-interpreter",
            message: missing.to_string(),
        })?;
        Ok(through_network(version, plan))
    }

    /// The files of a version, and how long the start had to wait for them, if it had to.
    async fn files(
        &self,
        version: &Version,
    ) -> Result<(Held, Option<(&'static str, Duration)>), HatchFailure> {
        if let Some(package) = self.packages.at_once(&version.package) {
            return Ok((package, None));
        }
        let asked = Instant::now();
        let package = self.packages.obtain(&version.package).await?;
        Ok((package, Some(("fetch", asked.elapsed()))))
    }

    /// How a zygote of this version is made; none when its runtime cannot be forked.
    fn blueprint(
        &self,
        version_id: VersionId,
        version: &Arc<Version>,
        package: Held,
    ) -> Option<Blueprint> {
        let (runtime, assignment) = (described(&version.runtime), assign(&version_id, version, ""));
        let layout = Layout::default();
        let plan =
            StartPlan::zygote(&runtime, &assignment, &self.interpreters, &self.adapters, &layout)?;
        let plan = plan.ok()?.with_warmup(version.warmup.iter().map(Warmup::as_str));
        let plan = through_network(version, plan);
        let spec = specify(0, &version_id, version, (&package, plan));
        let trial = matches!(runtime, Runtime::Node(_)).then(|| self.trial.clone());
        Some(Blueprint { id: version_id, version: Arc::clone(version), spec, package, trial })
    }

    /// A start from the version's zygote; none when there is none, or when its child does not come to serve.
    async fn fork(
        &self,
        id: SandboxId,
        version_id: VersionId,
        version: &Version,
        package: &Held,
    ) -> Option<Hatched<Process>> {
        let ordered = Instant::now();
        let (parked, outlet, children) = self.zygotes.take(&version_id).await?;
        let forked = ordered.elapsed();
        let loading = Instant::now();
        let sandbox = parked.go(&id.to_string());
        let current = self.capture(id, version_id, version, &sandbox).ok()?;
        let (reason, detail) = match timeout(CHILD_CLOCK, sandbox.ready()).await {
            Ok(Ok(_)) => {
                sandbox.serves();
                let phases = vec![("fork", forked), ("load", loading.elapsed())];
                let ties = (package.clone(), outlet, Some(children));
                let process = Process::new(sandbox, None, current, ties);
                return Some(Hatched { sandbox: process, phases: StartPhases(phases) });
            }
            Ok(Err(why)) => ("child-failed", why.to_string()),
            Err(_) => ("child-slow", format!("not ready within {CHILD_CLOCK:?}")),
        };
        self.zygotes.disappoint(&version_id, reason, detail);
        None
    }

    /// A start in a stem cell; none when there is none, or when it has ended without a word of the function's.
    async fn differentiate(
        &self,
        wanted: Wanted<'_>,
    ) -> Result<Option<Hatched<Process>>, HatchFailure> {
        let plan = self.plan(wanted)?;
        let version = wanted.version;
        let memory_bytes = Some(version.resources.memory_bytes);
        let kind = StemKind::of(&described(&version.runtime), memory_bytes, &plan.env);
        let Some(cell) = self.stems.take(&wanted.version_id, (kind, network(version)), &plan)
        else {
            return Ok(None);
        };
        match self.start(wanted, Some(cell)).await {
            Ok(hatched) => Ok(Some(hatched)),
            Err(failure) if MAY_BE_OURS.contains(&failure.reason) => {
                self.stems.shun(&wanted.version_id, &failure.to_string());
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// An ordinary start: by a process of its own, or carried out by a stem cell, which has its own words for the plan.
    async fn start(
        &self,
        wanted: Wanted<'_>,
        cell: Option<(StemCell, StartPlan)>,
    ) -> Result<Hatched<Process>, HatchFailure> {
        let Wanted { id, version_id, version, package } = wanted;
        let part = self.codes.part(&version_id, version);
        let (cell, plan) = match cell {
            Some((cell, plan)) => (Some(cell), plan),
            None => (None, self.plan(wanted)?),
        };
        let plan = match &part {
            Some(part) => plan.with_code(part.code()),
            None => plan,
        };
        let spec = specify(id.0, &version_id, version, (package, plan));
        // Dropped on the way, the sandbox is killed.
        let sandbox = match cell {
            Some(cell) => self.spawner.hatch_in(cell, spec).await,
            None => self.spawner.hatch(spec).await,
        };
        let sandbox = sandbox.map_err(|error| not_hatched(&error))?;
        let outlet = self.egress.open(version, sandbox.take_proxy());
        let boost = self.boost(&sandbox, version.resources.cpu_millis);
        let current = self
            .capture(id, version_id, version, &sandbox)
            .map_err(|error| HatchFailure { reason: "isolation", message: error.to_string() })?;
        let loading = Instant::now();
        let report = sandbox.ready().await.map_err(|why| not_ready(&why))?;
        if let Some(part) = part {
            part.served(&report.value, &sandbox);
        }
        sandbox.serves();
        let phases = vec![
            ("order", sandbox.phases.order),
            ("isolate", sandbox.phases.isolate),
            ("exec", sandbox.phases.exec),
            ("load", loading.elapsed()),
        ];
        let process = Process::new(sandbox, boost, current, (package.clone(), outlet, None));
        process.end_boost_in_time();
        Ok(Hatched { sandbox: process, phases: StartPhases(phases) })
    }

    /// Lifts the limit of processor time of a sandbox that starts.
    fn boost(&self, sandbox: &Sandbox, cpu_millis: u32) -> Option<Boost> {
        let boost = self.boosts.begin(cpu_millis)?;
        sandbox.limit_cpu(BOOSTED_MILLIS);
        Some(boost)
    }

    /// Reads what the process prints for as long as it lives. Should this daemon not live as long, the next one does.
    pub(crate) fn capture(
        &self,
        id: SandboxId,
        version_id: VersionId,
        version: &Version,
        sandbox: &Sandbox,
    ) -> io::Result<Option<Current>> {
        let current = (version.concurrency == 1).then(Current::default);
        // One whose way out is this daemon would have none under the next.
        if version.network != catalog::Network::EgressProxy {
            sandbox.keep(adopt::record(id, version_id))?;
        }
        let (stdout, stderr) = sandbox.take_output().expect("nobody took it before");
        for (stream, descriptor) in [("stdout", stdout), ("stderr", stderr)] {
            let function = version.function.clone();
            let origin = Origin { function, version: version_id, sandbox: id, stream };
            let reader = pipe::Receiver::from_owned_fd(descriptor)?;
            let current = current.clone();
            let request = move || current.as_ref().and_then(Current::get);
            tokio::spawn(self.logs.clone().capture(origin, reader, request));
        }
        Ok(current)
    }
}

/// For whom, and within which limits.
fn assign<'a>(version_id: &'a VersionId, version: &'a Version, sandbox: &'a str) -> Assignment<'a> {
    Assignment {
        tenant: version.function.tenant(),
        function: version.function.name(),
        version: version_id.as_str(),
        sandbox,
        concurrency: version.concurrency.into(),
        memory_bytes: Some(version.resources.memory_bytes),
        env: &version.env,
    }
}

fn specify(
    id: u64,
    version_id: &VersionId,
    version: &Version,
    (package, plan): (&Held, StartPlan),
) -> SandboxSpec {
    let resources = &version.resources;
    SandboxSpec {
        id,
        name: format!("{}@{version_id}", version.function),
        argv: plan.argv,
        env: plan.env,
        package: package.root.clone(),
        read_only: plan.read_only_mounts,
        memory_bytes: resources.memory_bytes,
        cpu_millis: resources.cpu_millis,
        pids: resources.pids,
        files: resources.files,
        tmp_bytes: resources.tmp_bytes,
        network: network(version),
        entry: if plan.inherits_listener {
            Entry::Inherited
        } else {
            Entry::Probed { port: runtime::PORT }
        },
    }
}

/// What the plan has to tell of the way out.
fn through_network(version: &Version, plan: StartPlan) -> StartPlan {
    match version.network {
        catalog::Network::EgressProxy => plan.through_proxy(),
        catalog::Network::None | catalog::Network::Open => plan,
    }
}

fn network(version: &Version) -> Network {
    match version.network {
        catalog::Network::None => Network::None,
        catalog::Network::EgressProxy => Network::Proxied,
        catalog::Network::Open => Network::Open,
    }
}

/// The kind of stem cell that starts of a version could want, whatever its environment says.
pub(crate) fn stem_kind(version: &Version) -> Option<StemKind> {
    let has_cells = network(version) != Network::Open;
    let memory_bytes = Some(version.resources.memory_bytes);
    StemKind::of(&described(&version.runtime), memory_bytes, &[]).filter(|_| has_cells)
}

/// The catalog's runtime in the words of the sandbox crate, which knows no catalog.
fn described(runtime: &catalog::Runtime) -> Runtime {
    match runtime.clone() {
        catalog::Runtime::NodeHandler { module, export } => {
            Runtime::Node(NodeEntry::Handler { module, export })
        }
        catalog::Runtime::NodeMain { script } => Runtime::Node(NodeEntry::Main { script }),
        catalog::Runtime::PythonHandler { module, attribute } => {
            Runtime::Python(PythonEntry::Handler { module_path: module, attribute })
        }
        catalog::Runtime::PythonApp { module, attribute } => {
            Runtime::Python(PythonEntry::App { module, attribute })
        }
        catalog::Runtime::Command { argv } => Runtime::Command { argv },
    }
}

impl Hatchery for ProcessHatchery {
    type Sandbox = Process;
    type Orphan = Sandbox;

    async fn hatch(
        &self,
        id: SandboxId,
        version_id: VersionId,
        version: Arc<Version>,
    ) -> Result<Hatched<Process>, HatchFailure> {
        let (package, fetched) = self.files(&version).await?;
        let _starting = self.zygotes.starting();
        if let Some(mut forked) = self.fork(id, version_id, &version, &package).await {
            forked.phases.0.splice(0..0, fetched);
            return Ok(forked);
        }
        let wanted = Wanted { id, version_id, version: &version, package: &package };
        let mut hatched = match self.differentiate(wanted).await? {
            Some(hatched) => hatched,
            None => self.start(wanted, None).await?,
        };
        hatched.phases.0.splice(0..0, fetched);
        self.zygotes.consider(|| self.blueprint(version_id, &version, package));
        Ok(hatched)
    }

    fn adopt(
        &self,
        id: SandboxId,
        orphan: Sandbox,
        version_id: VersionId,
        version: Arc<Version>,
    ) -> Option<Process> {
        self.take_over(id, orphan, version_id, &version)
    }
}

fn not_hatched(error: &HatchError) -> HatchFailure {
    HatchFailure { reason: "isolation", message: hatchway_wire::process::chain(error) }
}

fn not_ready(why: &NotReady) -> HatchFailure {
    HatchFailure { reason: reason_word(why), message: why.to_string() }
}

/// Reasons that an adapter gives are words of ours; any other is not let into labels.
fn reason_word(why: &NotReady) -> &'static str {
    match why {
        NotReady::Failed { report } => match report["reason"].as_str() {
            Some("handler_not_found") => "handler-not-found",
            Some("module_failed") => "module-failed",
            Some("bad_app") => "bad-app",
            Some("missing_dependency") => "missing-dependency",
            Some("python_mismatch") => "python-mismatch",
            Some(_) | None => "start-failed",
        },
        NotReady::Ended(exit) if exit.kind == ExitKind::OutOfMemory => "oom",
        NotReady::Ended(_) => "crashed",
        NotReady::Silent | NotReady::Garbled { .. } | NotReady::Io { .. } => "start-failed",
    }
}

impl Process {
    pub(crate) fn new(
        sandbox: Sandbox,
        boost: Option<Boost>,
        current: Option<Current>,
        (package, outlet, children): (Held, Option<Outlet>, Option<Children>),
    ) -> Self {
        Self {
            sandbox: Arc::new(sandbox),
            boost: boost.map(Arc::new),
            current,
            _package: package,
            _outlet: outlet,
            _children: children,
            was_hung: AtomicBool::new(false),
        }
    }

    /// A new connection, on the core that asks.
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        Ok(match self.sandbox.connect().await? {
            Connection::Unix(stream) => Stream::Unix(stream),
            Connection::Tcp(stream) => {
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
        })
    }

    /// A request begins.
    pub(crate) fn enter(&self, request_id: &str) {
        if let Some(current) = &self.current {
            current.set(Some(request_id.into()));
        }
    }

    /// A sandbox that is hatched in advance may wait long for its first request.
    fn end_boost_in_time(&self) {
        let Some(boost) = self.boost.clone() else { return };
        let sandbox = Arc::downgrade(&self.sandbox);
        tokio::spawn(async move {
            tokio::time::sleep(UNANSWERED).await;
            if let Some(sandbox) = sandbox.upgrade() {
                end(&boost, &sandbox);
            }
        });
    }

    /// It has ended.
    pub(crate) fn leave(&self) {
        if let Some(boost) = &self.boost {
            end(boost, &self.sandbox);
        }
        if let Some(current) = &self.current {
            current.set(None);
        }
    }

    /// Ends a process that holds on to a request whose clock has run out.
    pub(crate) fn kill_hung(&self) {
        if !self.was_hung.swap(true, Ordering::Relaxed) {
            self.sandbox.kill();
        }
    }
}

fn end(boost: &Boost, sandbox: &Sandbox) {
    if let Some(cpu_millis) = boost.end() {
        sandbox.limit_cpu(cpu_millis);
    }
}

impl LiveSandbox for Process {
    fn tier(&self) -> &'static str {
        self.sandbox.tier.word()
    }

    fn kill(&self) {
        self.sandbox.kill();
    }

    fn terminate(&self) {
        self.sandbox.terminate();
    }

    fn pid(&self) -> Option<u32> {
        u32::try_from(self.sandbox.pid).ok()
    }

    async fn exited(&self) -> Exit {
        match self.sandbox.exited().await.kind {
            ExitKind::Code(code) => Exit::Code(code),
            ExitKind::Signal(signal) => Exit::Signal(signal),
            ExitKind::OutOfMemory => Exit::OutOfMemory,
        }
    }

    fn usage(&self) -> Option<Usage> {
        let usage = self.sandbox.usage().ok()?;
        Some(Usage {
            memory_bytes: usage.memory_bytes,
            memory_peak_bytes: usage.memory_peak_bytes,
            cpu: usage.cpu,
            pids: usage.pids,
        })
    }
}
