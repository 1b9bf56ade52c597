//! A gateway's part in growth, at one member of etcd until it is lost.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use hatchway_wire::catalog::etcd::growth::{GatewayReport, Growth};
use hatchway_wire::catalog::etcd::seat::Leader;
use hatchway_wire::catalog::etcd::{EtcdConfig, EtcdError};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::lead::Lead;
use super::meter::{Meter, is_news};
use super::signals::Signals;
use crate::catalog::Catalog;

/// So often is looked at what is in flight.
const SAMPLE: Duration = Duration::from_millis(100);

/// After so many looks it is said, and whoever leads plans.
const SAMPLES: u32 = 10;

/// Takes part; `heard` becomes true once etcd has been.
pub(super) async fn session(
    (config, endpoint): (&EtcdConfig, &str),
    (catalog, signals): (&Catalog, &Signals),
    meter: &mut Meter,
    heard: &mut bool,
) -> Result<Infallible, EtcdError> {
    // Without functions that grow there is nothing to say.
    while meter.is_idle() {
        sleep(SAMPLE * SAMPLES).await;
    }
    let growth = Growth::open_at(config, endpoint).await?;
    let mut seat = growth.seat().await?;
    growth.say(seat.id, &GatewayReport::new()).await?;
    *heard = true;
    let campaign = seat.campaign(growth.election());
    let part = Part { growth: &growth, catalog, signals, lease: seat.id };
    tokio::select! {
        lost = seat.keep() => lost,
        over = part.take(meter, campaign) => over,
    }
}

struct Part<'a> {
    growth: &'a Growth,
    catalog: &'a Catalog,
    signals: &'a Signals,
    lease: i64,
}

impl Part<'_> {
    /// Says what this gateway is asked for, and plans once it is elected.
    async fn take(
        &self,
        meter: &mut Meter,
        campaign: impl Future<Output = Result<Leader, EtcdError>>,
    ) -> Result<Infallible, EtcdError> {
        let mut campaign = pin!(campaign);
        let mut lead: Option<Lead<'_>> = None;
        let mut said = GatewayReport::new();
        let mut looks = interval(SAMPLE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for look in 1_u32.. {
            loop {
                tokio::select! {
                    _ = looks.tick() => break,
                    elected = &mut campaign, if lead.is_none() => {
                        let (catalog, signals) = (self.catalog.clone(), self.signals.clone());
                        lead = Some(Lead::begin(self.growth, elected?, catalog, signals).await?);
                        tracing::info!("this gateway plans growth");
                    }
                    changed = Lead::changed(&mut lead) => changed?,
                }
            }
            meter.sample();
            if look % SAMPLES != 0 {
                continue;
            }
            let report = meter.report();
            if is_news(&said, &report) {
                self.growth.say(self.lease, &report).await?;
                said = report;
            }
            if let Some(lead) = &mut lead {
                lead.look().await?;
            }
        }
        Err(EtcdError::Ended("after 13 years".to_owned()))
    }
}
