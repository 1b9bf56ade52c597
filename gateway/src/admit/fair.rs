//! A gateway's part in rate limits that all gateways keep together: it says in etcd what it is asked for, hears what the others
//! are, and takes its share.
//!
//! Without etcd everybody goes on with the last share. A gateway that has never heard of the others is taken for the only one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use hatchway_proto::name::FunctionName;
use hatchway_proto::share::share;
use hatchway_wire::catalog::SourceArgs;
use hatchway_wire::catalog::etcd::demands::{Demand, Demands, Table, name};
use hatchway_wire::catalog::etcd::{EtcdConfig, EtcdConfigError, EtcdError, attend};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::catalog::Catalog;

/// So often it is said what a gateway is asked for: as long as an allowance lasts that may come at once.
const EVERY: Duration = Duration::from_secs(1);

/// What is less of a change than this is not said again.
const NEWS: f64 = 0.02;

/// Takes part for as long as the result is polled, where the rules are in etcd. Who follows a file is alone.
///
/// # Errors
/// What is wrong with the settings of etcd.
pub fn follow(
    source: &SourceArgs,
    catalog: Catalog,
) -> Result<impl Future<Output = ()> + use<>, EtcdConfigError> {
    let config = if source.catalog.is_none() { Some(source.etcd.check()?) } else { None };
    Ok(async move {
        let Some(config) = config else { return };
        let mut meter = Meter::new(catalog);
        let session = async |endpoint: &str, heard: &mut bool| {
            session(&config, endpoint, &mut meter, heard).await
        };
        attend(&config, "shares in rate limits stay as they are", session).await;
    })
}

/// At one member of etcd until it is lost; `heard` becomes true once it has been.
async fn session(
    config: &EtcdConfig,
    endpoint: &str,
    meter: &mut Meter,
    heard: &mut bool,
) -> Result<Infallible, EtcdError> {
    // Without limits nobody needs to know of the others.
    while meter.catalog.snapshot().limited.is_empty() {
        sleep(EVERY).await;
    }
    let demands = Demands::open_at(config, endpoint).await?;
    let mut seat = demands.seat().await?;
    let lease = seat.id;
    demands.say(lease, &meter.demand).await?;
    let mut table = demands.follow().await?;
    *heard = true;
    let part = async {
        let mut said = meter.demand.clone();
        let mut look = interval(EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            meter.take_shares(&table, &name(lease));
            tokio::select! {
                changed = table.changed() => changed?,
                _ = look.tick() => {
                    meter.read();
                    if is_news(&said, &meter.demand) {
                        demands.say(lease, &meter.demand).await?;
                        said.clone_from(&meter.demand);
                    }
                }
            }
        }
    };
    tokio::select! {
        lost = seat.keep() => lost,
        over = part => over,
    }
}

/// What this gateway is asked for.
#[derive(Debug)]
struct Meter {
    catalog: Catalog,
    read_at: Instant,
    /// Requests so far, as last read.
    before: BTreeMap<FunctionName, u64>,
    demand: Demand,
}

impl Meter {
    fn new(catalog: Catalog) -> Self {
        let (before, demand) = (BTreeMap::new(), Demand::new());
        Self { catalog, read_at: Instant::now(), before, demand }
    }

    /// What has come since the last look, and half of what had come before: one second is chance.
    fn read(&mut self) {
        let seconds = self.read_at.elapsed().as_secs_f64().max(0.1);
        self.read_at = Instant::now();
        let snapshot = self.catalog.snapshot();
        let (mut before, mut demand) = (BTreeMap::new(), Demand::new());
        for (function, rate) in &snapshot.limited {
            let asked = rate.asked();
            // A limit that has changed counts from 0 again.
            let known = self.before.get(function).copied().unwrap_or_default();
            let came = asked.checked_sub(known).unwrap_or(asked) as f64 / seconds;
            let then = self.demand.get(function).copied().unwrap_or(came);
            let smooth = f64::midpoint(then, came);
            before.insert(function.clone(), asked);
            if smooth > 0.01 {
                demand.insert(function.clone(), (smooth * 100.0).round() / 100.0);
            }
        }
        (self.before, self.demand) = (before, demand);
    }

    /// By what everybody says, this gateway included: all look at the same table.
    fn take_shares(&self, table: &Table, own: &str) {
        for (function, rate) in &self.catalog.snapshot().limited {
            let of = |demand: &Demand| demand.get(function).copied().unwrap_or_default();
            let others = table.entries.iter().filter(|(name, _)| *name != own);
            let others = others.map(|(_, demand)| of(demand));
            let own = table.entries.get(own).map(of).unwrap_or_default();
            rate.take_share(share(rate.per_second().into(), own, others));
        }
    }
}

/// Whether the others have to hear of it.
fn is_news(said: &Demand, now: &Demand) -> bool {
    said.len() != now.len()
        || now.iter().any(|(function, demand)| {
            let before = said.get(function).copied().unwrap_or_default();
            (before - demand).abs() > demand.max(before) * NEWS
        })
}
