//! Writing to etcd: changes in transactions that fail when somebody else was there in the meantime.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use etcd_client::{Compare, CompareOp, GetOptions, SortOrder, SortTarget, Txn, TxnOp};
use hatchway_proto::catalog::history::{DEFAULT_KEPT, Entry, Timeline, Touched, Value};
use hatchway_proto::catalog::keys::Place;
use hatchway_proto::catalog::{Key, Keys, Object, Objects, differences};

use super::EtcdConfig;
use super::connection::{Connection, EtcdError, answer};
use crate::catalog::backoff::draw;
use crate::catalog::mirror::Mirror;
use crate::catalog::status::{Quarantine, unix_ms};

pub use crate::catalog::store::{Author, Change, PushError, Pushed};
pub use hatchway_proto::catalog::history::Record;

/// Changes in one transaction: etcd allows 128 by default, and one is the record.
const TOGETHER: usize = 100;

/// What one transaction writes, in bytes: etcd takes 1.5 MiB by default.
const TOGETHER_BYTES: usize = 1 << 20;

/// The rules in etcd, for one who changes them.
pub struct Store {
    connection: Connection,
    config: EtcdConfig,
    revision: i64,
    revisions: HashMap<Vec<u8>, i64>,
    keep: usize,
    /// Goes together with the last of the changes.
    trial: Option<String>,
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
            config: config.clone(),
            revision,
            revisions,
            keep: DEFAULT_KEPT,
            trial: None,
            objects: Objects::clone(&mirror.objects()),
            quarantined: mirror.quarantined(),
        })
    }

    /// Keeps so many records of changes.
    #[must_use]
    pub fn keeping(mut self, records: usize) -> Self {
        self.keep = records;
        self
    }

    /// The end of a trial belongs to the change: what was on trial at `key` goes together with the last of it.
    #[must_use]
    pub fn ending_trial(mut self, key: &str) -> Self {
        self.trial = Some(key.to_owned());
        self
    }

    /// Where it is.
    pub(in crate::catalog) fn config(&self) -> &EtcdConfig {
        &self.config
    }

    /// Of everything that was read.
    pub(in crate::catalog) fn revision(&self) -> i64 {
        self.revision
    }

    /// Of the last change of an object; 0 where it is not there.
    pub(in crate::catalog) fn revision_of_object(&self, key: &Key) -> i64 {
        self.revision_of(&self.config.keys.of(key))
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.config.keys
    }

    pub(super) fn client(&self) -> &etcd_client::Client {
        &self.connection.client
    }

    /// True of an object that nobody has touched since the store was opened.
    pub(super) fn as_it_was(&self, key: &Key) -> Compare {
        let key = self.config.keys.of(key);
        let revision = self.revision_of(&key);
        Compare::mod_revision(key, CompareOp::Equal, revision)
    }

    /// Only what would change something.
    #[must_use]
    pub fn differing(&self, changes: Vec<Change>) -> Vec<Change> {
        changes.into_iter().filter(|change| self.is_change(change)).collect()
    }

    /// Writes `changes` in their order, up to a hundred at a time; what is so already is left alone. What is written
    /// together is written whole or not at all, with a record of it, and only if nobody else has touched any of it since
    /// the store was opened.
    ///
    /// # Errors
    /// [`PushError`]; what was written before stays written.
    pub async fn push(self, changes: Vec<Change>, author: &Author) -> Result<Pushed, PushError> {
        let changes = self.differing(changes);
        // Where nothing is to be written, the last change that is there: etcd's own count goes on without any.
        let newest = self.revisions.values().copied().max().unwrap_or_default();
        let mut pushed = Pushed { changes: 0, revision: newest };
        let mut rest = &changes[..];
        while !rest.is_empty() {
            let (together, later) = rest.split_at(self.together(rest));
            let trial = self.trial.as_deref().filter(|_| later.is_empty());
            match self.write(together, author, trial).await? {
                Some(revision) => pushed.revision = revision,
                None => return Err(self.conflict(together, pushed.changes).await?),
            }
            pushed.changes += together.len();
            rest = later;
        }
        if pushed.changes > 0 {
            self.forget_old_records().await?;
        }
        Ok(pushed)
    }

    /// Writes the versions among `changes`, which serve nobody by themselves: what tries the rest needs nodes that know them.
    /// Gives back the rest, and how many were written.
    ///
    /// # Errors
    /// [`PushError`]; what was written before stays written.
    pub async fn add_versions(
        &mut self,
        changes: Vec<Change>,
        author: &Author,
    ) -> Result<(Vec<Change>, usize), PushError> {
        let is_version = |change: &Change| matches!(change, Change::Put(Object::Version(..)));
        let (versions, rest) = changes.into_iter().partition(is_version);
        let versions = self.differing(versions);
        let mut left = &versions[..];
        while !left.is_empty() {
            let (together, later) = left.split_at(self.together(left));
            let Some(revision) = self.write(together, author, None).await? else {
                return Err(self.conflict(together, versions.len() - left.len()).await?);
            };
            for change in together {
                self.revisions.insert(self.config.keys.of(&change.key()).into_bytes(), revision);
                if let Change::Put(object) = change {
                    self.objects.put(object.clone());
                }
            }
            left = later;
        }
        Ok((rest, versions.len()))
    }

    fn is_change(&self, change: &Change) -> bool {
        match change {
            Change::Put(object) => {
                self.objects.get(&object.key()).as_ref() != Some(object)
                // Its last good form is no reason to leave a bad one there.
                || self.quarantined.contains_key(&object.key().to_string())
            }
            Change::Delete(key) => self.revisions.contains_key(self.config.keys.of(key).as_bytes()),
        }
    }

    /// How many of these changes fit into one transaction: at least one.
    fn together(&self, changes: &[Change]) -> usize {
        let mut bytes = 0;
        let fits = changes.iter().take(TOGETHER).take_while(|change| {
            let before = self.objects.get(&change.key()).map_or(0, |object| object.json().len());
            bytes += before
                + match change {
                    Change::Put(object) => object.json().len(),
                    Change::Delete(_) => 0,
                };
            bytes <= TOGETHER_BYTES
        });
        fits.count().max(1)
    }

    fn revision_of(&self, key: &str) -> i64 {
        // etcd compares a key that is not there as if its revision were 0.
        self.revisions.get(key.as_bytes()).copied().unwrap_or_default()
    }

    /// What stands under a key, as far as the store knows it: bad values are asked for again.
    async fn value(&self, key: &str) -> Result<Option<Value>, EtcdError> {
        let whole = format!("{}{key}", self.config.keys);
        let revision = self.revision_of(&whole);
        if revision == 0 {
            return Ok(None);
        }
        let object = Key::parse(key).ok().and_then(|key| self.objects.get(&key));
        let text = match object {
            Some(object) => object.json(),
            None => {
                let mut kv = self.connection.client.kv_client();
                let found = answer(kv.get(whole, None)).await?;
                found.kvs().first().map(|kv| kv.value().to_vec()).unwrap_or_default()
            }
        };
        Ok(Some(Value { revision, text: String::from_utf8_lossy(&text).into_owned() }))
    }

    /// The revision of what was written; none when somebody else was there.
    async fn write(
        &self,
        changes: &[Change],
        author: &Author,
        trial: Option<&str>,
    ) -> Result<Option<i64>, EtcdError> {
        let mut touched = Vec::new();
        let mut compares = Vec::new();
        let mut writes = Vec::new();
        for change in changes {
            let key = change.key();
            compares.push(self.as_it_was(&key));
            let (short, key) = (key.to_string(), self.config.keys.of(&key));
            writes.push(match change {
                Change::Put(object) => TxnOp::put(key, object.json(), None),
                Change::Delete(_) => TxnOp::delete(key, None),
            });
            touched.push(Touched { before: self.value(&short).await?, key: short });
        }
        writes.push(recorded(&self.config.keys, author, touched));
        writes.extend(trial.map(|key| TxnOp::delete(key, None)));
        let txn = Txn::new().when(compares).and_then(writes);
        let done = answer(self.connection.client.kv_client().txn(txn)).await?;
        let revision = done.header().ok_or(EtcdError::NoEtcd)?.revision();
        Ok(done.succeeded().then_some(revision))
    }

    /// Somebody has touched one of `changes`, and may have taken it back since.
    async fn conflict(&self, changes: &[Change], written: usize) -> Result<PushError, EtcdError> {
        let key = changes[0].key().to_string();
        let (record, differences) = (None, Vec::new());
        let unknown = PushError::Conflict { key, record, differences, written };
        Ok(self.conflicting(changes, written).await?.unwrap_or(unknown))
    }

    /// The key that somebody else has written, their record, and what they have changed.
    pub(super) async fn conflicting(
        &self,
        changes: &[Change],
        written: usize,
    ) -> Result<Option<PushError>, EtcdError> {
        let mut kv = self.connection.client.kv_client();
        let mut touched = None;
        for change in changes {
            let whole = self.config.keys.of(&change.key());
            let found = answer(kv.get(whole.as_str(), None)).await?;
            let found = found.kvs().first();
            if found.map_or(0, etcd_client::KeyValue::mod_revision) != self.revision_of(&whole) {
                let now = found.map(|kv| String::from_utf8_lossy(kv.value()).into_owned());
                touched = Some((change.key().to_string(), now));
                break;
            }
        }
        let Some((key, now)) = touched else { return Ok(None) };
        let before = Key::parse(&key).ok().and_then(|key| self.objects.get(&key));
        let before = before.and_then(|object| String::from_utf8(object.json()).ok());
        let differences = differences(before.as_deref(), now.as_deref());
        let options = GetOptions::new()
            .with_prefix()
            .with_min_mod_revision(self.revision + 1)
            .with_sort(SortTarget::Mod, SortOrder::Descend);
        let records = answer(kv.get(self.config.keys.history(), Some(options))).await?;
        let records = records.kvs().iter();
        let mut records = records.filter_map(|kv| serde_json::from_slice(kv.value()).ok());
        let is_of_key = |record: &Record| record.touched.iter().any(|it| it.key == key);
        let record = records.find(is_of_key).map(Box::new);
        Ok(Some(PushError::Conflict { key, record, differences, written }))
    }

    async fn forget_old_records(&self) -> Result<(), EtcdError> {
        let mut kv = self.connection.client.kv_client();
        // By key they are in the order of their times.
        let options = GetOptions::new().with_prefix().with_keys_only();
        let records = answer(kv.get(self.config.keys.history(), Some(options))).await?;
        let records = records.kvs();
        let Some(surplus) = records.len().checked_sub(self.keep.max(1)) else { return Ok(()) };
        let options = etcd_client::DeleteOptions::new().with_range(records[surplus].key());
        answer(kv.delete(self.config.keys.history(), Some(options))).await?;
        Ok(())
    }

    /// What was changed before, and how it was. A record that cannot be read is left out.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn timeline(&self) -> Result<Timeline, EtcdError> {
        let mut entries = Vec::new();
        let mut pages = self.connection.pages_of(&self.config.keys.history(), None, false);
        while let Some(page) = pages.next().await? {
            for kv in &page {
                if let Ok(record) = serde_json::from_slice(kv.value()) {
                    entries.push(Entry { revision: kv.mod_revision(), record });
                }
            }
        }
        let mut now = BTreeMap::new();
        for whole in self.revisions.keys() {
            if let Ok(Place::Object(key)) = self.config.keys.place(whole)
                && let Some(value) = self.value(&key.to_string()).await?
            {
                now.insert(key.to_string(), value);
            }
        }
        Ok(Timeline::new(entries, now, self.revision))
    }
}

/// The record of a change, to be written together with it.
pub(super) fn recorded(keys: &Keys, author: &Author, touched: Vec<Touched>) -> TxnOp {
    let Author { who, why } = author.clone();
    let at_unix_ms = unix_ms();
    let record = Record { who, why, at_unix_ms, touched };
    let record = serde_json::to_vec(&record).expect("a record is strings and numbers");
    TxnOp::put(format!("{}{at_unix_ms:013}-{:08x}", keys.history(), draw()), record, None)
}
