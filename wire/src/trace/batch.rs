//! Spans that one core has left since the collector was sent some. Bounded.

use crate::backlog::Level;

use super::span::Span;

/// Spans of one core that wait to be sent: a few hundred bytes each, so 2 MiB at most.
const SPANS: usize = 8 * 1024;

/// Spans that are over.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) spans: Vec<Span>,
}

impl Batch {
    /// Adds those of one request, all or none; says so by none.
    pub(super) fn add(&mut self, spans: Vec<Span>) -> Option<Level> {
        if self.spans.len() + spans.len() > SPANS {
            return None;
        }
        self.spans.extend(spans);
        Some(if self.spans.len() > SPANS / 2 { Level::High } else { Level::Low })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn the_spans_of_a_request_are_taken_together_while_there_is_room() {
        let mut batch = Batch::default();
        let now = SystemTime::UNIX_EPOCH;
        let spans = |count| vec![Span::internal(1, (2, 0), "a", (now, now)); count];
        assert_eq!(batch.add(spans(SPANS / 2)), Some(Level::Low));
        assert_eq!(batch.add(spans(SPANS / 2 - 1)), Some(Level::High));
        assert_eq!(batch.add(spans(2)), None);
        assert_eq!(batch.add(spans(1)), Some(Level::High));
        assert_eq!(batch.spans.len(), SPANS);
    }
}
