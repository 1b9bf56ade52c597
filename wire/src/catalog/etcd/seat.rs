//! A lease in etcd, and by it the right to lead: one of those who want it has it, until it leaves or is not heard from.

use std::convert::Infallible;
use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, LeaderKey, LeaseKeepAliveStream, LeaseKeeper};
use tokio::time::{sleep, timeout};

use super::connection::{EtcdError, answer};

/// A leader that is gone is missed for so long, in seconds. A machine that is slow for less keeps its place.
const TTL: i64 = 5;

/// So often it is heard from: two may get lost.
const KEEP_ALIVE: Duration = Duration::from_millis(1500);

/// What an operator sees in etcd of whoever leads.
fn who(lease: i64) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}, process {}, lease {lease:016x}", host.trim(), std::process::id())
}

/// A lease that is being kept.
pub struct Seat {
    client: Client,
    /// Names whoever holds it, and the keys that go with it.
    pub id: i64,
    keeper: LeaseKeeper,
    kept: LeaseKeepAliveStream,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The right to lead, by which what a leader writes is guarded: in a transaction that begins with [`Leader::still`],
/// nothing is written once another one leads.
#[derive(Clone, Debug)]
pub struct Leader(LeaderKey);

impl Leader {
    /// True in etcd for as long as this one leads.
    pub(super) fn still(&self) -> Compare {
        Compare::create_revision(self.0.key(), CompareOp::Equal, self.0.rev())
    }

    pub(super) fn key(&self) -> Vec<u8> {
        self.0.key().to_vec()
    }
}

impl Seat {
    pub(super) async fn take(client: &Client) -> Result<Self, EtcdError> {
        let id = answer(client.lease_client().grant(TTL, None)).await?.id();
        let (keeper, kept) = answer(client.lease_client().keep_alive(id)).await?;
        Ok(Self { client: client.clone(), id, keeper, kept })
    }

    /// Waits until it is this one's turn to lead in `election`. Dropped before, it wants to no more once the seat is left.
    pub fn campaign(
        &self,
        election: String,
    ) -> impl Future<Output = Result<Leader, EtcdError>> + use<> {
        let (mut client, id) = (self.client.election_client(), self.id);
        async move {
            let mut won = client.campaign(election.trim_end_matches('/'), who(id), id).await?;
            won.take_leader().map(Leader).ok_or(EtcdError::NoEtcd)
        }
    }

    /// Keeps the lease for as long as it is polled.
    ///
    /// # Errors
    /// When etcd is not heard in time, or has given the lease up.
    pub async fn keep(&mut self) -> Result<Infallible, EtcdError> {
        loop {
            sleep(KEEP_ALIVE).await;
            self.keeper.keep_alive().await?;
            let limit = Duration::from_secs(TTL.unsigned_abs()) - KEEP_ALIVE;
            let heard = timeout(limit, self.kept.message()).await;
            let heard = heard.map_err(|_| EtcdError::Silent)??;
            if heard.is_none_or(|heard| heard.ttl() <= 0) {
                return Err(EtcdError::Ended("the lease has run out".to_owned()));
            }
        }
    }

    /// Gives it up: the next one need not wait until it runs out.
    ///
    /// # Errors
    /// When etcd does not hear it. It runs out then.
    pub async fn leave(self) -> Result<(), EtcdError> {
        answer(self.client.lease_client().revoke(self.id)).await?;
        Ok(())
    }
}
