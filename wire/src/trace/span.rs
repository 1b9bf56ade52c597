//! A part of a request's life, as it is told afterwards.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// What a span is to those beside it, with the numbers of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A part of what one program does.
    Internal = 1,
    /// A request that somebody else has sent.
    Server = 2,
    /// One that is sent to somebody else.
    Client = 3,
}

/// What is said of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// In words.
    Text(Box<str>),
    /// As a number.
    Number(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// A span that is over.
#[derive(Clone, Debug)]
pub struct Span {
    /// The same for all spans of a trace.
    pub trace_id: u128,
    /// Never 0.
    pub span_id: u64,
    /// 0 for the first span of a trace.
    pub parent_id: u64,
    /// Of few different values.
    pub name: Cow<'static, str>,
    /// What it is to those beside it.
    pub kind: Kind,
    /// When it began.
    pub start: SystemTime,
    /// When it was over.
    pub end: SystemTime,
    /// By the names of OpenTelemetry's semantic conventions where there is one.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, where it did.
    pub error: Option<Box<str>>,
}

impl Span {
    /// A part of what this program does.
    pub fn internal(
        trace_id: u128,
        (span_id, parent_id): (u64, u64),
        name: impl Into<Cow<'static, str>>,
        (start, end): (SystemTime, SystemTime),
    ) -> Self {
        let (kind, attributes, error) = (Kind::Internal, Vec::new(), None);
        let name = name.into();
        Self { trace_id, span_id, parent_id, name, kind, start, end, attributes, error }
    }
}

/// Turns times of a program into those of the world, all by one look at both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    instant: Instant,
    time: SystemTime,
}

impl Moments {
    /// Looks at both clocks.
    pub fn now() -> Self {
        Self { instant: Instant::now(), time: SystemTime::now() }
    }

    /// When it was then.
    pub fn time(&self, then: Instant) -> SystemTime {
        let ago = self.instant.saturating_duration_since(then);
        let ahead = then.saturating_duration_since(self.instant);
        self.time.checked_sub(ago).unwrap_or(self.time) + ahead
    }

    /// From then on, for so long.
    pub fn since(&self, then: Instant, length: Duration) -> (SystemTime, SystemTime) {
        let start = self.time(then);
        (start, start + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_one_request_keep_their_distances() {
        let moments = Moments::now();
        let then = moments.instant.checked_sub(Duration::from_secs(5)).unwrap();
        let (start, end) = moments.since(then, Duration::from_secs(7));
        assert_eq!(start, moments.time - Duration::from_secs(5));
        assert_eq!(end, moments.time(then + Duration::from_secs(7)));
    }
}
