//! A program says something of itself in etcd, under a lease: a gateway how far it has come, a node that it is there. Who is dead
//! is not waited for.

use std::time::Duration;

use etcd_client::PutOptions;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::EtcdConfig;
use super::connection::{Connection, EtcdError, answer};
use super::lease::{Lease, revoke};
use crate::catalog::backoff::{Backoff, draw};

/// How long somebody who has died is still waited for.
const LEASE: Duration = Duration::from_secs(10);

/// Two lost messages do not lose the lease.
const RENEW: Duration = Duration::from_secs(3);

/// At most one word in this time, for rules may change a thousand times a second. The first goes at once.
const PAUSE: Duration = Duration::from_millis(25);

/// Says what `says` holds under `key`, anew after every change, for as long as it is polled. When whoever holds the other end of
/// `says` drops it, the key goes at once and this ends. Nothing else waits for it: without etcd, or without the right to write
/// there, it tries again. `told` hears what etcd has taken.
pub(in crate::catalog) async fn announce<T: Clone + Serialize>(
    config: EtcdConfig,
    key: String,
    mut says: watch::Receiver<T>,
    mut told: impl FnMut(T),
) {
    let mut backoff = Backoff::default();
    let mut is_told = false;
    for endpoint in config.endpoints.iter().cycle() {
        let begun = Instant::now();
        let Err(error) = session(&config, endpoint, &key, (&mut says, &mut told)).await else {
            return;
        };
        if begun.elapsed() > LEASE {
            backoff.reset();
            is_told = false;
        }
        if !is_told {
            tracing::warn!(%error, key, "etcd does not hear what this program says of itself");
            is_told = true;
        }
        if says.has_changed().is_err() {
            return;
        }
        sleep(backoff.next(draw())).await;
    }
    unreachable!("there is an endpoint, or no etcd would have been asked for")
}

/// At one member, until it is lost, or until nothing more is to be said.
async fn session<T: Clone + Serialize>(
    config: &EtcdConfig,
    endpoint: &str,
    key: &str,
    (says, told): (&mut watch::Receiver<T>, &mut impl FnMut(T)),
) -> Result<(), EtcdError> {
    let connection = Connection::open(config, endpoint).await?;
    let mut leases = connection.client.lease_client();
    let mut lease = Lease::grant(&mut leases, LEASE).await?;
    let mut renew = interval(RENEW);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    says.mark_changed();
    let mut next_at = Instant::now();
    loop {
        tokio::select! {
            _ = renew.tick() => lease.renew().await?,
            changed = async {
                sleep_until(next_at).await;
                says.changed().await
            } => {
                if changed.is_err() {
                    return revoke(&mut leases, lease.id).await;
                }
                let said = says.borrow_and_update().clone();
                let value = serde_json::to_vec(&said).expect("strings and numbers");
                let options = PutOptions::new().with_lease(lease.id);
                answer(connection.client.kv_client().put(key, value, Some(options))).await?;
                told(said);
                next_at = Instant::now() + PAUSE;
            }
        }
    }
}
