//! A failure made by the platform: what the caller is told, in one form for every program of ours.

mod reason;

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

pub use reason::{DEGRADABLE, FAILURE_FIELD, Told, degradable};

/// The part of the platform that failed, or that noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// Level one.
    Gateway,
    /// Level two.
    Node,
    /// The function's process, or its start.
    Sandbox,
}

/// Error tokens of RFC 9209 section 2.3 that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// No route leads there.
    DestinationNotFound,
    /// It cannot be started now.
    DestinationUnavailable,
    /// A name was not found.
    DnsError,
    /// A name leads to an address that nobody is led to.
    DestinationIpProhibited,
    /// Refused by policy, a rate limit for example.
    HttpRequestDenied,
    /// The request itself is wrong.
    HttpRequestError,
    /// No room.
    ConnectionLimitReached,
    /// Lost on the way.
    ConnectionTerminated,
    /// The start took too long.
    ConnectionTimeout,
    /// The answer took too long.
    HttpResponseTimeout,
    /// The answer was cut.
    HttpResponseIncomplete,
    /// The answer is no HTTP.
    HttpProtocolError,
    /// Our own fault.
    ProxyInternalError,
}

impl ProxyError {
    /// The registered token.
    pub fn token(self) -> &'static str {
        match self {
            Self::DestinationNotFound => "destination_not_found",
            Self::DestinationUnavailable => "destination_unavailable",
            Self::DnsError => "dns_error",
            Self::DestinationIpProhibited => "destination_ip_prohibited",
            Self::HttpRequestDenied => "http_request_denied",
            Self::HttpRequestError => "http_request_error",
            Self::ConnectionLimitReached => "connection_limit_reached",
            Self::ConnectionTerminated => "connection_terminated",
            Self::ConnectionTimeout => "connection_timeout",
            Self::HttpResponseTimeout => "http_response_timeout",
            Self::HttpResponseIncomplete => "http_response_incomplete",
            Self::HttpProtocolError => "http_protocol_error",
            Self::ProxyInternalError => "proxy_internal_error",
        }
    }
}

/// Why the platform answered in place of the function.
#[derive(Clone, Debug)]
pub struct Failure {
    /// HTTP status.
    pub status: u16,
    /// What RFC 9209 calls it.
    pub error: ProxyError,
    /// A short kebab-case name, the same in metrics, logs and the answer.
    pub reason: &'static str,
    /// One sentence for a person; holds no path of the node and no secret.
    pub detail: Cow<'static, str>,
    /// Who failed.
    pub component: Component,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that does not invite another try.
    pub fn new(
        status: u16,
        error: ProxyError,
        component: Component,
        reason: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, error, reason, detail: detail.into(), component, retry_after: None }
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The value of `Proxy-Status` (RFC 9209 section 2).
    pub fn proxy_status(&self) -> String {
        format!("hatchway; error={}; details=\"{}\"", self.error.token(), self.reason)
    }

    /// The value of `Retry-After` in whole seconds, at least one (RFC 9110 section 10.2.3).
    pub fn retry_after_seconds(&self) -> Option<String> {
        self.retry_after.map(|after| after.as_millis().div_ceil(1000).max(1).to_string())
    }

    /// The body, as `application/problem+json` (RFC 9457).
    pub fn problem(&self, request_id: &str, title: &str) -> Vec<u8> {
        #[derive(Serialize)]
        struct Problem<'a> {
            r#type: &'a str,
            title: &'a str,
            status: u16,
            detail: &'a str,
            instance: &'a str,
            component: Component,
            reason: &'a str,
        }
        let problem = Problem {
            r#type: "about:blank",
            title,
            status: self.status,
            detail: &self.detail,
            instance: request_id,
            component: self.component,
            reason: self.reason,
        };
        serde_json::to_vec(&problem).expect("plain text fields serialise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_the_same_in_its_head_and_in_its_body() {
        let failure = Failure::new(
            502,
            ProxyError::HttpResponseIncomplete,
            Component::Sandbox,
            "oom",
            "the function used more memory than its limit",
        )
        .retry_after(Duration::from_millis(1));
        assert_eq!(
            failure.proxy_status(),
            "hatchway; error=http_response_incomplete; details=\"oom\""
        );
        assert_eq!(failure.retry_after_seconds().as_deref(), Some("1"));
        let problem = failure.problem("r-1", "Bad Gateway");
        let problem: serde_json::Value = serde_json::from_slice(&problem).unwrap();
        assert_eq!(problem["reason"], "oom");
        assert_eq!(problem["component"], "sandbox");
        assert_eq!(problem["instance"], "r-1");
    }
}
