//! All that stands in one folder of etcd, now and from now on: read whole at one revision, then watched from the next.

use std::collections::BTreeMap;

use etcd_client::{Client, EventType, GetOptions, KeyValue, WatchOptions, WatchStream};

use super::connection::{EtcdError, answer};

/// What a value means; none where it is none of ours. The name is what follows the folder in its key.
pub(super) type Read<T> = fn(name: &str, kv: &KeyValue) -> Option<T>;

/// A folder being followed.
pub struct Folder<T> {
    stream: WatchStream,
    prefix: String,
    read: Read<T>,
    /// By name.
    pub entries: BTreeMap<String, T>,
    /// Everything up to this revision of etcd is known here.
    pub revision: i64,
}

impl<T: std::fmt::Debug> std::fmt::Debug for Folder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Folder");
        debug.field("prefix", &self.prefix).field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl<T> Folder<T> {
    /// Everything below `prefix`, which ends with a slash, as `read` understands it.
    pub(super) async fn follow(
        client: &Client,
        prefix: String,
        read: Read<T>,
    ) -> Result<Self, EtcdError> {
        let mut kv = client.kv_client();
        let list = kv.get(prefix.as_str(), Some(GetOptions::new().with_prefix()));
        let list = answer(list).await?;
        let revision = list.header().ok_or(EtcdError::NoEtcd)?.revision();
        let options = WatchOptions::new().with_prefix().with_start_revision(revision + 1);
        let mut watch = client.watch_client();
        let stream = answer(watch.watch(prefix.as_str(), Some(options))).await?;
        let mut folder = Self { stream, prefix, read, entries: BTreeMap::new(), revision };
        for kv in list.kvs() {
            folder.take(kv, EventType::Put);
        }
        Ok(folder)
    }

    /// Waits for a change.
    ///
    /// # Errors
    /// When there may have been some that are not known: everything is to be read anew. Cancel safe.
    pub async fn changed(&mut self) -> Result<(), EtcdError> {
        let ended = |why: &str| EtcdError::Ended(why.to_owned());
        let message = self.stream.message().await?;
        let message = message.ok_or_else(|| ended("the connection was closed"))?;
        if message.canceled() {
            return Err(ended(message.cancel_reason()));
        }
        for event in message.events() {
            if let Some(kv) = event.kv() {
                self.take(kv, event.event_type());
                self.revision = self.revision.max(kv.mod_revision());
            }
        }
        Ok(())
    }

    fn take(&mut self, kv: &KeyValue, event: EventType) {
        let key = String::from_utf8_lossy(kv.key());
        let name = key.strip_prefix(&self.prefix).unwrap_or(&key);
        match (event, (self.read)(name, kv)) {
            (EventType::Put, Some(value)) => {
                self.entries.insert(name.to_owned(), value);
            }
            (EventType::Put, None) | (EventType::Delete, _) => {
                self.entries.remove(name);
            }
        }
    }
}

/// What somebody has written there by hand is no reason to stop: it is as if it were not there.
pub(super) fn parsed<T: serde::de::DeserializeOwned>(kv: &KeyValue) -> Option<T> {
    let parsed = serde_json::from_slice(kv.value());
    let key = String::from_utf8_lossy(kv.key());
    parsed.inspect_err(|error| tracing::warn!(%key, %error, "a value is not understood")).ok()
}
