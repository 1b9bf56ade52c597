//! A node's part in functions that grow over all nodes: it goes by the plans of the gateway that leads, and says what it has.
//!
//! [`part`] is which of all plans concerns whom here, and [`report`] what is said. Without etcd the last plans hold; a version that none of
//! them knows of goes by the numbers of its own.

mod part;
mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use hatchway_proto::growth::NodeReport;
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_wire::catalog::SourceArgs;
use hatchway_wire::catalog::etcd::growth::{self, Growth};
use hatchway_wire::catalog::etcd::{EtcdConfig, EtcdConfigError, EtcdError};
use hatchway_wire::process::Exit;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::node::Node;

pub(crate) use part::Part;
use report::Reporter;

/// So often is said what the node has, where that has changed.
const EVERY: Duration = Duration::from_secs(1);

/// How long a start waits for plans. Without etcd it goes on without them, and gateways do not hear of the node either.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where etcd is; none where the rules are in a file, and nobody plans.
fn config(source: &SourceArgs) -> Result<Option<EtcdConfig>, EtcdConfigError> {
    if source.catalog.is_some() { Ok(None) } else { source.etcd.check().map(Some) }
}

/// Reads the plans before anybody can ask this node: what comes first is within them already.
///
/// # Errors
/// What is wrong with the settings of etcd, and when there is no runtime to be had. etcd not being there is nothing.
pub fn begin(source: &SourceArgs, name: &str, node: &Node) -> Result<(), Exit> {
    let Some(config) = config(source).map_err(Exit::config)? else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Exit::unavailable("cannot start a runtime".to_owned(), e))?;
    let read = async {
        let endpoint = config.endpoints.first().ok_or(EtcdError::NoEtcd)?;
        let plans = Growth::open_at(&config, endpoint).await?.plans().await?;
        node.go_by(name, &plans);
        Ok::<_, EtcdError>(())
    };
    let read = runtime.block_on(async { timeout(PATIENCE, read).await });
    let failed = match read {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    tracing::warn!(error = failed, "functions start without plans, by numbers of their own");
    Ok(())
}

/// Goes by every change of the plans, and says what the node has, for as long as it is polled.
///
/// # Errors
/// What is wrong with the settings of etcd.
pub fn follow<'n>(
    source: &SourceArgs,
    name: &'n str,
    node: &'n Node,
) -> Result<impl Future<Output = ()> + use<'n>, EtcdConfigError> {
    let config = config(source)?;
    Ok(async move {
        let Some(config) = config else { return };
        let (says, said) = watch::channel(NodeReport::default());
        let plans = growth::follow_plans(&config, |plans| node.go_by(name, plans));
        tokio::join!(look(node, says), plans, growth::report(config.clone(), name, said));
    })
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
