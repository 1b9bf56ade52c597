//! A lease on keys: they go when nobody renews it.

use std::time::Duration;

use etcd_client::{LeaseClient, LeaseKeepAliveStream, LeaseKeeper};

use super::connection::{EtcdError, answer};

/// A lease that is to be renewed.
pub(super) struct Lease {
    pub(super) id: i64,
    keeper: LeaseKeeper,
    kept: LeaseKeepAliveStream,
}

impl Lease {
    /// For `long`, in whole seconds, after each renewal.
    pub(super) async fn grant(leases: &mut LeaseClient, long: Duration) -> Result<Self, EtcdError> {
        let seconds = i64::try_from(long.as_secs()).unwrap_or(i64::MAX);
        let id = answer(leases.grant(seconds, None)).await?.id();
        let (keeper, kept) = answer(leases.keep_alive(id)).await?;
        Ok(Self { id, keeper, kept })
    }

    /// Keeps it.
    ///
    /// # Errors
    /// When it is lost, or etcd is not heard.
    pub(super) async fn renew(&mut self) -> Result<(), EtcdError> {
        answer(self.keeper.keep_alive()).await?;
        match answer(self.kept.message()).await? {
            Some(response) if response.ttl() > 0 => Ok(()),
            Some(_) | None => Err(EtcdError::Ended("the lease has run out".to_owned())),
        }
    }
}

/// Ends it, and its keys go at once.
pub(super) async fn revoke(leases: &mut LeaseClient, id: i64) -> Result<(), EtcdError> {
    answer(leases.revoke(id)).await.map(drop)
}
