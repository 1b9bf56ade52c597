//! What a gateway counts. Labelled by function and version at most, never by request or client.
//!
//! [`edge`] is the gateway's own counts. [`function`] and [`version`] are those of what it serves: each comes into being with
//! its first request, lives as long as the rules name it, and is written by requests without a lock. [`scrape`] shows them to
//! Prometheus, by the names in [`families`], [`seconds`] and [`words`] are what they are made of.

pub mod edge;
mod families;
pub mod function;
mod scrape;
mod seconds;
pub mod version;
mod words;

use hatchway_wire::http1::{Cause, Outcome};

pub(crate) use edge::Connected;
pub use edge::EdgeMetrics;
pub use function::FunctionMetrics;
pub use version::VersionMetrics;

const CLASSES: [&str; 6] = ["left", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The class of a status, as metrics name it.
pub fn result_class(status: u16) -> &'static str {
    CLASSES[usize::from(status / 100).min(5)]
}

/// The client did not wait for the answer.
pub(crate) fn is_left(outcome: &Outcome) -> bool {
    matches!(outcome.broken, Some(Cause::ClientGone)) || outcome.status < 100
}

/// Where an answer stands in [`CLASSES`].
fn class(outcome: &Outcome) -> usize {
    if is_left(outcome) { 0 } else { usize::from(outcome.status / 100).min(5) }
}
