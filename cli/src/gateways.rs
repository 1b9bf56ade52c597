//! The gateways that follow rules in etcd, as operators see them: who has come how far, and what was refused.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hatchway_proto::catalog::Nodes;
use hatchway_wire::catalog::etcd::followers::{FollowerView, Followers};
use hatchway_wire::catalog::etcd::registrar;
use hatchway_wire::catalog::etcd::{EtcdArgs, EtcdError};
use tokio::runtime::Runtime;

use crate::failure::{Failure, Outcome};
use crate::output;

/// What all say that are alive, and who is registered.
pub(crate) fn in_etcd(etcd: &EtcdArgs) -> Result<(Followers, Nodes), Failure> {
    let config = etcd.check().map_err(|error| Failure::Settings(error.to_string()))?;
    let asked = runtime()?.block_on(async {
        let followers = FollowerView::of_gateways(&config).await?.list().await?;
        Ok((followers, registrar::registered(&config).await?))
    });
    asked.map_err(|error: EtcdError| {
        let what = "could not ask etcd what gateways and nodes say".to_owned();
        Failure::Unavailable { what, source: Box::new(error) }
    })
}

/// Shows every live gateway, and what it has refused.
pub(crate) fn show(followers: &Followers, is_json: bool) -> Outcome {
    if is_json {
        return output::json(followers);
    }
    if followers.is_empty() {
        return output::line("no gateway is alive");
    }
    let now = unix_ms();
    let mut table = output::table(&["GATEWAY", "REVISION", "APPLIED", "REFUSED", "PROGRAM"]);
    for (name, applied) in followers {
        let since = Duration::from_millis(now.saturating_sub(applied.at_unix_ms));
        table.add_row([
            name,
            &applied.revision.to_string(),
            &format!("{} ago", output::span(since)),
            &(applied.refused.len() + applied.more_refused).to_string(),
            &applied.version,
        ]);
    }
    output::show(&table)?;
    for (name, applied) in followers {
        for (key, why) in &applied.refused {
            output::line(&format!("{name} refuses {key}: {why}"))?;
        }
    }
    Ok(())
}

/// Shows every node that is registered.
pub(crate) fn show_nodes(nodes: &Nodes) -> Outcome {
    if nodes.is_empty() {
        return output::line("no node is registered");
    }
    let mut table =
        output::table(&["NODE", "STATE", "CAPACITY", "LABELS", "RUNTIMES", "ADDRESS", "PROGRAM"]);
    for (name, node) in nodes {
        let state = if node.is_draining { "draining" } else { "up" };
        table.add_row([
            name,
            state,
            &format!("{} MiB", node.capacity_mib),
            &labels(&node.labels),
            &node.runtimes.join(", "),
            &node.address,
            &node.version,
        ]);
    }
    output::show(&table)?;
    for (name, node) in nodes {
        failures(name, &node.failed_packages)?;
    }
    Ok(())
}

/// What a node could not get.
pub(crate) fn failures(node: &str, packages: &BTreeMap<String, String>) -> Outcome {
    for (digest, why) in packages {
        output::line(&format!("{node} has no package {digest}: {why}"))?;
    }
    Ok(())
}

/// As they are written on a command line.
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

/// For one thing after the other.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let what = "could not start a runtime".to_owned();
    runtime.map_err(|source| Failure::Io { what, source })
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
