//! Why a request would go where it goes.

use std::net::IpAddr;

use hatchway_wire::admin::{Reply, json, queries};

use super::GatewayApi;
use super::ask::Ask;
use super::refusal::Refusal;
use crate::explain::{Step, Typed};

impl GatewayApi {
    /// Decides as a gateway would, by the rules that it serves by.
    pub(super) fn explain(&self, ask: &Ask) -> Result<Reply, Refusal> {
        let url = ask.text("url").unwrap_or_default();
        let method = ask.text("method").unwrap_or_else(|| "GET".to_owned());
        let client = ask.text("client").map(|client| client.parse::<IpAddr>()).transpose();
        let client = client.map_err(|_| Refusal::bad("the client is no address"))?;
        let headers = queries(&ask.call.head, "header");
        let typed = Typed { method: &method, url: &url, headers: &headers, client };
        let explained = typed.explain(&self.catalog.snapshot());
        let mut explanation = explained.map_err(Refusal::bad)?;
        if let (Some(node), Some(version)) = (&self.node, &explanation.version) {
            explanation.steps.extend(node.explain(version));
        }
        if let (Some(fleet), Some(version)) = (&self.fleet, &explanation.version)
            && let Some((decision, because)) = fleet.explain(version, explanation.lane.as_deref())
        {
            explanation.steps.push(Step { stage: "place", decision, because });
        }
        Ok(json(&explanation))
    }
}
