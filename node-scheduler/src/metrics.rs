//! What a node counts: the life of sandboxes as it happens, their number when somebody asks.

use hatchway_proto::name::FunctionName;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::egress::Moved;
use crate::hatch::ProcessHatchery;
use crate::pool::{Exit, Pool, PoolEvent};
use crate::zygote::Zygotes;

/// From a static binary to the default start clock.
const SECONDS: &[f64] =
    &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// Families of the node.
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    hatches: IntCounterVec,
    start_seconds: HistogramVec,
    phase_seconds: HistogramVec,
    tiers: IntCounterVec,
    tier_seconds: HistogramVec,
    reaps: IntCounterVec,
    deaths: IntCounterVec,
    adopted: IntCounterVec,
    /// Lines over the rate of their stream.
    pub log_lines_dropped: IntCounter,
}

/// Counts spans that were not sent.
///
/// # Panics
/// When it is registered already: a registry has one node.
pub fn spans_dropped(registry: &Registry) -> IntCounter {
    let dropped = IntCounter::new(
        "node_spans_dropped_total",
        "Spans that were not sent: the collector was slower than calls, or away.",
    );
    registered(registry, dropped.expect("the name is good"))
}

impl NodeMetrics {
    /// Registers the families.
    ///
    /// # Panics
    /// When they are registered already: a registry has one node.
    pub fn register(registry: &Registry) -> Self {
        let good = "the names are good";
        let counters = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels).expect(good))
        };
        let histograms = |name: &str, help: &str, label: &str| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            registered(registry, HistogramVec::new(options, &[label]).expect(good))
        };
        let dropped = IntCounter::new(
            "node_log_lines_dropped_total",
            "Lines that functions printed faster than the rate allows.",
        );
        Self {
            hatches: counters(
                "node_hatches_total",
                "Starts by their result: ok, or the reason of the failure.",
                &["function", "result"],
            ),
            start_seconds: histograms(
                "node_start_seconds",
                "From the order to hatch until the sandbox could answer.",
                "function",
            ),
            phase_seconds: histograms(
                "node_start_phase_seconds",
                "The parts of a start, over all functions.",
                "phase",
            ),
            tiers: counters(
                "node_starts_total",
                "Starts that came to serve, by what they were started from: fresh, nest or fork.",
                &["function", "tier"],
            ),
            tier_seconds: histograms(
                "node_start_tier_seconds",
                "From the order to hatch until the sandbox could answer, by what it was started from.",
                "tier",
            ),
            reaps: counters(
                "node_reaps_total",
                "Sandboxes that the node ended, by why.",
                &["function", "why"],
            ),
            deaths: counters(
                "node_deaths_total",
                "Sandboxes that ended by themselves, by how: code, signal or oom.",
                &["function", "how"],
            ),
            adopted: counters(
                "node_adopted_total",
                "Sandboxes that an earlier daemon has started and this one has taken over.",
                &["function"],
            ),
            log_lines_dropped: registered(registry, dropped.expect(good)),
        }
    }

    /// Counts one move in the life of a sandbox.
    pub fn count(&self, event: &PoolEvent) {
        let function = event.of().function.as_str();
        match event {
            PoolEvent::Hatching { .. } | PoolEvent::Left { .. } => {}
            PoolEvent::Adopted { .. } => self.adopted.with_label_values(&[function]).inc(),
            PoolEvent::Hatched { tier, phases, took, .. } => {
                self.tiers.with_label_values(&[function, tier]).inc();
                self.tier_seconds.with_label_values(&[tier]).observe(took.as_secs_f64());
                self.hatches.with_label_values(&[function, "ok"]).inc();
                self.start_seconds.with_label_values(&[function]).observe(took.as_secs_f64());
                for (phase, spent) in &phases.0 {
                    self.phase_seconds.with_label_values(&[phase]).observe(spent.as_secs_f64());
                }
            }
            PoolEvent::HatchFailed { failure, .. } => {
                self.hatches.with_label_values(&[function, failure.reason]).inc();
            }
            PoolEvent::Reaped { why, .. } => {
                self.reaps.with_label_values(&[function, why.word()]).inc();
            }
            PoolEvent::Died { exit, .. } => {
                let how = match exit {
                    Exit::Code(_) => "code",
                    Exit::Signal(_) => "signal",
                    Exit::OutOfMemory => "oom",
                };
                self.deaths.with_label_values(&[function, how]).inc();
            }
        }
    }
}

/// What is counted of zygotes.
#[derive(Clone, Debug)]
pub(crate) struct ZygoteMetrics {
    pub(crate) made: IntCounter,
    pub(crate) evicted: IntCounter,
    pub(crate) fallbacks: IntCounterVec,
}

impl ZygoteMetrics {
    /// Registers the families.
    ///
    /// # Panics
    /// When they are registered already: a registry has one node.
    pub(crate) fn register(registry: &Registry) -> Self {
        let good = "the names are good";
        let counter =
            |name: &str, help: &str| registered(registry, IntCounter::new(name, help).expect(good));
        let fallbacks = Opts::new(
            "node_start_fallbacks_total",
            "Starts that were ordinary ones because their version could not be forked, by why.",
        );
        Self {
            made: counter("node_zygotes_made_total", "Zygotes that came to be forked."),
            evicted: counter("node_zygotes_evicted_total", "Zygotes let go for want of memory."),
            fallbacks: registered(
                registry,
                IntCounterVec::new(fallbacks, &["reason"]).expect(good),
            ),
        }
    }
}

/// What is counted of stem cells.
#[derive(Clone, Debug)]
pub(crate) struct StemMetrics {
    pub(crate) made: IntCounter,
    pub(crate) misses: IntCounterVec,
    pub(crate) parked: IntGaugeVec,
    pub(crate) memory_bytes: IntGauge,
}

impl StemMetrics {
    /// Registers the families.
    ///
    /// # Panics
    /// When they are registered already: a registry has one node.
    pub(crate) fn register(registry: &Registry) -> Self {
        let good = "the names are good";
        let made = IntCounter::new("node_stem_cells_made_total", "Stem cells that have booted.");
        let misses = Opts::new(
            "node_stem_cell_misses_total",
            "Starts that a stem cell could have taken over and did not, by why.",
        );
        let parked = Opts::new("node_stem_cells", "Stem cells that wait, by runtime.");
        let memory_bytes = IntGauge::new(
            "node_stem_cell_memory_bytes",
            "Memory that stem cells use which wait, as measured.",
        );
        Self {
            made: registered(registry, made.expect(good)),
            misses: registered(registry, IntCounterVec::new(misses, &["reason"]).expect(good)),
            parked: registered(registry, IntGaugeVec::new(parked, &["runtime"]).expect(good)),
            memory_bytes: registered(registry, memory_bytes.expect(good)),
        }
    }
}

/// What is counted of the way out.
#[derive(Clone, Debug)]
pub(crate) struct EgressMetrics {
    requests: IntCounterVec,
    bytes: IntCounterVec,
    open: IntGaugeVec,
}

/// A connection of a function to the proxy, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl EgressMetrics {
    /// Registers the families.
    ///
    /// # Panics
    /// When they are registered already: a registry has one node.
    pub(crate) fn register(registry: &Registry) -> Self {
        let good = "the names are good";
        let counters = |name: &str, help: &str, labels: &[&str]| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), labels).expect(good))
        };
        let open = Opts::new(
            "node_egress_connections",
            "Connections of functions to the egress proxy that are open.",
        );
        Self {
            requests: counters(
                "node_egress_requests_total",
                "Requests and tunnels asked of the egress proxy, by result: ok, or why it was refused.",
                &["function", "result"],
            ),
            bytes: counters(
                "node_egress_bytes_total",
                "Bytes that functions have sent out and got in through the egress proxy.",
                &["function", "direction"],
            ),
            open: registered(registry, IntGaugeVec::new(open, &["function"]).expect(good)),
        }
    }

    pub(crate) fn count(&self, function: &FunctionName, result: &str) {
        self.requests.with_label_values(&[function.as_str(), result]).inc();
    }

    pub(crate) fn open(&self, function: &FunctionName) -> Open {
        let open = self.open.with_label_values(&[function.as_str()]);
        open.inc();
        Open(open)
    }

    pub(crate) fn moved(&self, function: &FunctionName) -> Moved {
        let bytes = |way| self.bytes.with_label_values(&[function.as_str(), way]);
        Moved { out: bytes("out"), into: bytes("in") }
    }
}

/// Counts what ordinary starts of Node had to do with records of compiled code.
///
/// # Panics
/// When it is registered already: a registry has one node.
pub(crate) fn code_records(registry: &Registry) -> IntCounterVec {
    let records = Opts::new(
        "node_code_records_total",
        "Records of compiled code: used, rejected (and thrown away), recorded, or unrecorded, by a start that ended too soon.",
    );
    registered(registry, IntCounterVec::new(records, &["result"]).expect("the names are good"))
}

/// What is counted of packages.
#[derive(Clone, Debug)]
pub(crate) struct PackageMetrics {
    pub(crate) fetches: IntCounterVec,
    pub(crate) seconds: Histogram,
    pub(crate) evicted: IntCounter,
    pub(crate) disk_bytes: IntGauge,
}

impl PackageMetrics {
    /// Registers the families.
    ///
    /// # Panics
    /// When they are registered already: a registry has one node.
    pub(crate) fn register(registry: &Registry) -> Self {
        let good = "the names are good";
        let fetches = Opts::new(
            "node_package_fetches_total",
            "Packages asked of the store, by result: ok, or the reason of the failure.",
        );
        let seconds = HistogramOpts::new(
            "node_package_fetch_seconds",
            "From the first byte asked of the store until all files were on the disk.",
        );
        let evicted =
            IntCounter::new("node_packages_evicted_total", "Packages removed for want of disk.");
        let disk_bytes =
            IntGauge::new("node_package_disk_bytes", "Disk that unpacked packages take.");
        Self {
            fetches: registered(registry, IntCounterVec::new(fetches, &["result"]).expect(good)),
            seconds: registered(
                registry,
                Histogram::with_opts(seconds.buckets(SECONDS.to_vec())).expect(good),
            ),
            evicted: registered(registry, evicted.expect(good)),
            disk_bytes: registered(registry, disk_bytes.expect(good)),
        }
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect("a registry has one node");
    collector
}

/// Hands every move in the life of sandboxes to `each`, for as long as the pool lives.
pub async fn follow(mut events: broadcast::Receiver<PoolEvent>, mut each: impl FnMut(&PoolEvent)) {
    loop {
        match events.recv().await {
            Ok(event) => each(&event),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "events of the pool were not counted");
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Says at scrape time how full the node is.
#[derive(Debug)]
pub struct PoolCollector {
    pool: Pool<ProcessHatchery>,
    sandboxes: IntGaugeVec,
    memory_bytes: IntGaugeVec,
    queued: IntGaugeVec,
    slots_free: IntGauge,
    hatches_pending: IntGauge,
    used_permille: IntGauge,
    memory_budget_bytes: IntGauge,
    memory_reserved_bytes: IntGauge,
    zygotes: IntGaugeVec,
    zygote_memory_bytes: IntGauge,
    kept: Zygotes,
}

impl PoolCollector {
    /// Over a pool, and what its sandboxes are forked from.
    pub(crate) fn new(pool: Pool<ProcessHatchery>, kept: Zygotes) -> Self {
        let good = "the names are good";
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).expect(good);
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels).expect(good)
        };
        Self {
            pool,
            sandboxes: gauges(
                "node_sandboxes",
                "Sandboxes by function and phase.",
                &["function", "phase"],
            ),
            memory_bytes: gauges(
                "node_sandbox_memory_bytes",
                "Memory that the sandboxes of a function use, as measured.",
                &["function"],
            ),
            queued: gauges("node_queued_requests", "Requests that wait.", &["function"]),
            slots_free: gauge("node_slots_free", "Slots that nobody holds."),
            hatches_pending: gauge("node_hatches_pending", "Sandboxes that are starting."),
            used_permille: gauge(
                "node_used_permille",
                "What sandboxes take of the scarcest of memory and processor time, in thousandths.",
            ),
            memory_budget_bytes: gauge("node_memory_budget_bytes", "Memory for sandboxes."),
            memory_reserved_bytes: gauge(
                "node_memory_reserved_bytes",
                "Memory charged against the budget.",
            ),
            zygotes: gauges(
                "node_zygotes",
                "Zygotes by state: making, ready or barred.",
                &["state"],
            ),
            zygote_memory_bytes: gauge(
                "node_zygote_memory_bytes",
                "Memory that zygotes use, as measured.",
            ),
            kept,
        }
    }

    fn families(&self) -> [&dyn Collector; 10] {
        [
            &self.sandboxes,
            &self.memory_bytes,
            &self.queued,
            &self.slots_free,
            &self.hatches_pending,
            &self.used_permille,
            &self.memory_budget_bytes,
            &self.memory_reserved_bytes,
            &self.zygotes,
            &self.zygote_memory_bytes,
        ]
    }
}

impl Collector for PoolCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.families().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for family in [&self.sandboxes, &self.memory_bytes, &self.queued, &self.zygotes] {
            family.reset();
        }
        for sandbox in self.pool.sandboxes() {
            let function: &FunctionName = &sandbox.function;
            self.sandboxes.with_label_values(&[function.as_str(), sandbox.phase]).inc();
            let memory = sandbox.usage.map_or(0, |usage| usage.memory_bytes);
            let memory = i64::try_from(memory).unwrap_or(i64::MAX);
            self.memory_bytes.with_label_values(&[function.as_str()]).add(memory);
        }
        for version in self.pool.versions() {
            let function = version.version().function.clone();
            self.queued.with_label_values(&[function.as_str()]).add(version.waiting().into());
        }
        let load = self.pool.load();
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let zygotes = self.kept.status();
        for zygote in &zygotes {
            self.zygotes.with_label_values(&[zygote.state]).inc();
        }
        let used = zygotes.iter().map(|zygote| zygote.memory_bytes).sum();
        self.zygote_memory_bytes.set(bytes(used));
        self.slots_free.set(load.slots_free.into());
        self.hatches_pending.set(load.hatching.into());
        self.used_permille.set(load.used_permille().into());
        self.memory_budget_bytes.set(bytes(load.memory_budget_bytes));
        self.memory_reserved_bytes.set(bytes(load.memory_reserved_bytes));
        self.families().into_iter().flat_map(Collector::collect).collect()
    }
}
