//! Growth as it stands in etcd: what gateways and nodes say of functions that grow, and the plans of the gateway that leads.

use std::collections::BTreeMap;
use std::convert::Infallible;

use etcd_client::{Compare, CompareOp, KeyValue, PutOptions, Txn, TxnOp};
use hatchway_proto::catalog::Registration;
use hatchway_proto::growth::{Asked, NodeReport, Plan};
use hatchway_proto::name::{FunctionName, VersionId};
use tokio::sync::watch;

use super::EtcdConfig;
use super::announce::announce;
use super::attend::attend;
use super::connection::{Connection, EtcdError, answer};
use super::folder::{Folder, parsed};
use super::seat::{Leader, Seat};

/// What one gateway is asked for, by version.
pub type GatewayReport = BTreeMap<VersionId, Asked>;

/// A plan, and since which revision it stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The plan.
    pub plan: Plan,
    /// Of its key.
    pub revision: i64,
}

/// A gateway's way to the others, and to the plans.
pub struct Growth {
    connection: Connection,
    config: EtcdConfig,
}

impl std::fmt::Debug for Growth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Growth").field("keys", &self.config.keys).finish_non_exhaustive()
    }
}

impl Growth {
    /// Connects to one member.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn open_at(config: &EtcdConfig, endpoint: &str) -> Result<Self, EtcdError> {
        let connection = Connection::open(config, endpoint).await?;
        Ok(Self { connection, config: config.clone() })
    }

    /// A lease of one's own.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn seat(&self) -> Result<Seat, EtcdError> {
        Seat::take(&self.connection.client).await
    }

    /// Where those meet who want to lead.
    pub fn election(&self) -> String {
        self.config.keys.growth("leader")
    }

    /// Says what the holder of a lease is asked for.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn say(&self, lease: i64, report: &GatewayReport) -> Result<(), EtcdError> {
        let key = format!("{}{lease:016x}", self.config.keys.growth("gateways"));
        let options = PutOptions::new().with_lease(lease);
        answer(self.connection.client.kv_client().put(key, json(report), Some(options))).await?;
        Ok(())
    }

    /// What all gateways say, by the names of their leases.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn gateways(&self) -> Result<Folder<GatewayReport>, EtcdError> {
        self.folder(self.config.keys.growth("gateways"), |_, kv| parsed(kv)).await
    }

    /// What all nodes say, by name.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn nodes(&self) -> Result<Folder<NodeReport>, EtcdError> {
        self.folder(self.config.keys.growth("nodes"), |_, kv| parsed(kv)).await
    }

    /// The nodes that are registered.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn registered(&self) -> Result<Folder<Registration>, EtcdError> {
        self.folder(self.config.keys.nodes(), |_, kv| parsed(kv)).await
    }

    /// The plans, by function.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn plans(&self) -> Result<Folder<Standing>, EtcdError> {
        self.folder(self.config.keys.growth("plans"), standing).await
    }

    async fn folder<T>(
        &self,
        prefix: String,
        read: fn(&str, &KeyValue) -> Option<T>,
    ) -> Result<Folder<T>, EtcdError> {
        Folder::follow(&self.connection.client, prefix, read).await
    }

    /// Puts a plan in the place of the one that stood there since revision `before` (0: none did), or takes it away. Gives back since
    /// which revision it stands there.
    ///
    /// # Errors
    /// [`EtcdError`], and when another one leads by now or has written in the meantime; nothing was written then.
    pub async fn write(
        &self,
        leader: &Leader,
        function: &FunctionName,
        (plan, before): (Option<&Plan>, i64),
    ) -> Result<i64, EtcdError> {
        let key = format!("{}{function}", self.config.keys.growth("plans"));
        let unchanged = Compare::mod_revision(key.as_str(), CompareOp::Equal, before);
        let write = match plan {
            Some(plan) => TxnOp::put(key, json(plan), None),
            None => TxnOp::delete(key, None),
        };
        let txn = Txn::new().when([leader.still(), unchanged]).and_then([write]);
        let done = answer(self.connection.client.kv_client().txn(txn)).await?;
        if !done.succeeded() {
            return Err(EtcdError::Ended("another gateway plans by now".to_owned()));
        }
        Ok(done.header().ok_or(EtcdError::NoEtcd)?.revision())
    }
}

fn standing(name: &str, kv: &KeyValue) -> Option<Standing> {
    FunctionName::parse(name).ok()?;
    Some(Standing { plan: parsed(kv)?, revision: kv.mod_revision() })
}

/// Follows all plans as a node does, for as long as it is polled: `told` hears of them when they were read, and after every change.
pub async fn follow_plans(config: &EtcdConfig, mut told: impl FnMut(&Folder<Standing>)) {
    let session = async |endpoint: &str, heard: &mut bool| -> Result<Infallible, EtcdError> {
        let growth = Growth::open_at(config, endpoint).await?;
        let mut plans = growth.plans().await?;
        *heard = true;
        loop {
            told(&plans);
            plans.changed().await?;
        }
    };
    attend(config, "plans stay as they are", session).await;
}

/// Says under a lease what the node `name` has, anew after every change, for as long as it is polled.
pub async fn report(config: EtcdConfig, name: &str, says: watch::Receiver<NodeReport>) {
    let key = format!("{}{name}", config.keys.growth("nodes"));
    announce(config, key, says, drop).await;
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plans are strings, numbers and maps with text keys")
}
