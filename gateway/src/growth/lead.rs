//! What the gateway does that plans: once a second it looks at what all say, asks for the next plan of every function that grows
//! ([`plans`](super::plans)), and writes those that differ.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use hatchway_proto::catalog::Registration;
use hatchway_proto::growth::{NodeReport, Plan};
use hatchway_proto::name::FunctionName;
use hatchway_wire::catalog::etcd::EtcdError;
use hatchway_wire::catalog::etcd::folder::Folder;
use hatchway_wire::catalog::etcd::growth::{GatewayReport, Growth, Standing};
use hatchway_wire::catalog::etcd::seat::Leader;
use tokio::time::Instant;

use super::plans::{About, Moment, Planner, Said};
use super::signals::Signals;
use crate::catalog::{Catalog, Snapshot};

/// The right to lead, and what is known from the others.
pub(super) struct Lead<'a> {
    growth: &'a Growth,
    leader: Leader,
    catalog: Catalog,
    signals: Signals,
    gateways: Folder<GatewayReport>,
    nodes: Folder<NodeReport>,
    registered: Folder<Registration>,
    /// By function. Nobody else writes them.
    plans: BTreeMap<String, Standing>,
    planner: Planner,
    began: Instant,
}

impl<'a> Lead<'a> {
    /// Begins where another one has ended: with the plans that stand there.
    pub(super) async fn begin(
        growth: &'a Growth,
        leader: Leader,
        catalog: Catalog,
        signals: Signals,
    ) -> Result<Self, EtcdError> {
        Ok(Self {
            gateways: growth.gateways().await?,
            nodes: growth.nodes().await?,
            registered: growth.registered().await?,
            plans: growth.plans().await?.entries,
            planner: Planner::default(),
            began: Instant::now(),
            growth,
            leader,
            catalog,
            signals,
        })
    }

    /// Takes in what others say, one change; waits for ever where nobody leads. Cancel safe.
    pub(super) async fn changed(lead: &mut Option<Self>) -> Result<(), EtcdError> {
        let Some(lead) = lead else { return std::future::pending().await };
        tokio::select! {
            changed = lead.gateways.changed() => changed,
            changed = lead.nodes.changed() => changed,
            changed = lead.registered.changed() => changed,
        }
    }

    /// Plans for every function that grows, and takes away what is planned for others. Each plan is written whole or not at all.
    ///
    /// # Errors
    /// [`EtcdError`], and when another one leads by now.
    pub(super) async fn look(&mut self) -> Result<(), EtcdError> {
        let snapshot = self.catalog.snapshot();
        let mut news = self.plan_all(&snapshot);
        let others = self.plans.keys().filter_map(|name| FunctionName::parse(name).ok());
        news.extend(
            others.filter(|name| !snapshot.growing.contains(name)).map(|name| (name, None)),
        );
        self.planner.forget_all_but(&snapshot);
        for (function, plan) in news {
            self.write(&function, plan).await?;
        }
        Ok(())
    }

    /// The plans that differ from what stands there.
    fn plan_all(&mut self, snapshot: &Snapshot) -> Vec<(FunctionName, Option<Plan>)> {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = Moment { second: self.began.elapsed().as_secs(), unix };
        let said = Said {
            gateways: &self.gateways.entries,
            nodes: &self.nodes.entries,
            registered: &self.registered.entries,
        };
        let fleet = said.fleet();
        let (mut shown, mut news) = (Vec::new(), Vec::new());
        for function in &snapshot.growing {
            let before = self.plans.get(function.as_str());
            let Some(about) = About::new(snapshot, function, before) else { continue };
            let (plan, figures) = self.planner.plan(&about, (&said, &fleet), now);
            shown.push((function.as_str(), figures));
            if before.is_none_or(|before| is_news(&before.plan, &plan)) {
                news.push((function.clone(), Some(plan)));
            }
        }
        self.signals.show(shown.into_iter());
        news
    }

    async fn write(
        &mut self,
        function: &FunctionName,
        plan: Option<Plan>,
    ) -> Result<(), EtcdError> {
        let before = self.plans.get(function.as_str()).map_or(0, |before| before.revision);
        let revision = self.growth.write(&self.leader, function, (plan.as_ref(), before)).await?;
        let name = function.as_str().to_owned();
        match plan {
            Some(plan) => drop(self.plans.insert(name, Standing { plan, revision })),
            None => drop(self.plans.remove(&name)),
        }
        Ok(())
    }
}

/// Whether nodes, or whoever leads next, have to hear of it. Why it is so is only for people.
fn is_news(before: &Plan, now: &Plan) -> bool {
    let without = |plan: &Plan| {
        let mut plan = plan.clone();
        plan.versions.values_mut().for_each(|placed| placed.because.clear());
        plan
    };
    without(before) != without(now)
}
