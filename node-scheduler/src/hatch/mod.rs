//! The pool's hatchery: a version becomes a start plan, the plan a sandbox, the sandbox a process that can answer.
//!
//! [`mod@specify`] says in the sandbox's words what a version asks for; [`process`] is what comes of a start.

mod process;
mod specify;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hatchway_proto::catalog::{self, Version, Warmup};
use hatchway_proto::name::{SandboxId, VersionId};
use hatchway_sandbox::runtime::{Adapters, Interpreters, Layout, Runtime, StartPlan, StemKind};
use hatchway_sandbox::{ExitKind, HatchError, NotReady, Sandbox, Spawner, StemCell};
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::adopt;
use crate::boost::{BOOSTED_MILLIS, Boost, Boosts};
use crate::code::Codes;
use crate::egress::Egress;
use crate::logs::{Logs, Origin};
use crate::package::{Held, Packages};
use crate::pool::{HatchFailure, Hatched, Hatchery, StartPhases};
use crate::stem::StemCells;
use crate::zygote::{Blueprint, CHILD_CLOCK, Trial, Zygotes};

pub(crate) use process::Current;
pub use process::Process;
pub(crate) use specify::stem_kind;
use specify::{assign, described, network, specify, through_network};

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
