//! What each gateway is asked for, of functions with a rate limit: said in etcd under a lease, read by all the others.

use std::collections::BTreeMap;

use etcd_client::{EventType, GetOptions, KeyValue, PutOptions, WatchOptions, WatchStream};
use hatchway_proto::name::FunctionName;

use super::EtcdConfig;
use super::connection::{Connection, EtcdError, answer};
use super::seat::Seat;

/// Requests a second, by function. A function that is not there is asked for nothing.
pub type Demand = BTreeMap<FunctionName, f64>;

/// A gateway's way to the others.
pub struct Demands {
    connection: Connection,
    folder: String,
}

/// What all gateways that are alive say.
pub struct Table {
    stream: WatchStream,
    folder: String,
    /// By the name of the lease.
    pub gateways: BTreeMap<String, Demand>,
}

impl std::fmt::Debug for Demands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demands").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("gateways", &self.gateways).finish_non_exhaustive()
    }
}

/// How the holder of a lease is called in the table.
pub fn name(lease: i64) -> String {
    format!("{lease:016x}")
}

impl Demands {
    /// Connects to one member.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn open_at(config: &EtcdConfig, endpoint: &str) -> Result<Self, EtcdError> {
        let connection = Connection::open(config, endpoint).await?;
        Ok(Self { connection, folder: config.keys.demand() })
    }

    /// A lease of one's own.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn seat(&self) -> Result<Seat, EtcdError> {
        Seat::take(&self.connection.client).await
    }

    /// Says what the holder of a lease is asked for.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn say(&self, lease: i64, demand: &Demand) -> Result<(), EtcdError> {
        let key = format!("{}{}", self.folder, name(lease));
        let json = serde_json::to_vec(demand).expect("numbers by text keys");
        let options = PutOptions::new().with_lease(lease);
        answer(self.connection.client.kv_client().put(key, json, Some(options))).await?;
        Ok(())
    }

    /// What all say, now and from now on.
    ///
    /// # Errors
    /// [`EtcdError`].
    pub async fn follow(&self) -> Result<Table, EtcdError> {
        let mut kv = self.connection.client.kv_client();
        let list = kv.get(self.folder.as_str(), Some(GetOptions::new().with_prefix()));
        let list = answer(list).await?;
        let revision = list.header().ok_or(EtcdError::NoEtcd)?.revision();
        let options = WatchOptions::new().with_prefix().with_start_revision(revision + 1);
        let mut watch = self.connection.client.watch_client();
        let stream = answer(watch.watch(self.folder.as_str(), Some(options))).await?;
        let mut table = Table { stream, folder: self.folder.clone(), gateways: BTreeMap::new() };
        for kv in list.kvs() {
            table.take(kv, EventType::Put);
        }
        Ok(table)
    }
}

impl Table {
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
            }
        }
        Ok(())
    }

    /// What cannot be read counts as a gateway that is asked for nothing: it is one all the same.
    fn take(&mut self, kv: &KeyValue, event: EventType) {
        let name = String::from_utf8_lossy(kv.key());
        let name = name.strip_prefix(&self.folder).unwrap_or(&name).to_owned();
        match event {
            EventType::Put => {
                let demand = serde_json::from_slice(kv.value());
                let demand = demand.inspect_err(
                    |error| tracing::warn!(gateway = name, %error, "a demand is none"),
                );
                self.gateways.insert(name, demand.unwrap_or_default());
            }
            EventType::Delete => {
                self.gateways.remove(&name);
            }
        }
    }
}
