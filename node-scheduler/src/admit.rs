//! Stage 8 and 9, as one core sees them: a file of the version answers, or a slot is taken, or the request
//! is refused with its reason.

use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::catalog::Version;
use hatchway_proto::failure::{Component, Failure, ProxyError};
use hatchway_proto::link::LoadSummary;
use hatchway_wire::backend::{Backend, Invocation, Start, Timing};
use hatchway_wire::core::Core;
use hatchway_wire::http1::{Broken, Found};
use hatchway_wire::ticker;
use tokio::time::{Instant, timeout, timeout_at};

use crate::assets;
use crate::hatch::ProcessHatchery;
use crate::invoke::{self, Connections, SandboxUpstream};
use crate::package::{Held, Packages};
use crate::pool::{Pool, Slot, SlotRefused, VersionPool};
use crate::rules::INCOMING;

/// When trying again makes sense, where nothing says more.
const SOON: Duration = Duration::from_secs(1);

/// How often a request looks for another sandbox when the one it was given had just ended.
const TRIES: usize = 3;

/// A client that is told to wait for longer would rather hear that it failed.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Idle connections are looked through this often, so that a sandbox's end is not kept open by them.
const SWEEP: Duration = Duration::from_secs(1);

/// The longest that any connection is kept idle.
const SWEEP_LIMIT: Duration = Duration::from_secs(30);

/// The node, as one core has it.
#[derive(Clone, Debug)]
pub struct NodeCore {
    pool: Pool<ProcessHatchery>,
    packages: Packages,
    connections: Connections,
}

impl NodeCore {
    /// Connections to sandboxes are kept per core; `core` sweeps them.
    pub fn new(pool: Pool<ProcessHatchery>, packages: Packages, _core: &Core) -> Self {
        let connections = Connections::default();
        let swept = connections.clone();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                swept.idle.sweep(SWEEP_LIMIT);
                swept.h2c.sweep();
            }
        });
        Self { pool, packages, connections }
    }

    /// How full the node is.
    pub(crate) fn load(&self) -> LoadSummary {
        let load = self.pool.load();
        LoadSummary {
            in_flight: load.slots_in_flight,
            room: load.slots_free,
            waiting: load.queued,
            used_permille: load.used_permille(),
            is_draining: load.is_draining,
        }
    }

    /// The files of a version that are still on their way. They are a part of its start, and have no more time than that.
    async fn files(&self, version: &Version, deadline: Option<Instant>) -> Result<Held, Failure> {
        let limit = version.clocks.start;
        let clock = Instant::now() + limit;
        let until = deadline.map_or(clock, |deadline| deadline.min(clock));
        match timeout_at(until, self.packages.obtain(&version.package)).await {
            Ok(files) => files.map_err(|why| why.answer()),
            Err(_) if until < clock => Err(invoke::out_of_time()),
            Err(_) => Err(refused(SlotRefused::StartClock { limit, retry_after: SOON })),
        }
    }

    async fn upstream(
        &self,
        version: &Arc<VersionPool<ProcessHatchery>>,
        invocation: &mut Invocation,
    ) -> Result<SandboxUpstream, Failure> {
        let mut last = None;
        for _ in 0..TRIES {
            let slot = match version.try_slot() {
                Some(slot) => slot,
                // Boxed, as all that is rare: every request pays for the size of this future.
                None => {
                    let slot = match invocation.is_choosy {
                        true => Box::pin(version.choosy_slot()).await,
                        false => Box::pin(version.slot()).await,
                    };
                    let slot = slot.map_err(refused)?;
                    ticker::now();
                    slot
                }
            };
            note(&slot, &mut invocation.timing);
            slot.sandbox().enter(&invocation.request_id);
            let deadline = invocation.request.deadline;
            match invoke::reach(slot, version.version(), &self.connections, deadline).await {
                Ok(upstream) => return Ok(upstream),
                Err((slot, error)) => {
                    slot.sandbox().leave();
                    // The process has closed its socket, and word of its end is on the way: asked sooner, the pool
                    // would give the same sandbox again.
                    let _ = Box::pin(timeout(invoke::CAUSE_OF_DEATH, slot.died())).await;
                    last = Some(error);
                }
            }
        }
        let cause = last.map_or_else(String::new, |error| error.to_string());
        Err(Failure::new(
            502,
            ProxyError::ConnectionTerminated,
            Component::Sandbox,
            "unreachable",
            format!("the sandbox does not take connections: {cause}"),
        ))
    }
}

fn note(slot: &Slot<ProcessHatchery>, timing: &mut Timing) {
    let waited = slot.waited();
    timing.queue += waited.queue;
    timing.sandbox = Some(slot.sandbox_id().0);
    if slot.is_cold() {
        let phases = slot.start_phases();
        timing.start = Some(Start { total: waited.start, phases: phases.0.clone().into() });
    }
}

impl Backend for NodeCore {
    type Upstream = SandboxUpstream;

    const IS_REMOTE: bool = false;

    async fn connect(
        &self,
        invocation: &mut Invocation,
    ) -> Result<Found<SandboxUpstream>, Failure> {
        let version = match self.pool.version(&invocation.version) {
            Some(version) => version,
            // Boxed: only a request that is ahead of the rules pays for it.
            None => Box::pin(self.pool.version_soon(&invocation.version, INCOMING))
                .await
                .ok_or_else(unknown_version)?,
        };
        if let Some(asset) = &invocation.asset {
            let files = match self.packages.at_once(&version.version().package) {
                Some(files) => files,
                None => {
                    Box::pin(self.files(version.version(), invocation.request.deadline)).await?
                }
            };
            if let Some(answer) = assets::find(version.version(), &files.root, asset) {
                return Ok(Found::Answer(answer));
            }
        }
        let found = match invocation.request.deadline {
            None => self.upstream(&version, invocation).await,
            Some(deadline) => Box::pin(timeout_at(deadline, self.upstream(&version, invocation)))
                .await
                .unwrap_or_else(|_| Err(invoke::out_of_time())),
        };
        found.map(Found::Upstream)
    }

    /// A sandbox with room and an idle connection to it: what nearly every request finds.
    fn connect_now(&self, invocation: &mut Invocation) -> Option<Found<SandboxUpstream>> {
        if invocation.asset.is_some() {
            return None;
        }
        let version = self.pool.version(&invocation.version)?;
        let (slot, deadline) = (version.try_slot()?, invocation.request.deadline);
        let upstream = invoke::reach_now(slot, version.version(), &self.connections, deadline)?;
        note(upstream.slot(), &mut invocation.timing);
        upstream.slot().sandbox().enter(&invocation.request_id);
        Some(Found::Upstream(upstream))
    }

    async fn explain(
        &self,
        _invocation: &Invocation,
        upstream: &mut SandboxUpstream,
        broken: &Broken,
    ) -> Failure {
        invoke::explain(upstream, broken).await
    }
}

/// The rules that the gateway goes by are newer or older than the node's.
pub(crate) fn unknown_version() -> Failure {
    Failure::new(
        503,
        ProxyError::DestinationUnavailable,
        Component::Node,
        "unknown-version",
        "the node does not know this version yet",
    )
    .retry_after(Duration::from_secs(1))
}

/// A slot that was refused, as the client is told.
fn refused(why: SlotRefused) -> Failure {
    let failure = |status, error, component, reason| {
        Failure::new(status, error, component, reason, why.to_string())
    };
    let busy = |reason| failure(503, ProxyError::ConnectionLimitReached, Component::Node, reason);
    let unavailable = |component, reason, after: Duration| {
        failure(503, ProxyError::DestinationUnavailable, component, reason).retry_after(after)
    };
    match &why {
        SlotRefused::QueueFull { retry_after, .. } => {
            busy("queue-full").retry_after((*retry_after).clamp(SOON, LONGEST_RETRY))
        }
        SlotRefused::Saturated => busy("saturated").retry_after(SOON),
        SlotRefused::QueueClock { .. } => busy("queue-clock").retry_after(SOON),
        SlotRefused::StartClock { retry_after, .. } => {
            failure(504, ProxyError::ConnectionTimeout, Component::Sandbox, "start-clock")
                .retry_after(*retry_after)
        }
        SlotRefused::StartFailed { reason, retry_after, .. }
        | SlotRefused::BackingOff { reason, retry_after, .. } => {
            unavailable(Component::Sandbox, reason, *retry_after)
        }
        SlotRefused::NoRoom { retry_after, .. } => busy("no-room").retry_after(*retry_after),
        SlotRefused::Draining => unavailable(Component::Node, "draining", SOON),
        SlotRefused::Retired => unavailable(Component::Node, "retired", SOON),
    }
}
