//! A request as a person types it: what a client would send, so that what is explained is what would be served.

use std::net::IpAddr;

use hatchway_proto::http1::{Limits, parse_request};

use super::{Explanation, explain};
use crate::catalog::Snapshot;
use crate::route::Asked;

/// A request that nobody sends.
#[derive(Clone, Debug)]
pub struct Typed<'t> {
    /// Its method.
    pub method: &'t str,
    /// With or without a host.
    pub url: &'t str,
    /// Each as `NAME: VALUE`.
    pub headers: &'t [String],
    /// Who sends it.
    pub client: Option<IpAddr>,
}

impl Typed<'_> {
    /// Decides about it as a gateway would that serves by `snapshot`.
    ///
    /// # Errors
    /// Why it is no request.
    pub fn explain(&self, snapshot: &Snapshot) -> Result<Explanation, String> {
        let url: http::Uri = self.url.parse().map_err(|_| "the url is no URL".to_owned())?;
        let head = head_of(self.method, &url, self.headers);
        let parsed = parse_request(head.as_bytes(), &Limits::default());
        let parsed =
            parsed.map_err(|error| format!("the gateway would refuse this head: {error}"))?;
        let head = parsed.ok_or("the request is not complete")?;
        Ok(explain(snapshot, Asked { head: &head, client: self.client }))
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
