//! A follower says in etcd how far it has come, under a lease: who is dead is not waited for.

use std::convert::Infallible;
use std::time::Duration;

use etcd_client::PutOptions;
use hatchway_proto::catalog::Applied;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::EtcdConfig;
use super::connection::{Connection, EtcdError, answer};
use super::lease::Lease;
use crate::catalog::backoff::{Backoff, draw};

/// How long somebody who has died is still waited for.
const LEASE: Duration = Duration::from_secs(10);

/// Two lost messages do not lose the lease.
const RENEW: Duration = Duration::from_secs(3);

/// At most one word in this time, for rules may change a thousand times a second. The first goes at once.
const PAUSE: Duration = Duration::from_millis(25);

/// Says `applied` under `key`, anew after every change, for as long as it is polled. Nothing else waits for it: without
/// etcd, or without the right to write there, it tries again.
pub(crate) async fn announce(
    config: EtcdConfig,
    key: String,
    mut applied: watch::Receiver<Applied>,
) -> Infallible {
    let mut backoff = Backoff::default();
    let mut is_told = false;
    for endpoint in config.endpoints.iter().cycle() {
        let begun = Instant::now();
        let Err(error) = session(&config, endpoint, &key, &mut applied).await;
        if begun.elapsed() > LEASE {
            backoff.reset();
            is_told = false;
        }
        if !is_told {
            tracing::warn!(%error, key, "etcd is not told how far this gateway has come");
            is_told = true;
        }
        sleep(backoff.next(draw())).await;
    }
    unreachable!("there is an endpoint, or no etcd would have been asked for")
}

async fn session(
    config: &EtcdConfig,
    endpoint: &str,
    key: &str,
    applied: &mut watch::Receiver<Applied>,
) -> Result<Infallible, EtcdError> {
    let connection = Connection::open(config, endpoint).await?;
    let mut lease = Lease::grant(&mut connection.client.lease_client(), LEASE).await?;
    let mut renew = interval(RENEW);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    applied.mark_changed();
    let mut next_at = Instant::now();
    loop {
        tokio::select! {
            _ = renew.tick() => lease.renew().await?,
            () = async {
                sleep_until(next_at).await;
                // The other end lives as long as we are polled.
                if applied.changed().await.is_err() {
                    std::future::pending().await
                }
            } => {
                let said = applied.borrow_and_update().clone();
                let said = serde_json::to_vec(&said).expect("strings and numbers");
                let options = PutOptions::new().with_lease(lease.id);
                answer(connection.client.kv_client().put(key, said, Some(options))).await?;
                next_at = Instant::now() + PAUSE;
            }
        }
    }
}
