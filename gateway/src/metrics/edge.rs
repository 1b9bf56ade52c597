//! What the gateway counts of itself.

use hatchway_proto::catalog::Requests;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::families;
use super::scrape::Scrape;
use crate::catalog::Catalog;

/// The gateway's own counts, and the way to those of what it serves.
#[derive(Debug)]
pub struct EdgeMetrics {
    catalog: Catalog,
    /// Heads that broke a rule.
    pub bad_heads: IntCounter,
    refusals: IntCounterVec,
    connections: IntGauge,
    /// Requests that are missing in the access log.
    pub access_log_dropped: IntCounter,
    /// Spans that were not sent.
    pub spans_dropped: IntCounter,
    /// TLS handshakes.
    pub(crate) handshakes: IntCounterVec,
}

impl EdgeMetrics {
    /// Registers them, and the counts of all functions of `catalog`.
    ///
    /// # Panics
    /// When they are registered already: a registry has one gateway.
    pub fn register(registry: &Registry, catalog: &Catalog) -> Self {
        let counters = |name: &str, help: &str, label: &str| {
            let family = IntCounterVec::new(Opts::new(name, help), &[label]);
            registered(registry, family.expect("the names are good"))
        };
        let scrape = Scrape::new(catalog.clone(), families::all());
        registry.register(Box::new(scrape)).expect("a registry has one gateway");
        let bad_heads =
            IntCounter::new("gateway_bad_heads_total", "Heads that broke a rule of HTTP.");
        Self {
            catalog: catalog.clone(),
            bad_heads: registered(registry, bad_heads.expect("the name is good")),
            refusals: counters(
                "gateway_refusals_total",
                "Answers made before a function was found, by reason.",
                "reason",
            ),
            connections: registered(
                registry,
                IntGauge::new("gateway_connections", "Connections of clients.")
                    .expect("the name is good"),
            ),
            access_log_dropped: registered(
                registry,
                IntCounter::new(
                    "gateway_access_log_dropped_total",
                    "Requests without a line in the access log: it was slower than they, or could not be written.",
                )
                .expect("the name is good"),
            ),
            spans_dropped: registered(
                registry,
                IntCounter::new(
                    "gateway_spans_dropped_total",
                    "Spans that were not sent: the collector was slower than requests, or away.",
                )
                .expect("the name is good"),
            ),
            handshakes: counters(
                "gateway_tls_handshakes_total",
                "TLS handshakes by how they ended: full, resumed, plain, slow, left, failed.",
                "result",
            ),
        }
    }

    /// Counts a connection for as long as the result lives.
    pub(crate) fn connected(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }

    /// Counts an answer that no function had a part in.
    pub fn refused(&self, reason: &str) {
        self.refusals.with_label_values(&[reason]).inc();
    }

    /// All requests, and those that failed: of all functions that are served, and of none. Walks every counter that there is.
    pub fn total(&self) -> Requests {
        let refused = self.refusals.collect();
        let refused = refused.iter().flat_map(|family| family.get_metric());
        // Whole numbers, far below 2^53.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts of requests"
        )]
        let refused: u64 = refused.map(|metric| metric.get_counter().get_value() as u64).sum();
        let snapshot = self.catalog.snapshot();
        snapshot.targets.iter().fold(Requests { all: refused, failed: refused }, |sum, target| {
            let (all, failed) = (target.metrics.requests(), target.metrics.errors());
            Requests { all: sum.all + all, failed: sum.failed + failed }
        })
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect("a registry has one gateway");
    collector
}

/// A connection that is counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Connected(IntGauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}
