//! All that a line says, at the end of a request: fixed in size, beside its texts.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use hatchway_proto::http1::Version;
use hatchway_proto::name::{FunctionName, VersionId};
use hatchway_wire::account::Account;
use hatchway_wire::http1::{Cause, Outcome};

use super::entry::{Entry, Text};
use crate::answer;

/// One request that is over, with its texts in the batch that it is in.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) began: SystemTime,
    pub(super) client: Option<IpAddr>,
    pub(super) is_encrypted: bool,
    pub(super) protocol: Option<&'static str>,
    pub(super) trace_id: u128,
    pub(super) status: u16,
    pub(super) version: Option<VersionId>,
    pub(super) account: Option<Account>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) total: Duration,
    /// None when no byte of an answer was sent.
    pub(super) first_byte: Option<Duration>,
    pub(super) ended: Ended,
    /// Where each text ends in the batch; the first begins where the record before has ended.
    pub(super) ends: [usize; Text::COUNT],
}

/// How the answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Whole,
    ClientLeft,
    /// It could not be finished, and was cut where the client sees it.
    Cut,
}

/// What is known of a request once it is over.
#[derive(Debug)]
pub(super) struct Over<'a> {
    pub(super) entry: &'a Entry,
    pub(super) request_id: &'a str,
    pub(super) function: Option<&'a FunctionName>,
    pub(super) version: Option<VersionId>,
    pub(super) account: Option<Account>,
    pub(super) outcome: &'a Outcome,
}

impl Over<'_> {
    /// The record, but for where its texts will be.
    pub(super) fn record(&self, now: SystemTime) -> Record {
        let (entry, outcome) = (self.entry, self.outcome);
        let ended = match &outcome.broken {
            Some(Cause::ClientGone) => Ended::ClientLeft,
            Some(_) if !outcome.is_ours => Ended::Cut,
            Some(_) | None => Ended::Whole,
        };
        Record {
            began: now.checked_sub(outcome.total).unwrap_or(now),
            client: entry.peer.address.map(|address| address.to_canonical()),
            is_encrypted: entry.peer.is_encrypted,
            protocol: entry.version.map(|version| match version {
                _ if entry.peer.is_http2 => "HTTP/2",
                Version::Http11 => "HTTP/1.1",
                Version::Http10 => "HTTP/1.0",
            }),
            trace_id: entry.trace_id,
            status: outcome.status,
            version: self.version,
            account: self.account.or_else(|| entry.account.get().copied()),
            bytes_in: outcome.request_bytes,
            bytes_out: outcome.response_bytes,
            total: outcome.total,
            first_byte: (outcome.status != 0).then_some(outcome.first_byte),
            ended,
            ends: [0; Text::COUNT],
        }
    }

    /// The texts that were not in the head, in their order.
    pub(super) fn more_texts(&self) -> [&str; Text::COUNT - Text::OF_HEAD] {
        let (error, reason) = self.entry.failure().unwrap_or_default();
        let cut = self.outcome.broken.as_ref().and_then(answer::cut);
        let reason = if reason.is_empty() { cut.unwrap_or_default() } else { reason };
        let function = self.function.map(FunctionName::as_str).unwrap_or_default();
        let node = self.entry.node.as_deref().unwrap_or_default();
        [self.request_id, function, node, error, reason]
    }
}
