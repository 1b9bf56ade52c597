//! Rollouts as they stand in etcd: read together with the release that they move, written in one transaction with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use etcd_client::{
    Compare, CompareOp, GetOptions, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse,
};
use hatchway_proto::catalog::history::{Touched, Value};
use hatchway_proto::catalog::{Key, Keys, Object, Release};
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_proto::rollout::{Counts, Evidence, Rollout};

use super::EtcdConfig;
use super::connection::{Connection, EtcdError, answer};
use super::folder::{Folder, parsed};
use super::push::{Author, recorded};
use super::seat::{Leader, Seat};

/// What one gateway has counted of each version since it began to.
pub type Report = BTreeMap<VersionId, Counts>;

/// Rollouts in etcd.
pub struct Rollouts {
    connection: Connection,
    keys: Keys,
}

/// All that belongs to the rollout of one function, at one revision.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// None where there was never one.
    pub rollout: Option<Rollout>,
    /// None before anything was seen.
    pub evidence: Option<Evidence>,
    /// None when it is gone, or no release.
    pub release: Option<Arc<Release>>,
    /// By the name of its gateway.
    pub reports: BTreeMap<String, Report>,
    rollout_revision: i64,
    /// As it stands there, whatever it is.
    release_value: Option<Value>,
}

/// What is to be written; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Writing<'a> {
    /// How far it has come.
    pub rollout: Option<&'a Rollout>,
    /// What has been made of all counts.
    pub evidence: Option<&'a Evidence>,
    /// Which version answers from now on.
    pub release: Option<Release>,
}

/// What has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it stands there.
    Whole,
    /// Nothing was written: somebody else was there in the meantime.
    Overtaken,
    /// Nothing was written: another one leads by now.
    Deposed,
}

/// Rollouts as they come, change and go: those that are not over.
#[derive(Debug)]
pub struct Following(Folder<(FunctionName, Rollout)>);

impl std::fmt::Debug for Rollouts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rollouts").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Rollouts {
    /// Connects to the first member that answers.
    ///
    /// # Errors
    /// [`EtcdError`] of the last member.
    pub async fn open(config: &EtcdConfig) -> Result<Self, EtcdError> {
        let mut failed = EtcdError::NoEtcd;
        for endpoint in &config.endpoints {
            match Self::open_at(config, endpoint).await {
                Ok(rollouts) => return Ok(rollouts),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Connects to one member.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn open_at(config: &EtcdConfig, endpoint: &str) -> Result<Self, EtcdError> {
        let connection = Connection::open(config, endpoint).await?;
        Ok(Self { connection, keys: config.keys.clone() })
    }

    fn key(&self, folder: &str, function: &FunctionName) -> String {
        format!("{}{function}", self.keys.rollouts(folder))
    }

    fn release_key(&self, function: &FunctionName) -> String {
        self.keys.of(&Key::Release(function.clone()))
    }

    /// Where those meet who want to lead.
    pub fn election(&self) -> String {
        self.keys.rollouts("leader")
    }

    /// A lease of one's own.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn seat(&self) -> Result<Seat, EtcdError> {
        Seat::take(&self.connection.client).await
    }

    /// All that belongs to one rollout, as it is at one revision.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn read(&self, function: &FunctionName) -> Result<Held, EtcdError> {
        let counts = format!("{}/", self.key("counts", function));
        let gets = [
            TxnOp::get(self.key("plans", function), None),
            TxnOp::get(self.key("evidence", function), None),
            TxnOp::get(self.release_key(function), None),
            TxnOp::get(counts.as_str(), Some(GetOptions::new().with_prefix())),
        ];
        let txn = Txn::new().and_then(gets);
        let read = answer(self.connection.client.kv_client().txn(txn)).await?;
        let mut found = read.op_responses().into_iter().map(|response| match response {
            TxnOpResponse::Get(mut got) => got.take_kvs(),
            TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => Vec::new(),
        });
        let mut one = || found.next().and_then(|mut found| found.pop());
        let (rollout, evidence, release) = (one(), one(), one());
        let report = |kv: KeyValue| {
            let gateway = kv.key().strip_prefix(counts.as_bytes())?;
            Some((String::from_utf8_lossy(gateway).into_owned(), parsed(&kv)?))
        };
        Ok(Held {
            rollout_revision: rollout.as_ref().map_or(0, KeyValue::mod_revision),
            release_value: release.as_ref().map(|kv| Value {
                revision: kv.mod_revision(),
                text: String::from_utf8_lossy(kv.value()).into_owned(),
            }),
            rollout: rollout.as_ref().and_then(rollout_of),
            evidence: evidence.as_ref().and_then(parsed),
            release: release.as_ref().and_then(|kv| release_of(function, kv)),
            reports: found.next().unwrap_or_default().into_iter().filter_map(report).collect(),
        })
    }

    /// Writes, if nobody has touched the rollout since `held` was read, nor the release where it is written, and if
    /// `leader` leads, where one says so.
    ///
    /// # Errors
    /// [`EtcdError`]; whether it was written is not known then.
    pub async fn write(
        &self,
        function: &FunctionName,
        held: &Held,
        writing: Writing<'_>,
        (leader, author): (Option<&Leader>, &Author),
    ) -> Result<Written, EtcdError> {
        let plan = self.key("plans", function);
        let unchanged =
            |key: &str, revision| Compare::mod_revision(key, CompareOp::Equal, revision);
        let mut compares = vec![unchanged(&plan, held.rollout_revision)];
        compares.extend(leader.map(Leader::still));
        let mut writes = Vec::new();
        if let Some(rollout) = writing.rollout {
            writes.push(TxnOp::put(plan, json(rollout), None));
        }
        if let Some(evidence) = writing.evidence {
            writes.push(TxnOp::put(self.key("evidence", function), json(evidence), None));
        }
        if let Some(release) = writing.release {
            let key = self.release_key(function);
            let before = held.release_value.clone();
            compares.push(unchanged(&key, before.as_ref().map_or(0, |value| value.revision)));
            let object = Object::Release(function.clone(), Arc::new(release));
            writes.push(TxnOp::put(key, object.json(), None));
            let touched = Touched { key: object.key().to_string(), before };
            writes.push(recorded(&self.keys, author, vec![touched]));
        }
        let otherwise: Vec<TxnOp> =
            leader.map(|leader| TxnOp::get(leader.key(), None)).into_iter().collect();
        let txn = Txn::new().when(compares).and_then(writes).or_else(otherwise);
        let done = answer(self.connection.client.kv_client().txn(txn)).await?;
        if done.succeeded() {
            return Ok(Written::Whole);
        }
        let leads = done.op_responses().into_iter().all(|response| match response {
            TxnOpResponse::Get(got) => got.count() > 0,
            TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => true,
        });
        Ok(if leads { Written::Overtaken } else { Written::Deposed })
    }

    /// Says what the holder of a lease has counted so far.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn report(
        &self,
        lease: i64,
        function: &FunctionName,
        report: &Report,
    ) -> Result<(), EtcdError> {
        let key = format!("{}/{lease:016x}", self.key("counts", function));
        let options = PutOptions::new().with_lease(lease);
        answer(self.connection.client.kv_client().put(key, json(report), Some(options))).await?;
        Ok(())
    }

    /// All rollouts that are not over, now and from now on.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn follow(&self) -> Result<Following, EtcdError> {
        let folder = self.keys.rollouts("plans");
        Folder::follow(&self.connection.client, folder, running).await.map(Following)
    }
}

impl Following {
    /// By function.
    pub fn running(&self) -> impl Iterator<Item = (&FunctionName, &Rollout)> {
        self.0.entries.values().map(|(function, rollout)| (function, rollout))
    }

    /// True when nobody has to look at any.
    pub fn is_empty(&self) -> bool {
        self.0.entries.is_empty()
    }

    /// Waits for a change.
    ///
    /// # Errors
    /// When there may have been some that are not known: everything is to be read anew. Cancel safe.
    pub async fn changed(&mut self) -> Result<(), EtcdError> {
        self.0.changed().await
    }
}

fn running(name: &str, kv: &KeyValue) -> Option<(FunctionName, Rollout)> {
    let rollout = rollout_of(kv).filter(|rollout| !rollout.progress.phase.is_over())?;
    Some((FunctionName::parse(name).ok()?, rollout))
}

/// Its plan may not have come from one who checks.
fn rollout_of(kv: &KeyValue) -> Option<Rollout> {
    let rollout: Rollout = parsed(kv)?;
    let key = String::from_utf8_lossy(kv.key());
    let checked = rollout.plan.check();
    checked.inspect_err(|error| tracing::warn!(%key, %error, "a rollout is refused")).ok()?;
    Some(rollout)
}

fn release_of(function: &FunctionName, kv: &KeyValue) -> Option<Arc<Release>> {
    match Object::parse(Key::Release(function.clone()), kv.value()) {
        Ok(Object::Release(_, release)) => Some(release),
        Ok(Object::Function(..) | Object::Version(..) | Object::Route(..)) | Err(_) => None,
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("rollouts are strings, numbers and maps with text keys")
}
