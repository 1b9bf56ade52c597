//! Rollouts, and the gateways that move them: what stands in etcd beside the rules.

use std::sync::Arc;

use hatchway_proto::api::{RolloutPhase, RolloutTold};
use hatchway_proto::rollout::{Command, Plan};
use hatchway_wire::admin::{Reply, json};
use hatchway_wire::catalog::etcd::EtcdConfig;
use hatchway_wire::catalog::etcd::followers::FollowerView;
use hatchway_wire::catalog::etcd::rollouts::Rollouts;
use hatchway_wire::catalog::store::StoreError;
use http::StatusCode;

use super::GatewayApi;
use super::ask::Ask;
use super::refusal::Refusal;

impl GatewayApi {
    fn etcd(&self) -> Result<EtcdConfig, Refusal> {
        let source = self.rules.as_ref().filter(|source| source.catalog.is_none());
        match source {
            Some(source) => Ok(source.etcd.check().map_err(StoreError::from)?),
            None => Err(Refusal::conflict(
                "gateways agree on this through etcd, and the rules here are not kept there",
            )),
        }
    }
}

/// Every live gateway, how far it has come, and what it refuses.
pub(super) async fn gateways(api: Arc<GatewayApi>, _: Ask) -> Result<Reply, Refusal> {
    let view = FollowerView::of_gateways(&api.etcd()?).await?;
    Ok(json(&view.list().await?))
}

/// How far a rollout has come, and why.
pub(super) async fn get(api: Arc<GatewayApi>, ask: Ask) -> Result<Reply, Refusal> {
    let (function, _) = ask.function()?;
    let held = Rollouts::open(&api.etcd()?).await?.read(&function).await?;
    let Some(rollout) = held.rollout else {
        return Err(Refusal::not_found(format!("{function} has no rollout")));
    };
    let release = held.release.map(Arc::unwrap_or_clone);
    let gateways = held.reports.len();
    Ok(json(&RolloutTold { function, rollout, evidence: held.evidence, release, gateways }))
}

/// Begins one.
pub(super) async fn begin(api: Arc<GatewayApi>, mut ask: Ask) -> Result<Reply, Refusal> {
    let (function, _) = ask.function()?;
    let plan: Plan = ask.json().await?;
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    plan.check().map_err(|error| Refusal::new(unprocessable, error.to_string()))?;
    if !api.store().await?.objects().versions.contains_key(&plan.canary) {
        let why = format!("canary: there is no version {}: add it first", plan.canary);
        return Err(Refusal::conflict(why));
    }
    let author = ask.terms("a rollout through the API").author;
    Rollouts::open(&api.etcd()?).await?.begin(&function, plan, &author).await?;
    Ok(json(&RolloutPhase { phase: "progressing".to_owned() }))
}

/// Tells one what to do.
pub(super) async fn tell(api: Arc<GatewayApi>, ask: Ask) -> Result<Reply, Refusal> {
    let (function, command) = ask.function()?;
    let command = match command {
        Some("pause") => Command::Pause,
        Some("resume") => Command::Resume,
        Some("promote") => Command::Promote,
        Some("abort") => Command::Abort,
        other => {
            let other = other.unwrap_or_default();
            let why = format!(
                "{other:?} is nothing that a rollout does: pause, resume, promote or abort"
            );
            return Err(Refusal::not_found(why));
        }
    };
    let author = ask.terms(&format!("{command} through the API")).author;
    let phase = Rollouts::open(&api.etcd()?).await?.tell(&function, command, &author).await?;
    Ok(json(&RolloutPhase { phase: phase.to_string() }))
}
