//! Why a function is not led where it wants to go, and what it is told.

use std::io;

use hatchway_proto::catalog::{Destination, Host};
use hatchway_proto::failure::{Component, Failure, ProxyError};
use hatchway_proto::name::FunctionName;

use super::address::Ground;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Request(String),
    #[error(
        "{function} may not reach {destination}: its `egress` would have to list \"{destination}\""
    )]
    NotListed { function: FunctionName, destination: Destination },
    /// Which address is not said: what names stand for inside is nobody's business.
    #[error(
        "{host} is {}, to which nobody is led unless the node is started with --egress-allow and its network",
        .ground.words()
    )]
    Address { host: Host, ground: Ground },
    #[error("{host} was not found")]
    Unresolved { host: Host, source: io::Error },
    #[error("{destination} cannot be reached: {source}")]
    Unreachable { destination: Destination, source: io::Error },
}

impl Refusal {
    /// Its word in metrics and answers.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Request(_) => "egress-request",
            Self::NotListed { .. } => "egress-not-listed",
            Self::Address { .. } => "egress-address",
            Self::Unresolved { .. } => "egress-unresolved",
            Self::Unreachable { .. } => "egress-unreachable",
        }
    }

    /// As the platform tells every failure of its own.
    pub(super) fn failure(&self) -> Failure {
        let (status, error) = match self {
            Self::Request(_) => (400, ProxyError::HttpRequestError),
            Self::NotListed { .. } => (403, ProxyError::HttpRequestDenied),
            Self::Address { .. } => (403, ProxyError::DestinationIpProhibited),
            Self::Unresolved { .. } => (502, ProxyError::DnsError),
            Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::TimedOut => {
                (504, ProxyError::ConnectionTimeout)
            }
            Self::Unreachable { .. } => (502, ProxyError::DestinationUnavailable),
        };
        Failure::new(status, error, Component::Node, self.reason(), self.to_string())
    }
}
