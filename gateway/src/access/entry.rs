//! What the line of a request will say, while the request is under way.

use std::cell::OnceCell;

use hatchway_proto::failure::{FAILURE_FIELD, Failure, Told};
use hatchway_proto::http1::{RequestHead, ResponseHead, Version};
use hatchway_wire::account::Account;
use hatchway_wire::http1::Peer;
use hatchway_wire::scratch;

use crate::trigger;

/// Of a field of the client's own choice, no more than this.
const FIELD_BYTES: usize = 1024;

/// What is noted of one request.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) peer: Peer<'static>,
    /// None where the head was not one.
    pub(super) version: Option<Version>,
    pub(super) trace_id: u128,
    /// The texts of the head, one behind the other, in the order of [`Text`].
    pub(super) texts: Vec<u8>,
    pub(super) ends: [usize; Text::OF_HEAD],
    /// Why the platform answered in place of the function.
    failure: OnceCell<(Box<str>, Box<str>)>,
    /// What a node in another program said of how it served.
    pub(super) account: OnceCell<Account>,
    /// Which node was asked last.
    pub(super) node: Option<Box<str>>,
}

/// The texts of a line, in the order in which they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Method,
    Host,
    Path,
    Query,
    UserAgent,
    RequestId,
    Function,
    Node,
    Error,
    Reason,
}

impl Text {
    /// How many of them come from the head of the request.
    pub(super) const OF_HEAD: usize = Self::UserAgent as usize + 1;
    /// All of them.
    pub(super) const COUNT: usize = Self::Reason as usize + 1;
}

impl Entry {
    /// Notes what the head says, before the core's buffer gets its next bytes.
    pub(super) fn new(head: &RequestHead<'_>, peer: Peer<'_>, with_query: bool) -> Self {
        let query = head.query.filter(|_| with_query).unwrap_or_default();
        let user_agent = head.field("user-agent").unwrap_or_default();
        let user_agent = &user_agent[..user_agent.len().min(FIELD_BYTES)];
        let parts =
            [head.method.as_bytes(), head.host.as_bytes(), head.path.as_bytes(), query.as_bytes()];
        let mut texts = scratch::take();
        let mut ends = [0; Text::OF_HEAD];
        for (part, end) in parts.into_iter().chain([user_agent]).zip(&mut ends) {
            texts.extend_from_slice(part);
            *end = texts.len();
        }
        Self {
            peer: peer.without_credential(),
            version: Some(head.version),
            trace_id: trigger::given_trace(head).map_or(0, |given| given.trace_id),
            texts,
            ends,
            failure: OnceCell::new(),
            account: OnceCell::new(),
            node: None,
        }
    }

    /// Of a connection that has brought no request.
    pub(super) fn without_head(peer: Peer<'_>) -> Self {
        Self {
            peer: peer.without_credential(),
            version: None,
            trace_id: 0,
            texts: Vec::new(),
            ends: [0; Text::OF_HEAD],
            failure: OnceCell::new(),
            account: OnceCell::new(),
            node: None,
        }
    }

    /// The platform answers.
    pub(crate) fn failed(&self, failure: &Failure) {
        // The first reason is the one that the client is told.
        let _ = self.failure.set((failure.error.token().into(), failure.reason.into()));
    }

    /// Reads in the answer of a node what it says to us and not to the client.
    pub(crate) fn answered(&self, head: &ResponseHead<'_>) {
        let text = |name| head.field(name).and_then(|value| std::str::from_utf8(value).ok());
        if let Some(account) = text(Account::FIELD).and_then(Account::parse) {
            // An answer has one head.
            let _ = self.account.set(account);
        }
        if let Some(told) = head.field(FAILURE_FIELD).and_then(Told::parse) {
            // Beside that field the other one is the node's own (RFC 9209 section 2.1.1).
            let error = text("proxy-status").and_then(|status| status.split("error=").nth(1));
            let error = error.and_then(|error| error.split(';').next()).unwrap_or_default();
            let _ = self.failure.set((error.into(), told.reason.into()));
        }
    }

    /// This node was asked.
    pub(crate) fn asked(&mut self, node: Option<Box<str>>) {
        self.node = node;
    }

    pub(super) fn failure(&self) -> Option<(&str, &str)> {
        self.failure.get().map(|(error, reason)| (&**error, &**reason))
    }
}
