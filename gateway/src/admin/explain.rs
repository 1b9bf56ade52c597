//! Why a request would go where it goes.

use std::net::IpAddr;

use hatchway_proto::http1::{Limits, parse_request};
use hatchway_wire::admin::{Reply, json, queries};

use super::GatewayApi;
use super::ask::Ask;
use super::refusal::Refusal;
use crate::explain::explain;
use crate::route::Asked;

impl GatewayApi {
    /// Decides as a gateway would, by the rules that it serves by.
    pub(super) fn explain(&self, ask: &Ask) -> Result<Reply, Refusal> {
        let url = ask.text("url").unwrap_or_default();
        let url = url.parse::<http::Uri>().map_err(|_| Refusal::bad("the url is no URL"))?;
        let method = ask.text("method").unwrap_or_else(|| "GET".to_owned());
        let client = ask.text("client").map(|client| client.parse::<IpAddr>()).transpose();
        let client = client.map_err(|_| Refusal::bad("the client is no address"))?;
        let head = head_of(&method, &url, &queries(&ask.call.head, "header"));
        let parsed = parse_request(head.as_bytes(), &Limits::default()).map_err(|error| {
            Refusal::bad(format!("the gateway would refuse this head: {error}"))
        })?;
        let Some(head) = parsed else {
            return Err(Refusal::bad("the request is not complete"));
        };
        let asked = Asked { head: &head, client };
        let mut explanation = explain(&self.catalog.snapshot(), asked);
        if let (Some(node), Some(version)) = (&self.node, &explanation.version) {
            explanation.steps.extend(node.explain(version));
        }
        Ok(json(&explanation))
    }
}

/// The head that a client would send: what is explained is what would be served.
fn head_of(method: &str, url: &http::Uri, headers: &[String]) -> String {
    let target = url.path_and_query().map_or("/", |target| target.as_str());
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    let names_host = |header: &String| header.to_ascii_lowercase().starts_with("host:");
    if !headers.iter().any(names_host) {
        let host = url.authority().map_or("localhost", |authority| authority.as_str());
        head.push_str(&format!("Host: {host}\r\n"));
    }
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    head
}
