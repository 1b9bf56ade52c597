//! Rules change under way: gateways hear of a change at their own time, so a node serves what the rules before named for
//! a while longer, and waits a moment for a version that it has not heard of yet.

use std::sync::Arc;
use std::time::Duration;

use hatchway_proto::catalog::Objects;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use crate::node::Node;

/// How long what the rules before named is still served: the slowest gateway has heard of the change by then.
const OUTGOING: Duration = Duration::from_secs(10);

/// How long a request waits for word of a version that a gateway has sent it to.
pub(crate) const INCOMING: Duration = Duration::from_secs(2);

/// Serves what comes, one after the other, beside what went less than ten seconds ago.
pub async fn follow(node: &Node, mut changes: UnboundedReceiver<Arc<Objects>>) {
    loop {
        let end = node.first_left().map(|since| Instant::from_std(since + OUTGOING));
        tokio::select! {
            change = changes.recv() => {
                let Some(objects) = change else { return };
                node.apply(&objects);
            }
            () = async { sleep_until(end.unwrap_or_else(Instant::now)).await }, if end.is_some() => {
                node.forget(Instant::now().into_std() - OUTGOING);
            }
        }
    }
}
