//! A node's part in functions that grow over all nodes: it goes by the plans of the gateway that leads, and says what it has.
//!
//! [`part`] is which of all plans concerns whom here, and [`report`] what is said. Without etcd the last plans hold, over a start by what
//! is [`kept`] on disk; a version that none of them knows of goes by the numbers of its own.

mod kept;
mod part;
mod report;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hatchway_proto::growth::NodeReport;
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_wire::catalog::SourceArgs;
use hatchway_wire::catalog::etcd::growth::{self, Growth};
use hatchway_wire::catalog::etcd::{EtcdConfig, EtcdError};
use hatchway_wire::process::Exit;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::node::Node;

use kept::Kept;
pub(crate) use kept::Plans;
pub(crate) use part::Part;
use report::Reporter;

/// So often is said what the node has, where that has changed.
const EVERY: Duration = Duration::from_secs(1);

/// How long a start waits for plans. Without etcd it goes on with those on its disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where plans come from: etcd, and what the disk has kept of it.
#[derive(Debug)]
pub struct Planned {
    etcd: EtcdConfig,
    kept: Kept,
}

/// Reads the plans before anybody can ask this node: what comes first is within them already. `state` is the node's state folder.
/// None where the rules are in a file, and nobody plans.
///
/// # Errors
/// What is wrong with the settings of etcd, and when there is no runtime to be had. etcd not being there is nothing.
pub fn begin(
    source: &SourceArgs,
    state: &Path,
    name: &str,
    node: &Node,
) -> Result<Option<Planned>, Exit> {
    if source.catalog.is_some() {
        return Ok(None);
    }
    let etcd = source.etcd.check().map_err(Exit::config)?;
    let mut kept = Kept::new(state, etcd.keys.prefix());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Exit::unavailable("cannot start a runtime".to_owned(), e))?;
    let read = async {
        let endpoint = etcd.endpoints.first().ok_or(EtcdError::NoEtcd)?;
        let plans = Growth::open_at(&etcd, endpoint).await?.plans().await?;
        Ok::<_, EtcdError>(Plans::of(&plans))
    };
    let error = match runtime.block_on(async { timeout(PATIENCE, read).await }) {
        Ok(Ok(plans)) => {
            kept.keep(&plans);
            node.go_by(name, plans);
            return Ok(Some(Planned { etcd, kept }));
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    match kept.read() {
        Some(plans) => {
            tracing::warn!(error, "plans from disk hold until etcd is heard");
            node.go_by(name, plans);
        }
        None => tracing::warn!(error, "functions start without plans, by numbers of their own"),
    }
    Ok(Some(Planned { etcd, kept }))
}

/// Goes by every change of the plans, and says what the node has, for as long as it is polled.
pub async fn follow(planned: Option<Planned>, name: &str, node: &Node) {
    let Some(Planned { etcd, mut kept }) = planned else { return };
    let (says, said) = watch::channel(NodeReport::default());
    let plans = growth::follow_plans(&etcd, |plans| {
        let plans = Plans::of(plans);
        kept.keep(&plans);
        node.go_by(name, plans);
    });
    tokio::join!(look(node, says), plans, growth::report(etcd.clone(), name, said));
}

async fn look(node: &Node, says: watch::Sender<NodeReport>) {
    let mut reporter = Reporter::default();
    let mut looks = interval(EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let now = reporter.look(&node.pool, &node.growing());
        says.send_if_modified(|said| {
            let is_news = report::is_news(said, &now);
            if is_news {
                *said = now;
            }
            is_news
        });
    }
}

/// By version, whose function it is.
pub(crate) type Growing = BTreeMap<VersionId, FunctionName>;
