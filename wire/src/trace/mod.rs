//! Spans of requests that are sampled, sent to a collector by OTLP.
//!
//! A request that is not sampled pays for the question alone. For one that is, nothing is measured that would not be known
//! anyway: its spans are made when it is over, from the times that were kept ([`span`], and [`served`] for what a node does), and
//! left on their core ([`batch`], bounded: what does not fit is counted). One thread sends them ([`tracing`], and [`otlp`] for
//! the form, where the program was built with the feature `otlp`). A collector that is gone costs spans, and nothing else.

mod batch;
#[cfg(feature = "otlp")]
mod otlp;
mod served;
mod span;
mod tracing;

pub use served::{PARENT_START, parent_field, served};
pub use span::{Kind, Moments, Span, Value};
pub use tracing::{TraceConfig, Tracer, Tracers, Tracing};
