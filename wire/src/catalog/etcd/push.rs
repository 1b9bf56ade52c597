//! Writing to etcd: changes in transactions that fail when somebody else was there in the meantime.

use std::collections::HashMap;
use std::sync::Arc;

use etcd_client::{Compare, CompareOp, GetOptions, SortOrder, SortTarget, Txn, TxnOp};
use hatchway_proto::catalog::{Key, Keys, Object, Objects};
use serde::{Deserialize, Serialize};

use super::EtcdConfig;
use super::connection::{Connection, EtcdError, answer};
use crate::catalog::backoff::draw;
use crate::catalog::mirror::Mirror;
use crate::catalog::status::{Quarantine, unix_ms};

/// Changes in one transaction: etcd allows 128 by default, and one is the record.
const TOGETHER: usize = 100;

/// Records of changes that are kept.
const RECORDS: usize = 1000;

/// Who changes the rules, and why.
#[derive(Clone, Debug)]
pub struct Author {
    /// A person or a program.
    pub who: String,
    /// In their words.
    pub why: String,
}

/// What is kept of a change, below `changes/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// A person or a program.
    pub who: String,
    /// In their words.
    pub why: String,
    /// Milliseconds since 1970, by the clock of the one who wrote.
    pub at_unix_ms: u64,
    /// What was written or deleted.
    pub keys: Vec<String>,
}

/// One thing to write.
#[derive(Clone, Debug)]
pub enum Change {
    /// An object, new or other than it was.
    Put(Object),
    /// An object that goes.
    Delete(Key),
}

/// Why the rules were not written, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Somebody else was there in the meantime.
    #[error("{key} was changed meanwhile {}; {written} changes were written before it: look at it and apply again", by(record.as_ref()))]
    Conflict {
        /// What both wanted to write.
        key: String,
        /// Who it was, where they have said so.
        record: Option<Record>,
        /// Changes of ours that are in force.
        written: usize,
    },
    /// etcd cannot be reached, or refuses.
    #[error("etcd")]
    Etcd(#[from] EtcdError),
}

fn by(record: Option<&Record>) -> String {
    match record {
        Some(Record { who, why, at_unix_ms, .. }) => {
            let seconds = unix_ms().saturating_sub(*at_unix_ms) / 1000;
            format!("by {who}, {seconds} s ago ({why})")
        }
        None => "by somebody who left no record".to_owned(),
    }
}

/// The rules in etcd, for one who changes them.
pub struct Store {
    connection: Connection,
    keys: Keys,
    revision: i64,
    revisions: HashMap<Vec<u8>, i64>,
    /// Every good object, as it was when the store was opened.
    pub objects: Objects,
    /// Keys whose values are no objects, each with the reason.
    pub quarantined: Quarantine,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Store {
    /// Reads everything, from the first member that answers.
    ///
    /// # Errors
    /// [`EtcdError`] of the last member.
    pub async fn open(config: &EtcdConfig) -> Result<Self, EtcdError> {
        let mut failed = EtcdError::NoEtcd;
        for endpoint in &config.endpoints {
            match Self::open_at(config, endpoint).await {
                Ok(store) => return Ok(store),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn open_at(config: &EtcdConfig, endpoint: &str) -> Result<Self, EtcdError> {
        let connection = Connection::open(config, endpoint).await?;
        let mut mirror = Mirror::new(config.keys.clone(), Arc::default());
        let mut listing = mirror.list();
        let mut revisions = HashMap::new();
        let mut pages = connection.pages(None, false);
        while let Some(page) = pages.next().await? {
            for entry in &page {
                mirror.take(&mut listing, entry.key(), entry.value(), entry.mod_revision());
                revisions.insert(entry.key().to_vec(), entry.mod_revision());
            }
        }
        let (revision, _) = pages.read_at();
        mirror.replace(listing, revision);
        Ok(Self {
            connection,
            keys: config.keys.clone(),
            revision,
            revisions,
            objects: Objects::clone(&mirror.objects()),
            quarantined: mirror.quarantined(),
        })
    }

    /// Writes `changes` in their order, a hundred at a time, and says how many there were; what is so already is left
    /// alone. Each hundred is written whole or not at all, and only if nobody else has touched any of it since the
    /// store was opened.
    ///
    /// # Errors
    /// [`PushError`]; what was written before stays written.
    pub async fn push(self, changes: Vec<Change>, author: &Author) -> Result<usize, PushError> {
        let changes: Vec<Change> =
            changes.into_iter().filter(|change| self.is_change(change)).collect();
        for (index, together) in changes.chunks(TOGETHER).enumerate() {
            if !self.write(together, author).await? {
                let (key, record) = self.conflict(together).await?;
                return Err(PushError::Conflict { key, record, written: index * TOGETHER });
            }
        }
        if !changes.is_empty() {
            self.forget_old_records().await?;
        }
        Ok(changes.len())
    }

    fn is_change(&self, change: &Change) -> bool {
        match change {
            Change::Put(object) => {
                self.objects.get(&object.key()).as_ref() != Some(object)
                // Its last good form is no reason to leave a bad one there.
                || self.quarantined.contains_key(&object.key().to_string())
            }
            Change::Delete(key) => self.revisions.contains_key(self.keys.of(key).as_bytes()),
        }
    }

    fn revision_of(&self, key: &str) -> i64 {
        // etcd compares a key that is not there as if its revision were 0.
        self.revisions.get(key.as_bytes()).copied().unwrap_or_default()
    }

    /// False when somebody else was there.
    async fn write(&self, changes: &[Change], author: &Author) -> Result<bool, EtcdError> {
        let keys: Vec<String> = changes.iter().map(|change| change.key().to_string()).collect();
        let mut compares = Vec::new();
        let mut writes = Vec::new();
        for change in changes {
            let key = self.keys.of(&change.key());
            let revision = self.revision_of(&key);
            compares.push(Compare::mod_revision(key.as_str(), CompareOp::Equal, revision));
            writes.push(match change {
                Change::Put(object) => TxnOp::put(key, object.json(), None),
                Change::Delete(_) => TxnOp::delete(key, None),
            });
        }
        let Author { who, why } = author.clone();
        let at_unix_ms = unix_ms();
        let record = Record { who, why, at_unix_ms, keys };
        let record = serde_json::to_vec(&record).expect("a record is strings and numbers");
        let id = format!("{}{at_unix_ms:013}-{:08x}", self.keys.changes(), draw());
        writes.push(TxnOp::put(id, record, None));
        let txn = Txn::new().when(compares).and_then(writes);
        Ok(answer(self.connection.client.kv_client().txn(txn)).await?.succeeded())
    }

    /// The key that somebody else has written, and their record.
    async fn conflict(&self, changes: &[Change]) -> Result<(String, Option<Record>), EtcdError> {
        let mut kv = self.connection.client.kv_client();
        let mut touched = changes[0].key();
        for change in changes {
            let key = self.keys.of(&change.key());
            let now =
                answer(kv.get(key.as_str(), Some(GetOptions::new().with_keys_only()))).await?;
            let revision = now.kvs().first().map_or(0, etcd_client::KeyValue::mod_revision);
            if revision != self.revision_of(&key) {
                touched = change.key();
                break;
            }
        }
        let options = GetOptions::new()
            .with_prefix()
            .with_min_mod_revision(self.revision + 1)
            .with_sort(SortTarget::Mod, SortOrder::Descend);
        let records = answer(kv.get(self.keys.changes(), Some(options))).await?;
        let touched = touched.to_string();
        let records = records.kvs().iter();
        let mut records = records.filter_map(|kv| serde_json::from_slice(kv.value()).ok());
        let record = records.find(|record: &Record| record.keys.contains(&touched));
        Ok((touched, record))
    }

    async fn forget_old_records(&self) -> Result<(), EtcdError> {
        let mut kv = self.connection.client.kv_client();
        // By key they are in the order of their times.
        let options = GetOptions::new().with_prefix().with_keys_only();
        let records = answer(kv.get(self.keys.changes(), Some(options))).await?;
        let records = records.kvs();
        let Some(surplus) = records.len().checked_sub(RECORDS) else { return Ok(()) };
        let options = etcd_client::DeleteOptions::new().with_range(records[surplus].key());
        answer(kv.delete(self.keys.changes(), Some(options))).await?;
        Ok(())
    }
}

impl Change {
    /// Of which object.
    pub fn key(&self) -> Key {
        match self {
            Self::Put(object) => object.key(),
            Self::Delete(key) => key.clone(),
        }
    }
}
