//! What a gateway counts. Labelled by function at most, never by request or client.

use hatchway_proto::catalog::Requests;
use hatchway_proto::name::FunctionName;
use hatchway_wire::backend::Timing;
use hatchway_wire::http1::{Cause, Outcome};
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// From a warm call on the same machine to the longest default run clock.
const SECONDS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0, 60.0, 300.0,
];

const CLASSES: [&str; 6] = ["left", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Families of the gateway, and its own counts.
#[derive(Debug)]
pub struct EdgeMetrics {
    requests: IntCounterVec,
    in_flight: IntGaugeVec,
    seconds: HistogramVec,
    cold_start_seconds: HistogramVec,
    failures: IntCounterVec,
    degraded: IntCounterVec,
    mirrored: IntCounterVec,
    request_bytes: IntCounterVec,
    response_bytes: IntCounterVec,
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
    /// Registers the families.
    ///
    /// # Panics
    /// When they are registered already: a registry has one gateway.
    pub fn register(registry: &Registry) -> Self {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels);
            registered(registry, family.expect("the names are good"))
        };
        let histograms = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            let family = HistogramVec::new(options, &["function"]);
            registered(registry, family.expect("the names are good"))
        };
        let in_flight = Opts::new("gateway_requests_in_flight", "Requests under way.");
        let bad_heads =
            IntCounter::new("gateway_bad_heads_total", "Heads that broke a rule of HTTP.");
        Self {
            requests: counters(
                "gateway_requests_total",
                "Requests by the class of their answer; left is a client that did not wait.",
                &["function", "class"],
            ),
            in_flight: registered(
                registry,
                IntGaugeVec::new(in_flight, &["function"]).expect("the names are good"),
            ),
            seconds: histograms(
                "gateway_request_seconds",
                "From the complete head to the last byte of the answer.",
            ),
            cold_start_seconds: histograms(
                "gateway_cold_start_seconds",
                "What a request waited for a sandbox to start.",
            ),
            failures: counters(
                "gateway_failures_total",
                "Answers made in place of the function, or cut after its head, by reason.",
                &["function", "reason"],
            ),
            degraded: counters(
                "gateway_degraded_total",
                "Answers that took the place of a failure, by its reason.",
                &["function", "reason"],
            ),
            mirrored: counters(
                "gateway_mirrored_total",
                "Copies of requests by the class of their answer, or by why there was none.",
                &["function", "result"],
            ),
            request_bytes: counters(
                "gateway_request_bytes_total",
                "Bytes sent to functions, heads included.",
                &["function"],
            ),
            response_bytes: counters(
                "gateway_response_bytes_total",
                "Bytes sent to clients, heads included.",
                &["function"],
            ),
            bad_heads: registered(registry, bad_heads.expect("the name is good")),
            refusals: counters(
                "gateway_refusals_total",
                "Answers made before a function was found, by reason.",
                &["reason"],
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
                &["result"],
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

    /// All requests, and those that failed: of all functions, and of none. Walks every counter that there is.
    pub fn total(&self) -> Requests {
        let refused = sum(&self.refusals, |_| true);
        let answered = sum(&self.requests, |_| true);
        let is_error = |label: &str| label == "5xx";
        Requests { all: answered + refused, failed: sum(&self.requests, is_error) + refused }
    }

    /// The counts of one function, resolved once.
    pub fn function(&self, name: &FunctionName) -> FunctionMetrics {
        let name = name.as_str();
        FunctionMetrics {
            requests: CLASSES.map(|class| self.requests.with_label_values(&[name, class])),
            in_flight: self.in_flight.with_label_values(&[name]),
            seconds: self.seconds.with_label_values(&[name]),
            cold_start_seconds: self.cold_start_seconds.with_label_values(&[name]),
            failures: self.failures.clone(),
            degraded: self.degraded.clone(),
            mirrored: self.mirrored.clone(),
            request_bytes: self.request_bytes.with_label_values(&[name]),
            response_bytes: self.response_bytes.with_label_values(&[name]),
            name: name.into(),
        }
    }
}

/// The sum of those counters of a family that have a label of such a value.
fn sum(family: &IntCounterVec, wanted: impl Fn(&str) -> bool) -> u64 {
    let families = family.collect();
    let metrics = families.iter().flat_map(|family| family.get_metric());
    let wanted = metrics.filter(|metric| metric.get_label().iter().any(|it| wanted(it.value())));
    // Whole numbers, far below 2^53.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of requests"
    )]
    wanted.map(|metric| metric.get_counter().get_value() as u64).sum()
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

/// The class of a status, as metrics name it.
pub fn result_class(status: u16) -> &'static str {
    CLASSES[usize::from(status / 100).min(5)]
}

/// The client did not wait for the answer.
pub(crate) fn is_left(outcome: &Outcome) -> bool {
    matches!(outcome.broken, Some(Cause::ClientGone)) || outcome.status < 100
}

/// The counts of one function.
#[derive(Debug)]
pub struct FunctionMetrics {
    requests: [IntCounter; 6],
    /// Requests under way.
    pub in_flight: IntGauge,
    seconds: Histogram,
    cold_start_seconds: Histogram,
    failures: IntCounterVec,
    degraded: IntCounterVec,
    mirrored: IntCounterVec,
    request_bytes: IntCounter,
    response_bytes: IntCounter,
    name: Box<str>,
}

impl FunctionMetrics {
    /// Counts for a test, seen by nobody.
    pub fn unregistered() -> Self {
        let name = FunctionName::parse("test").expect("a good name");
        EdgeMetrics::register(&Registry::new()).function(&name)
    }

    /// Counts an answer made in place of the function, or one of its own that was cut.
    pub fn refused(&self, reason: &str) {
        self.failures.with_label_values(&[&*self.name, reason]).inc();
    }

    /// Counts an answer that took the place of a failure.
    pub fn degraded(&self, reason: &str) {
        self.degraded.with_label_values(&[&*self.name, reason]).inc();
    }

    /// Counts a copy of a request.
    pub fn mirrored(&self, result: &str) {
        self.mirrored.with_label_values(&[&*self.name, result]).inc();
    }

    /// Counts a request that is over.
    pub fn finish(&self, outcome: &Outcome, timing: Option<&Timing>) {
        let class = if is_left(outcome) { 0 } else { usize::from(outcome.status / 100).min(5) };
        self.requests[class].inc();
        self.seconds.observe(outcome.total.as_secs_f64());
        self.request_bytes.inc_by(outcome.request_bytes);
        self.response_bytes.inc_by(outcome.response_bytes);
        if let Some(start) = timing.and_then(|timing| timing.start.as_ref()) {
            self.cold_start_seconds.observe(start.total.as_secs_f64());
        }
    }

    /// All requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.iter().map(IntCounter::get).sum()
    }

    /// Those that were answered with 5xx.
    pub fn errors(&self) -> u64 {
        self.requests[5].get()
    }
}
