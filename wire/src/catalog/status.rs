//! What a source says of itself: to operators as JSON, to monitoring as metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge, Registry};
use serde::Serialize;

/// Objects that were refused, by key, each with the reason.
pub type Quarantine = Arc<BTreeMap<String, String>>;

/// How a source is doing.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Status {
    /// Which one: a path, or the addresses.
    pub source: String,
    /// Whether it is there.
    pub link: Link,
    /// The source's own count of changes, as far as it is known here; 0 where it has none.
    pub source_revision: i64,
    /// The source's revision of the last change that is taken in: what is served, or refused.
    pub applied_revision: i64,
    /// Which etcd cluster, in hex; empty where there is none, or none was reached yet.
    pub cluster: String,
    /// What is served was read from this machine's disk and the source has not been heard since.
    pub from_disk: bool,
    /// The revision of a change that is tried here before others serve by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_trial: Option<i64>,
    /// Why objects are kept that the source does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Objects that were refused. Of each, the last good form is served, where there was one.
    pub quarantined: Quarantine,
    /// What has happened so far.
    pub counts: Counts,
}

/// Whether the source is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Link {
    /// Not reached yet.
    Connecting,
    /// Changes are heard.
    Connected {
        /// Milliseconds since 1970.
        since_unix_ms: u64,
    },
    /// Changes are not heard; what was known is served.
    Lost {
        /// Milliseconds since 1970.
        since_unix_ms: u64,
        /// What happened.
        why: String,
    },
}

/// What has happened so far, since the start of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Counts {
    /// Connections lost, or not made.
    pub losses: u64,
    /// Everything read anew: after each connect, a compaction, a difference found.
    pub relists: u64,
    /// Compares of all keys.
    pub compares: u64,
    /// Differences that a compare has found, which no event had told of.
    pub drifts: u64,
    /// When the source was last heard, in seconds since 1970.
    pub heard_unix_s: u64,
}

impl Status {
    /// Of a source that has not been reached yet.
    pub(super) fn new(source: String) -> Self {
        Self {
            source,
            link: Link::Connecting,
            source_revision: 0,
            applied_revision: 0,
            cluster: String::new(),
            from_disk: false,
            on_trial: None,
            held: None,
            quarantined: Arc::default(),
            counts: Counts::default(),
        }
    }

    /// The source was heard just now.
    pub(super) fn heard(&mut self) {
        let now = unix_ms();
        self.counts.heard_unix_s = now / 1000;
        if !matches!(self.link, Link::Connected { .. }) {
            self.link = Link::Connected { since_unix_ms: now };
        }
    }

    /// The source was lost just now; a loss while it is lost already keeps its beginning.
    pub(super) fn lost(&mut self, why: String) {
        self.counts.losses += 1;
        let since_unix_ms = match self.link {
            Link::Lost { since_unix_ms, .. } => since_unix_ms,
            Link::Connecting | Link::Connected { .. } => unix_ms(),
        };
        self.link = Link::Lost { since_unix_ms, why };
    }
}

/// Milliseconds since 1970, for people: nothing is decided by it.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The status in numbers.
#[derive(Debug)]
pub struct SourceMetrics {
    connected: IntGauge,
    revision: IntGauge,
    heard: IntGauge,
    quarantined: IntGauge,
    held: IntGauge,
    from_disk: IntGauge,
    losses: IntCounter,
    relists: IntCounter,
    drifts: IntCounter,
}

impl SourceMetrics {
    /// Registers them.
    ///
    /// # Panics
    /// When they are registered already: a registry has one source.
    pub fn register(registry: &Registry) -> Self {
        let gauge = |name: &str, help: &str| registered(registry, IntGauge::new(name, help));
        let counter = |name: &str, help: &str| registered(registry, IntCounter::new(name, help));
        Self {
            connected: gauge("catalog_source_connected", "1 while changes of the rules are heard."),
            revision: gauge(
                "catalog_source_revision",
                "The source's count of changes, as known here.",
            ),
            heard: gauge(
                "catalog_source_heard_timestamp_seconds",
                "When the source was last heard.",
            ),
            quarantined: gauge("catalog_quarantined_objects", "Objects that were refused."),
            held: gauge(
                "catalog_held",
                "1 while objects are kept that an emptied source does not have.",
            ),
            from_disk: gauge(
                "catalog_from_disk",
                "1 while rules from this machine's disk are served and the source was not heard.",
            ),
            losses: counter("catalog_source_losses_total", "Connections lost, or not made."),
            relists: counter("catalog_relists_total", "Everything read anew."),
            drifts: counter(
                "catalog_drifts_total",
                "Differences that a compare found and no event told of.",
            ),
        }
    }

    /// Shows `status`.
    pub fn show(&self, status: &Status) {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.connected.set(i64::from(matches!(status.link, Link::Connected { .. })));
        self.revision.set(status.source_revision);
        self.heard.set(signed(status.counts.heard_unix_s));
        self.quarantined.set(i64::try_from(status.quarantined.len()).unwrap_or(i64::MAX));
        self.held.set(i64::from(status.held.is_some()));
        self.from_disk.set(i64::from(status.from_disk));
        for (counter, total) in [
            (&self.losses, status.counts.losses),
            (&self.relists, status.counts.relists),
            (&self.drifts, status.counts.drifts),
        ] {
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}

pub(super) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let metric = made.expect("the names are good");
    registry.register(Box::new(metric.clone())).expect("a registry has one source of rules");
    metric
}
