//! A node registers itself, and says goodbye; and whoever wants to know reads who is registered.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use etcd_client::GetOptions;
use hatchway_proto::catalog::{Nodes, Registration};
use tokio::runtime;
use tokio::sync::watch;

use super::EtcdConfig;
use super::announce::announce;
use super::connection::{Connection, EtcdError, answer};

/// How long an end waits for etcd to hear of it. It goes on all the same: links tell gateways as well, and the lease runs out.
const PATIENCE: Duration = Duration::from_secs(2);

/// Keeps a node registered, on a thread of its own: also while the node drains, when nothing else runs any more.
pub struct Registrar {
    says: watch::Sender<Registration>,
    heard: mpsc::Receiver<Registration>,
    thread: JoinHandle<()>,
    ended: mpsc::Receiver<()>,
}

impl Registrar {
    /// Registers `node` under `name`, anew whenever etcd has lost it.
    ///
    /// # Errors
    /// When there is no thread to be had. Without etcd it goes on trying.
    pub fn start(config: EtcdConfig, name: &str, node: Registration) -> io::Result<Self> {
        let key = format!("{}{name}", config.keys.nodes());
        let (says, said) = watch::channel(node);
        let (hears, heard) = mpsc::channel();
        let (ends, ended) = mpsc::channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let run = move || {
            runtime.block_on(announce(config, key, said, |node| {
                // Only who drains listens.
                let _ = hears.send(node);
            }));
            let _ = ends.send(());
        };
        let thread = Builder::new().name("registrar".to_owned()).spawn(run)?;
        Ok(Self { says, heard, thread, ended })
    }

    /// Says that these packages could not be had.
    pub fn tell_failed(&self, packages: BTreeMap<String, String>) {
        self.says.send_if_modified(|node| {
            let is_news = node.failed_packages != packages;
            node.failed_packages = packages;
            is_news
        });
    }

    /// Says that the node takes nothing new, and waits a little until etcd has heard it.
    pub fn drain(&self) {
        self.says.send_modify(|node| node.is_draining = true);
        let until = std::time::Instant::now() + PATIENCE;
        let left = || until.saturating_duration_since(std::time::Instant::now());
        while let Ok(heard) = self.heard.recv_timeout(left()) {
            if heard.is_draining {
                return;
            }
        }
        tracing::warn!("etcd has not heard that this node drains; its links tell");
    }

    /// Leaves the registration to another process, which has made it its own under the same name: a lease that is not
    /// renewed any more takes nothing with it then.
    pub fn hand_over(self) {
        // Dropped, it would be taken away. The thread ends with this process, which is about to.
        std::mem::forget(self.says);
    }

    /// Takes the registration away.
    pub fn leave(self) {
        let Self { says, thread, ended, .. } = self;
        drop(says);
        if ended.recv_timeout(PATIENCE).is_err() {
            tracing::warn!("etcd has not heard that this node leaves; its lease runs out");
            return;
        }
        if thread.join().is_err() {
            tracing::error!("the registrar ended by a panic");
        }
    }
}

impl fmt::Debug for Registrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registrar").field("node", &*self.says.borrow()).finish_non_exhaustive()
    }
}

/// Who is registered now, at the first member that answers. What cannot be read is left out.
///
/// # Errors
/// [`EtcdError`] of the last member.
pub async fn registered(config: &EtcdConfig) -> Result<Nodes, EtcdError> {
    let mut failed = EtcdError::NoEtcd;
    for endpoint in &config.endpoints {
        match Connection::open(config, endpoint).await {
            Ok(connection) => return list(&connection, &config.keys.nodes()).await,
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn list(connection: &Connection, folder: &str) -> Result<Nodes, EtcdError> {
    let mut kv = connection.client.kv_client();
    let found = answer(kv.get(folder, Some(GetOptions::new().with_prefix()))).await?;
    let nodes = found.kvs().iter().filter_map(|kv| {
        let name = std::str::from_utf8(kv.key()).ok()?.strip_prefix(folder)?;
        Some((name.to_owned(), serde_json::from_slice(kv.value()).ok()?))
    });
    Ok(nodes.collect())
}
