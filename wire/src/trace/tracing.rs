//! Which requests are sampled, and the thread that sends their spans.

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use hatchway_proto::trace_context::TraceParent;
use prometheus::IntCounter;

use crate::backlog::{Backlog, Level, Share};
use crate::process::Exit;

use super::batch::Batch;
use super::span::Span;

/// How long the last spans may take when the program ends.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Where spans go, and of which requests.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TraceConfig {
    /// Send spans of sampled requests to this collector, by OTLP over gRPC: `http://127.0.0.1:4317`. Needs a build with the
    /// feature `otlp`.
    #[arg(id = "otlp", long = "otlp", value_name = "URL")]
    pub collector: Option<String>,
    /// Sample this part of the traces that begin here, from 0 to 1. Whoever brings a trace has decided already.
    #[arg(long = "trace-ratio", value_name = "RATIO", default_value_t = 0.0, requires = "otlp", value_parser = ratio)]
    pub ratio: f64,
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| "a ratio is a number from 0 to 1".to_owned())
}

/// Sends spans. Dropped, it sends what there is, for a bounded while.
#[derive(Debug)]
pub struct Tracing {
    tracers: Tracers,
    ended: Receiver<()>,
}

/// Makes an end for every core.
#[derive(Clone, Debug)]
pub struct Tracers {
    backlog: Backlog<Batch>,
    dropped: IntCounter,
    threshold: u64,
}

/// One core's end.
#[derive(Debug)]
pub struct Tracer {
    share: Share<Batch>,
    dropped: IntCounter,
    threshold: u64,
}

impl Tracing {
    /// Starts the thread that sends, if there is a collector. `service` is what this program is called there, `dropped` counts
    /// spans that were not sent.
    ///
    /// # Errors
    /// A URL that is none of ours, a build without OTLP, or a thread that cannot be started.
    pub fn start(
        config: &TraceConfig,
        service: &'static str,
        dropped: &IntCounter,
    ) -> Result<Option<Self>, Exit> {
        let Some(collector) = &config.collector else { return Ok(None) };
        let backlog = Backlog::default();
        let (end, ended) = mpsc::channel();
        send(collector, service, dropped, (backlog.clone(), end))?;
        let threshold = threshold(config.ratio);
        let tracers = Tracers { backlog, dropped: dropped.clone(), threshold };
        Ok(Some(Self { tracers, ended }))
    }

    /// For the cores.
    pub fn tracers(&self) -> Tracers {
        self.tracers.clone()
    }
}

/// What the sending thread reads, and where it tells its end.
type Ends = (Backlog<Batch>, mpsc::Sender<()>);

#[cfg(feature = "otlp")]
fn send(
    collector: &str,
    service: &'static str,
    dropped: &IntCounter,
    (backlog, end): Ends,
) -> Result<(), Exit> {
    use super::otlp::Exporter;

    let mut exporter = Exporter::new(collector, service, dropped.clone()).map_err(Exit::config)?;
    let send = move || {
        backlog.read(&mut exporter);
        // Nobody waits once the time for it has passed.
        let _ = end.send(());
    };
    let thread = std::thread::Builder::new().name("otlp".to_owned()).spawn(send);
    thread
        .map(drop)
        .map_err(|error| Exit::unavailable("cannot start a thread for spans".to_owned(), error))
}

#[cfg(not(feature = "otlp"))]
fn send(
    _collector: &str,
    _service: &'static str,
    _dropped: &IntCounter,
    _ends: Ends,
) -> Result<(), Exit> {
    #[derive(Debug, thiserror::Error)]
    #[error("--otlp: this program was built without it: cargo build --features otlp")]
    struct NotBuilt;
    Err(Exit::config(NotBuilt))
}

impl Drop for Tracing {
    fn drop(&mut self) {
        self.tracers.backlog.close();
        if self.ended.recv_timeout(LAST_SPANS).is_err() {
            tracing::warn!("the last spans are not sent");
        }
    }
}

impl Tracers {
    /// The end of one more core.
    pub fn tracer(&self) -> Tracer {
        let (share, dropped) = (self.backlog.share(), self.dropped.clone());
        Tracer { share, dropped, threshold: self.threshold }
    }
}

impl Tracer {
    /// Whether a request is sampled: as who sent it has decided, and otherwise by the id of the trace that begins here, so that
    /// every program with the same ratio decides alike.
    pub fn samples(&self, given: Option<TraceParent>, trace_id: u128) -> bool {
        match given {
            Some(given) => given.is_sampled(),
            None => is_below(trace_id, self.threshold),
        }
    }

    /// Leaves the spans of a request that is over, where there is room. Does not wait.
    pub fn put(&self, spans: Vec<Span>) {
        if spans.is_empty() {
            return;
        }
        let count = spans.len() as u64;
        self.share.add(|batch| {
            batch.add(spans).unwrap_or_else(|| {
                self.dropped.inc_by(count);
                Level::High
            })
        });
    }
}

/// Ids with a lower half below this, of 63 bits as in `TraceIdRatioBased`, are sampled.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a ratio is from 0 to 1, and a conversion of floats saturates"
)]
fn threshold(ratio: f64) -> u64 {
    (ratio * (1u64 << 63) as f64) as u64
}

fn is_below(trace_id: u128, threshold: u64) -> bool {
    let half = u64::try_from(trace_id & u128::from(u64::MAX)).expect("half of it is kept");
    half >> 1 < threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_of_the_ids_is_sampled_and_none_or_all_at_its_ends() {
        let step = u128::from(u64::MAX) / 1000;
        // In the middle of their steps.
        let id = |at: u128| at << 64 | (at * step + step / 2);
        for (ratio, sampled) in [(0.0, 0), (0.25, 250), (1.0, 1000)] {
            let threshold = threshold(ratio);
            let count = (0..1000).filter(|at| is_below(id(*at), threshold)).count();
            assert_eq!(count, sampled, "{ratio}");
        }
        assert!(is_below(u128::MAX, threshold(1.0)));
        assert!(ratio("1.1").is_err() && ratio("-0").is_ok() && ratio("NaN").is_err());
    }

    #[test]
    fn whoever_brings_a_trace_has_decided() {
        let tracers = Tracers {
            backlog: Backlog::default(),
            dropped: IntCounter::new("dropped", "for a test").unwrap(),
            threshold: threshold(1.0),
        };
        let tracer = tracers.tracer();
        let given = |is_sampled| Some(TraceParent::new(1, 2, is_sampled));
        assert!(tracer.samples(given(true), 1) && !tracer.samples(given(false), 1));
        assert!(tracer.samples(None, 1));
    }
}
