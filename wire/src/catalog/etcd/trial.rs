//! A change on trial at one gateway: a leased key below the prefix, so that it goes when whoever tries it is gone, and so
//! that the gateway hears of its end together with the change itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, LeaseClient, PutOptions, Txn, TxnOp};
use hatchway_proto::catalog::Candidate;

use super::connection::{EtcdError, answer};
use super::lease::{self, Lease};
use super::push::{Author, Change, PushError, Store};

/// How long a change stays on trial that nobody watches any more.
const LEASE: Duration = Duration::from_secs(5);

/// A change that one gateway serves by, for as long as this is kept.
pub struct OnTrial {
    leases: LeaseClient,
    lease: Lease,
    key: String,
    /// Of the key: the gateway tells by it what it has taken up.
    pub revision: i64,
}

impl std::fmt::Debug for OnTrial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnTrial").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Store {
    /// Puts `changes` on trial at `gateway`; whoever reads the rules sees nothing of it. None where one is on trial there
    /// already.
    ///
    /// # Errors
    /// [`PushError`], also where somebody has changed any of it since the store was opened.
    pub async fn begin_trial(
        &self,
        gateway: &str,
        changes: &[Change],
        author: &Author,
    ) -> Result<Option<OnTrial>, PushError> {
        let mut objects = BTreeMap::new();
        let mut compares = Vec::new();
        for change in changes {
            let key = change.key();
            compares.push(self.as_it_was(&key));
            let text = match change {
                Change::Put(object) => String::from_utf8(object.json()).ok(),
                Change::Delete(_) => None,
            };
            objects.insert(key.to_string(), text);
        }
        let Author { who, why } = author.clone();
        let candidate = serde_json::to_vec(&Candidate { who, why, objects });
        let candidate = candidate.expect("a candidate is strings");
        let key = self.keys().first(gateway);
        let mut leases = self.client().lease_client();
        let lease = Lease::grant(&mut leases, LEASE).await?;
        // In two steps, for etcd allows 128 compares by default: the second, when all is over, has them all again.
        let free = Compare::version(key.as_str(), CompareOp::Equal, 0);
        let put = TxnOp::put(key.as_str(), candidate, Some(PutOptions::new().with_lease(lease.id)));
        compares.truncate(100);
        compares.push(free);
        let txn = Txn::new().when(compares).and_then([put]);
        let done = answer(self.client().kv_client().txn(txn)).await?;
        let revision = done.header().ok_or(EtcdError::NoEtcd)?.revision();
        if done.succeeded() {
            return Ok(Some(OnTrial { leases, lease, key, revision }));
        }
        lease::revoke(&mut leases, lease.id).await?;
        match self.conflicting(changes, 0).await? {
            Some(conflict) => Err(conflict),
            None => Ok(None),
        }
    }
}

impl OnTrial {
    /// Keeps it on trial, for as long as it is polled.
    ///
    /// # Errors
    /// When it is so no more.
    pub async fn keep(&mut self) -> Result<Infallible, EtcdError> {
        loop {
            tokio::time::sleep(LEASE / 3).await;
            self.lease.renew().await?;
        }
    }

    /// Where it stands: it is to go together with the change that makes it true for all.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Takes it back.
    ///
    /// # Errors
    /// [`EtcdError`]; then it goes by itself.
    pub async fn take_back(mut self) -> Result<(), EtcdError> {
        lease::revoke(&mut self.leases, self.lease.id).await
    }
}
