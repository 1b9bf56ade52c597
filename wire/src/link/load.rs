//! How full nodes are, as they said last: one for each node, for all cores of a gateway to read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hatchway_proto::link::LoadSummary;

/// What one node said last, over whichever link. Each of the two words is whole; read together, they may be of two summaries
/// that followed each other.
#[derive(Debug, Default)]
pub struct NodeLoad {
    /// Links over which it has said something, and that are open.
    links: AtomicUsize,
    /// Requests that run, and those that could: 32 bits each.
    slots: AtomicU64,
    /// Requests that wait, how much is used, and whether it drains: 32 bits, 16, and the lowest.
    waiting: AtomicU64,
}

impl NodeLoad {
    /// None while no link to the node is open.
    pub fn read(&self) -> Option<LoadSummary> {
        if self.links.load(Ordering::Acquire) == 0 {
            return None;
        }
        let (slots, waiting) =
            (self.slots.load(Ordering::Relaxed), self.waiting.load(Ordering::Relaxed));
        let word = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("it was masked");
        Some(LoadSummary {
            in_flight: word(slots >> 32),
            room: word(slots),
            waiting: word(waiting >> 32),
            used_permille: u16::try_from(waiting >> 16 & 0xffff).expect("it was masked"),
            is_draining: waiting & 1 == 1,
        })
    }

    fn store(&self, load: LoadSummary) {
        let slots = u64::from(load.in_flight) << 32 | u64::from(load.room);
        let waiting = u64::from(load.waiting) << 32
            | u64::from(load.used_permille) << 16
            | u64::from(load.is_draining);
        self.slots.store(slots, Ordering::Relaxed);
        self.waiting.store(waiting, Ordering::Relaxed);
    }
}

/// One link's way to tell it. Dropped with the link.
#[derive(Debug)]
pub(super) struct Teller {
    node: Arc<NodeLoad>,
    has_told: bool,
}

impl Teller {
    pub(super) fn new(node: Arc<NodeLoad>) -> Self {
        Self { node, has_told: false }
    }

    pub(super) fn tell(&mut self, load: LoadSummary) {
        self.node.store(load);
        if !std::mem::replace(&mut self.has_told, true) {
            self.node.links.fetch_add(1, Ordering::Release);
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if self.has_told {
            self.node.links.fetch_sub(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_known_from_the_first_word_to_the_end_of_the_last_link() {
        let node = Arc::new(NodeLoad::default());
        let (mut one, two) = (Teller::new(Arc::clone(&node)), Teller::new(Arc::clone(&node)));
        assert_eq!(node.read(), None);
        let load = LoadSummary {
            in_flight: u32::MAX,
            room: 7,
            waiting: u32::MAX,
            used_permille: u16::MAX,
            is_draining: true,
        };
        one.tell(load);
        assert_eq!(node.read(), Some(load));
        one.tell(LoadSummary::default());
        drop(two);
        assert_eq!(node.read(), Some(LoadSummary::default()));
        drop(one);
        assert_eq!(node.read(), None);
    }
}
