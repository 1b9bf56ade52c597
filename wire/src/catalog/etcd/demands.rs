//! What each gateway is asked for, of functions with a rate limit: said in etcd under a lease, read by all the others.

use std::collections::BTreeMap;

use etcd_client::PutOptions;
use hatchway_proto::name::FunctionName;

use super::EtcdConfig;
use super::connection::{Connection, EtcdError, answer};
use super::folder::{Folder, parsed};
use super::seat::Seat;

/// Requests a second, by function. A function that is not there is asked for nothing.
pub type Demand = BTreeMap<FunctionName, f64>;

/// A gateway's way to the others.
pub struct Demands {
    connection: Connection,
    folder: String,
}

/// What all gateways that are alive say, by the names of their leases.
pub type Table = Folder<Demand>;

impl std::fmt::Debug for Demands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demands").field("folder", &self.folder).finish_non_exhaustive()
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
        // What cannot be read counts as a gateway that is asked for nothing: it is one all the same.
        let read = |_: &str, kv: &_| Some(parsed(kv).unwrap_or_default());
        Folder::follow(&self.connection.client, self.folder.clone(), read).await
    }
}
