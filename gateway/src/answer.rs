//! Stage 11: each reason to answer in place of the function becomes a status here, and nowhere else.

use std::time::Duration;

use hatchway_proto::failure::{Component, DEGRADABLE, Failure, ProxyError};
use hatchway_proto::http1::HeadError;
use hatchway_wire::http1::{Broken, Cause, Refused};

use crate::accept::Full;

/// Why the gateway answered in place of the function.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// No route leads to a function.
    #[error("no route leads from this host and path to a function")]
    NoRoute,
    /// Its connection was made for a host with another certificate.
    #[error("this connection was made for another host: connect anew")]
    Misdirected,
    /// A route leads to a function that has no release.
    #[error("the function has no version that serves")]
    NoRelease,
    /// It asks for a version by a tag that its function does not have.
    #[error("the function has no version with this tag")]
    NoTag,
    /// The function's rate limit.
    #[error("the function takes {per_second} requests a second")]
    RateLimited {
        /// The limit.
        per_second: u32,
        /// When the next request passes.
        retry_after: Duration,
    },
    /// As many calls of the function wait for their turn as may.
    #[error("{depth} requests wait for their turn, as many as may")]
    LineFull {
        /// Its queue.
        depth: u32,
    },
    /// Its turn did not come in time.
    #[error("{most} requests of the function are in flight, and none has ended in time")]
    LineClock {
        /// As many as may.
        most: u32,
    },
    /// No node could be reached.
    #[error("no node can be reached")]
    NoNode,
    /// The core has as much under way as it may.
    #[error("this gateway has {limit} requests under way, as many as it may")]
    Busy {
        /// Requests of one core.
        limit: usize,
    },
    /// The process is as large as it may be.
    #[error("this gateway holds as much memory as it may")]
    NoMemory {
        /// Bytes.
        limit: u64,
    },
}

impl CallError {
    /// What the client is told.
    pub fn failure(&self) -> Failure {
        let failure = |status, error, reason| {
            Failure::new(status, error, Component::Gateway, reason, self.to_string())
        };
        match self {
            Self::NoRoute => failure(404, ProxyError::DestinationNotFound, "no-route"),
            Self::Misdirected => failure(421, ProxyError::HttpRequestError, "misdirected"),
            Self::NoRelease => failure(404, ProxyError::DestinationNotFound, "no-release"),
            Self::NoTag => failure(404, ProxyError::DestinationNotFound, "no-tag"),
            Self::RateLimited { retry_after, .. } => {
                failure(429, ProxyError::HttpRequestDenied, "rate-limited")
                    .retry_after(*retry_after)
            }
            Self::LineFull { .. } => failure(503, ProxyError::ConnectionLimitReached, "queue-full")
                .retry_after(Duration::from_secs(1)),
            Self::LineClock { .. } => {
                failure(503, ProxyError::ConnectionLimitReached, "queue-clock")
                    .retry_after(Duration::from_secs(1))
            }
            Self::NoNode => failure(503, ProxyError::DestinationUnavailable, "no-node")
                .retry_after(Duration::from_secs(1)),
            Self::Busy { .. } => {
                failure(503, ProxyError::ConnectionLimitReached, "too-many-requests-under-way")
                    .retry_after(Duration::from_secs(1))
            }
            Self::NoMemory { .. } => {
                failure(503, ProxyError::ConnectionLimitReached, "no-memory-left")
                    .retry_after(Duration::from_secs(1))
            }
        }
    }
}

/// What a client is told whose head could not be served.
pub fn refused(why: &Refused) -> Failure {
    match why {
        Refused::Head(error) => head(error),
        Refused::TooSlow => Failure::new(
            408,
            ProxyError::HttpRequestError,
            Component::Gateway,
            "slow-head",
            why.to_string(),
        ),
    }
}

/// What a client is told that sends a request in plain where TLS is spoken.
pub fn wants_tls() -> Failure {
    let detail = "this port speaks TLS: use https";
    Failure::new(400, ProxyError::HttpRequestError, Component::Gateway, "plain-http", detail)
}

/// What a client is told for whose connection there is no room.
pub fn full(why: Full) -> Failure {
    let reason = match why {
        Full::House => "too-many-connections",
        Full::Address => "too-many-connections-of-address",
        Full::Memory => "no-memory-left",
    };
    let error = ProxyError::ConnectionLimitReached;
    Failure::new(503, error, Component::Gateway, reason, why.to_string())
        .retry_after(Duration::from_secs(1))
}

fn head(error: &HeadError) -> Failure {
    Failure::new(
        error.status(),
        ProxyError::HttpRequestError,
        Component::Gateway,
        error.code(),
        error.to_string(),
    )
}

/// What a client is told of a failure of its node in the place of which nothing else could be put after all.
pub fn told_by_node(reason: &'static str) -> Failure {
    let meaning = DEGRADABLE.iter().find(|(word, _)| *word == reason).map_or("", |(_, text)| text);
    Failure::new(503, ProxyError::DestinationUnavailable, Component::Node, reason, meaning)
}

/// What a caller is told, if it can still be told, when the node has ended an answer for its time.
pub fn cut_by_clock() -> Failure {
    let detail = "the function took longer than a clock of its node allows";
    Failure::new(504, ProxyError::HttpResponseTimeout, Component::Node, "clock", detail)
}

/// What a client is told when the exchange with a remote node broke before an answer began.
pub fn node_lost(broken: &Broken) -> Failure {
    let failure = |status, error, reason| {
        Failure::new(status, error, Component::Gateway, reason, broken.cause.to_string())
    };
    match &broken.cause {
        Cause::ClientBody(error) => {
            failure(error.status(), ProxyError::HttpRequestError, error.code())
        }
        Cause::ClientStalled => failure(408, ProxyError::HttpRequestError, "slow-body"),
        Cause::FirstByteClock => failure(504, ProxyError::HttpResponseTimeout, "first-byte-clock"),
        Cause::IdleClock => failure(504, ProxyError::HttpResponseTimeout, "idle-clock"),
        Cause::RunClock => failure(504, ProxyError::HttpResponseTimeout, "run-clock"),
        Cause::BadAnswer(_) | Cause::BadBody(_) | Cause::UnwantedUpgrade | Cause::Declined => {
            failure(502, ProxyError::HttpProtocolError, "bad-node-answer")
        }
        Cause::ClientGone | Cause::UpstreamClosed | Cause::UpstreamIo(_) => {
            failure(502, ProxyError::ConnectionTerminated, "node-lost")
        }
    }
}

/// The reason that is counted for an answer which broke after its head: too late for a status, it was cut. None when that
/// was the client's own doing.
pub fn cut(cause: &Cause) -> Option<&'static str> {
    match cause {
        Cause::ClientGone => None,
        Cause::ClientBody(error) => Some(error.code()),
        Cause::ClientStalled => Some("slow-body"),
        Cause::FirstByteClock => Some("first-byte-clock"),
        Cause::IdleClock => Some("idle-clock"),
        Cause::RunClock => Some("run-clock"),
        Cause::BadAnswer(_) | Cause::UnwantedUpgrade | Cause::Declined => Some("bad-answer"),
        Cause::BadBody(_) | Cause::UpstreamClosed | Cause::UpstreamIo(_) => Some("cut-short"),
    }
}
