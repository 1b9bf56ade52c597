//! What one core has left for the log since its thread looked last. Bounded: what does not fit is counted and forgotten.

use std::time::SystemTime;

use hatchway_wire::backlog::Level;

use super::entry::Text;
use super::record::{Over, Record};

/// Requests of one core that wait to be written: those of a tenth of a second, four times over.
const RECORDS: usize = 16 * 1024;

/// Their texts. Both together are 8 MiB for a core, and as much again while they are written.
const TEXT_BYTES: usize = 4 * 1024 * 1024;

/// Requests that are over, and their texts one behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    records: Vec<Record>,
    texts: Vec<u8>,
    /// Requests that did not fit.
    dropped: u64,
}

/// A record with its texts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded<'b> {
    pub(super) record: &'b Record,
    texts: &'b [u8],
    start: usize,
}

impl Batch {
    /// Adds a request, or counts it as dropped; says so by none.
    pub(super) fn add(&mut self, over: &Over<'_>, now: SystemTime) -> Option<Level> {
        let more = over.more_texts();
        let more_bytes: usize = more.iter().map(|text| text.len()).sum();
        let length = self.texts.len() + over.entry.texts.len() + more_bytes;
        if self.records.len() >= RECORDS || length > TEXT_BYTES {
            self.dropped += 1;
            return None;
        }
        let mut record = over.record(now);
        let start = self.texts.len();
        self.texts.extend_from_slice(&over.entry.texts);
        let (of_head, others) = record.ends.split_at_mut(Text::OF_HEAD);
        for (end, known) in of_head.iter_mut().zip(over.entry.ends) {
            *end = start + known;
        }
        for (end, text) in others.iter_mut().zip(more) {
            self.texts.extend_from_slice(text.as_bytes());
            *end = self.texts.len();
        }
        self.records.push(record);
        let is_high = self.records.len() > RECORDS / 2 || self.texts.len() > TEXT_BYTES / 2;
        Some(if is_high { Level::High } else { Level::Low })
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Recorded<'_>> {
        let starts = std::iter::once(0)
            .chain(self.records.iter().map(|record| record.ends[Text::COUNT - 1]));
        self.records.iter().zip(starts).map(|(record, start)| Recorded {
            record,
            texts: &self.texts,
            start,
        })
    }

    /// Empties it, and says how many requests did not fit.
    pub(super) fn clear(&mut self) -> u64 {
        self.records.clear();
        self.texts.clear();
        std::mem::take(&mut self.dropped)
    }
}

impl<'b> Recorded<'b> {
    /// One of its texts; none where it is empty.
    pub(super) fn text(&self, which: Text) -> Option<&'b [u8]> {
        let at = which as usize;
        let start = if at == 0 { self.start } else { self.record.ends[at - 1] };
        let text = &self.texts[start..self.record.ends[at]];
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use hatchway_wire::http1::{Outcome, Peer};

    use super::super::entry::Entry;
    use super::*;

    fn add(batch: &mut Batch, request_id: &str) -> Option<Level> {
        let over = Over {
            entry: &Entry::without_head(Peer::default()),
            request_id,
            function: None,
            version: None,
            account: None,
            outcome: &Outcome::default(),
        };
        batch.add(&over, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn each_record_has_its_own_texts() {
        let mut batch = Batch::default();
        for id in ["first", "second", "third"] {
            assert_eq!(add(&mut batch, id), Some(Level::Low));
        }
        let ids: Vec<_> = batch.records().map(|record| record.text(Text::RequestId)).collect();
        assert_eq!(ids, [Some(&b"first"[..]), Some(b"second"), Some(b"third")]);
        assert!(batch.records().all(|record| record.text(Text::Path).is_none()));
        assert_eq!(batch.clear(), 0);
        assert_eq!(batch.records().count(), 0);
    }

    #[test]
    fn a_full_batch_takes_no_more_and_counts() {
        let mut batch = Batch::default();
        for at in 1..=RECORDS {
            let level = if at > RECORDS / 2 { Level::High } else { Level::Low };
            assert_eq!(add(&mut batch, "r"), Some(level));
        }
        assert_eq!((add(&mut batch, "r"), add(&mut batch, "r")), (None, None));
        assert_eq!((batch.records().count(), batch.clear()), (RECORDS, 2));
        let long = "r".repeat(TEXT_BYTES / 2 + 1);
        assert_eq!(add(&mut batch, &long), Some(Level::High));
        assert_eq!((add(&mut batch, &long), batch.clear()), (None, 1));
        assert_eq!(add(&mut batch, "r"), Some(Level::Low));
    }
}
