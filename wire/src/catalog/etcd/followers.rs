//! Who follows the rules in etcd, and how far each has come: for operators who wait until all have.

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_client::{EventType, GetOptions, KeyValue, WatchOptions};
use hatchway_proto::catalog::Applied;
use tokio::time::timeout;

use super::EtcdConfig;
use super::connection::{Connection, EtcdError, answer};

/// What each live follower has said last, by name.
pub type Followers = BTreeMap<String, Applied>;

/// A window on those who follow.
pub struct FollowerView {
    connection: Connection,
    folder: String,
}

impl std::fmt::Debug for FollowerView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FollowerView").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl FollowerView {
    /// Of the gateways, at the first member that answers.
    ///
    /// # Errors
    /// [`EtcdError`] of the last member.
    pub async fn of_gateways(config: &EtcdConfig) -> Result<Self, EtcdError> {
        let mut failed = EtcdError::NoEtcd;
        for endpoint in &config.endpoints {
            match Connection::open(config, endpoint).await {
                Ok(connection) => {
                    return Ok(Self { connection, folder: config.keys.applied("gateways") });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// All that are alive now.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn list(&self) -> Result<Followers, EtcdError> {
        Ok(self.list_at().await?.0)
    }

    async fn list_at(&self) -> Result<(Followers, i64), EtcdError> {
        let mut kv = self.connection.client.kv_client();
        let options = GetOptions::new().with_prefix();
        let found = answer(kv.get(&*self.folder, Some(options))).await?;
        let revision = found.header().ok_or(EtcdError::NoEtcd)?.revision();
        let mut followers = Followers::new();
        for kv in found.kvs() {
            self.take(&mut followers, kv, EventType::Put);
        }
        Ok((followers, revision))
    }

    /// Waits until everybody who is alive serves by `revision`, but not longer than `limit`; how it stands then.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn wait(&self, revision: i64, limit: Duration) -> Result<Followers, EtcdError> {
        let have_all = |followers: &Followers| {
            followers.values().all(|applied| applied.revision >= revision).then_some(())
        };
        // Whoever has not come so far is told by its revision.
        Ok(self.until(limit, have_all).await?.0)
    }

    /// Looks after every change, until `look` has found something or `limit` has passed; how it stands then, and what was
    /// found.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn until<T>(
        &self,
        limit: Duration,
        mut look: impl FnMut(&Followers) -> Option<T>,
    ) -> Result<(Followers, Option<T>), EtcdError> {
        let (mut followers, at) = self.list_at().await?;
        let options = WatchOptions::new().with_prefix().with_start_revision(at + 1);
        let mut watch = self.connection.client.watch_client();
        let mut changes = answer(watch.watch(&*self.folder, Some(options))).await?;
        let looking = async {
            loop {
                if let Some(found) = look(&followers) {
                    return Ok(found);
                }
                let ended = || EtcdError::Ended("the connection was closed".to_owned());
                let message = changes.message().await?.ok_or_else(ended)?;
                if message.canceled() {
                    return Err(EtcdError::Ended(message.cancel_reason().to_owned()));
                }
                for event in message.events() {
                    if let Some(kv) = event.kv() {
                        self.take(&mut followers, kv, event.event_type());
                    }
                }
            }
        };
        let found = timeout(limit, looking).await;
        let found = found.map_or(Ok(None), |found| found.map(Some))?;
        Ok((followers, found))
    }

    /// What cannot be read is of another version's follower, which has at least not come as far as we can tell.
    fn take(&self, followers: &mut Followers, kv: &KeyValue, event: EventType) {
        let name = String::from_utf8_lossy(kv.key());
        let name = name.strip_prefix(&*self.folder).unwrap_or(&name).to_owned();
        match event {
            EventType::Put => {
                followers.insert(name, serde_json::from_slice(kv.value()).unwrap_or_default());
            }
            EventType::Delete => {
                followers.remove(&name);
            }
        }
    }
}
