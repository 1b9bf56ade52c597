//! A gateway's part in rollouts, at one member of etcd until it is lost.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use hatchway_proto::name::FunctionName;
use hatchway_proto::rollout::Rollout;
use hatchway_wire::catalog::etcd::rollouts::{Following, Report, Rollouts};
use hatchway_wire::catalog::etcd::seat::Leader;
use hatchway_wire::catalog::etcd::{EtcdConfig, EtcdError};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::lead::Lead;
use crate::catalog::Catalog;

/// Follows rollouts; `heard` becomes true once etcd has been.
pub(super) async fn session(
    config: &EtcdConfig,
    endpoint: &str,
    catalog: &Catalog,
    heard: &mut bool,
) -> Result<Infallible, EtcdError> {
    let rollouts = Rollouts::open_at(config, endpoint).await?;
    let mut following = rollouts.follow().await?;
    *heard = true;
    loop {
        while following.is_empty() {
            following.changed().await?;
        }
        let mut seat = rollouts.seat().await?;
        let campaign = seat.campaign(rollouts.election());
        let part = Part { rollouts: &rollouts, catalog, lease: seat.id };
        tokio::select! {
            lost = seat.keep() => match lost? {},
            over = part.take(&mut following, campaign) => over?,
        }
        // It would run out by itself; so nobody is in the way of the next leader.
        seat.leave().await?;
    }
}

struct Part<'a> {
    rollouts: &'a Rollouts,
    catalog: &'a Catalog,
    lease: i64,
}

impl Part<'_> {
    /// Reports, and leads once it is elected, for as long as any rollout runs.
    async fn take(
        &self,
        following: &mut Following,
        campaign: impl Future<Output = Result<Leader, EtcdError>>,
    ) -> Result<(), EtcdError> {
        let mut campaign = pin!(campaign);
        let mut lead: Option<Lead<'_>> = None;
        let mut look = looks(following);
        while !following.is_empty() {
            tokio::select! {
                changed = following.changed() => {
                    changed?;
                    if look.period() != shortest(following) {
                        look = looks(following);
                    }
                }
                elected = &mut campaign, if lead.is_none() => {
                    lead = Some(Lead::new(self.rollouts, elected?));
                    tracing::info!("this gateway leads rollouts");
                }
                _ = look.tick() => {
                    for (function, rollout) in following.running() {
                        self.report(function, rollout).await?;
                    }
                }
            }
            for (function, _) in following.running() {
                if let Some(lead) = &mut lead {
                    lead.look(function).await?;
                }
            }
        }
        Ok(())
    }

    async fn report(&self, function: &FunctionName, rollout: &Rollout) -> Result<(), EtcdError> {
        let snapshot = self.catalog.snapshot();
        let target = snapshot.targets.get(function);
        let Some(releases) = target.and_then(|target| target.releases.as_ref()) else {
            return Ok(());
        };
        let report: Report = [rollout.plan.stable, rollout.plan.canary]
            .into_iter()
            .filter_map(|version| {
                Some((version, releases.target(&version)?.tally.as_ref()?.read()))
            })
            .collect();
        self.rollouts.report(self.lease, function, &report).await
    }
}

/// All are looked at as often as the one that wants it most often.
fn shortest(following: &Following) -> Duration {
    let intervals = following.running().map(|(_, rollout)| rollout.plan.analysis.interval);
    intervals.min().unwrap_or(Duration::from_secs(1))
}

fn looks(following: &Following) -> Interval {
    let mut look = interval(shortest(following));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}
