//! The admin API of a gateway: what operators read of it, and how they change the rules, as HTTP and JSON.
//!
//! [`operations`] is the one table: each [`operation`] with its path, its parameters, its types and who answers it. Requests
//! are routed by it ([`ask`] reads what they say), and [`openapi`] writes the document from it. The answers are in
//! [`status`] and [`explain`] (this gateway), [`objects`] (the rules), [`write`] and [`change`] (what becomes of them), [`past`] (their history), [`rehearsal`] (what a change would do) and [`rollouts`];
//! [`refusal`] says why not.

mod ask;
mod change;
mod explain;
mod objects;
mod openapi;
mod operation;
mod operations;
mod past;
mod refusal;
mod rehearsal;
mod rollouts;
mod status;
mod write;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};

use hatchway_wire::admin::{Api, Call, Pending};
use hatchway_wire::catalog::{SourceArgs, StatusReader};
use prometheus::Registry;

use self::operation::routed;
use crate::catalog::Catalog;
use crate::forward::Fleet;
use crate::rehearse::Heads;

pub use openapi::document;
pub use status::{NodeCounts, NodeView, urls};

/// What a gateway tells operators, and does for them.
pub struct GatewayApi {
    /// The program's name.
    pub program: &'static str,
    /// Where clients connect.
    pub listen: String,
    /// How the source of rules is doing.
    pub source: StatusReader,
    /// Where rules are read and written; none where they come from projects of this machine.
    pub rules: Option<SourceArgs>,
    /// The rules, as they are served.
    pub catalog: Catalog,
    /// All metrics.
    pub registry: Registry,
    /// When the program started.
    pub started: (SystemTime, Instant),
    /// The node in this process.
    pub node: Option<Arc<dyn NodeView>>,
    /// Heads of recent requests, where they are kept.
    pub heads: Option<Arc<Heads>>,
    /// Nodes in other processes.
    pub fleet: Option<Fleet>,
    /// Set once this gateway leaves: whoever spreads requests should send it no more.
    pub is_leaving: Arc<AtomicBool>,
}

impl fmt::Debug for GatewayApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayApi").field("listen", &self.listen).finish_non_exhaustive()
    }
}

impl Api for GatewayApi {
    fn call(self: Arc<Self>, call: Call) -> Pending {
        Box::pin(async move {
            match routed(self, call).await {
                Ok(reply) => reply,
                Err(refusal) => refusal.into(),
            }
        })
    }
}
