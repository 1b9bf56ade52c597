//! Heads of recent requests: a few of each core, in a ring of fixed size.
//!
//! A request pays for a count that goes down. Every so often it is at its end; then the clock is read, and a head is kept
//! unless the last one is too young. So heads cost a busy core what a hundred a second cost, and a quiet one keeps all. Each
//! head stands for those that have passed since the last one, so that shares of the traffic come out right all the same.

use std::cell::Cell;
use std::collections::VecDeque;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hatchway_proto::http1::RequestHead;
use hatchway_wire::random::draw;

use super::mask::masked;
use crate::catalog::Snapshot;

/// A core keeps no more than one head in this time.
const PAUSE: Duration = Duration::from_millis(10);

/// With less time than this between two looks, fewer requests are looked at, and with more than the other, more are.
const BUSY: Duration = Duration::from_millis(100);
const QUIET: Duration = Duration::from_secs(1);

/// Of so many requests, one is looked at on a busy core: some thousand instructions, shared by as many.
const EVERY: u32 = 128;

/// Larger heads are not kept; they are counted with their neighbours.
const HEAD_BYTES: usize = 8 * 1024;

/// Heads of one core, beyond what their bytes allow: to decide a thousand twice takes milliseconds.
const HEADS: usize = 2048;

/// The heads of all cores.
#[derive(Debug)]
pub struct Heads {
    rings: Mutex<Vec<Arc<Mutex<Ring>>>>,
    /// Digests of what is secret are told apart by it; it never leaves the process.
    secret: RandomState,
    bytes: usize,
}

/// A head, and what it stands for.
#[derive(Clone, Debug)]
pub struct Kept {
    /// As HTTP/1.1, without secrets.
    pub text: Box<[u8]>,
    /// Who has sent it, where that has an address.
    pub client: Option<IpAddr>,
    /// Requests that it stands for, itself included.
    pub weight: u64,
    /// When it came.
    pub at: Instant,
}

#[derive(Debug, Default)]
struct Ring {
    heads: VecDeque<Kept>,
    bytes: usize,
}

/// What one core keeps.
#[derive(Debug)]
pub struct Recorder {
    heads: Arc<Heads>,
    ring: Arc<Mutex<Ring>>,
    /// Requests until the next is looked at.
    left: Cell<u32>,
    /// How many they were at first.
    counted: Cell<u32>,
    /// How many they are by and large.
    every: Cell<u32>,
    /// Requests since the last head that are not part of `counted`.
    unseen: Cell<u64>,
    last: Cell<Instant>,
}

impl Heads {
    /// Room for so many bytes of heads on each core; none where they are none.
    pub fn with_room(bytes: u64) -> Option<Arc<Self>> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let (rings, secret) = (Mutex::default(), RandomState::new());
        (bytes > 0).then(|| Arc::new(Self { rings, secret, bytes }))
    }

    /// For one more core.
    pub fn recorder(self: &Arc<Self>) -> Recorder {
        let ring = Arc::new(Mutex::new(Ring::default()));
        self.rings.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&ring));
        Recorder {
            heads: Arc::clone(self),
            ring,
            left: Cell::new(1),
            counted: Cell::new(1),
            every: Cell::new(1),
            unseen: Cell::new(0),
            last: Cell::new(Instant::now()),
        }
    }

    /// Those of all cores, in no order.
    pub fn all(&self) -> Vec<Kept> {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let of_core = |ring: &Arc<Mutex<Ring>>| -> Vec<Kept> {
            ring.lock().unwrap_or_else(PoisonError::into_inner).heads.iter().cloned().collect()
        };
        rings.iter().flat_map(of_core).collect()
    }
}

impl Recorder {
    /// Whether this request is looked at.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.wrapping_sub(1));
        left <= 1
    }

    /// Keeps the head of a request that is looked at, unless the last one is too young.
    #[cold]
    pub(crate) fn look(&self, head: &RequestHead<'_>, client: Option<IpAddr>, snapshot: &Snapshot) {
        self.look_at(head, client, snapshot, Instant::now());
    }

    fn look_at(
        &self,
        head: &RequestHead<'_>,
        client: Option<IpAddr>,
        snapshot: &Snapshot,
        now: Instant,
    ) {
        let weight = self.unseen.get() + u64::from(self.counted.get());
        let since = now.duration_since(self.last.get());
        let every = match since {
            quiet if quiet > QUIET => (self.every.get() / 2).max(1),
            busy if busy < BUSY => (self.every.get() * 2).min(EVERY),
            _ => self.every.get(),
        };
        self.every.set(every);
        // Between half and one and a half times that: clients that take turns are not always the same one.
        let drawn = u32::try_from(draw() % u64::from(every)).unwrap_or_default();
        let next = every / 2 + drawn + u32::from(every == 1);
        let next = next.max(1);
        self.counted.set(next);
        self.left.set(next);
        if since < PAUSE || head.len > HEAD_BYTES {
            self.unseen.set(weight);
            return;
        }
        let text = masked(head, client, snapshot, &self.heads.secret).into_boxed_slice();
        // Somebody reads them at this moment: the next head stands for this one too.
        let Ok(mut ring) = self.ring.try_lock() else {
            self.unseen.set(weight);
            return;
        };
        self.unseen.set(0);
        self.last.set(now);
        ring.push(Kept { text, client, weight, at: now }, self.heads.bytes);
    }
}

impl Ring {
    fn push(&mut self, kept: Kept, room: usize) {
        let size = |kept: &Kept| kept.text.len() + size_of::<Kept>();
        self.bytes += size(&kept);
        self.heads.push_back(kept);
        while self.bytes > room || self.heads.len() > HEADS {
            let Some(oldest) = self.heads.pop_front() else { return };
            self.bytes -= size(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::http1::{Limits, parse_request};

    use super::*;

    /// Requests at a steady pace, and the heads that are kept of them.
    fn kept(count: u64, pace: Duration, room: u64) -> Vec<Kept> {
        let heads = Heads::with_room(room).unwrap();
        let recorder = heads.recorder();
        let snapshot = Snapshot::default();
        let mut now = recorder.last.get();
        for n in 0..count {
            now += pace;
            let text = format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n");
            let head = parse_request(text.as_bytes(), &Limits::default()).unwrap().unwrap();
            if recorder.is_due() {
                recorder.look_at(&head, None, &snapshot, now);
            }
        }
        heads.all()
    }

    #[test]
    fn a_quiet_core_keeps_every_head() {
        let all = kept(100, Duration::from_secs(2), 1 << 20);
        assert_eq!((all.len(), all.iter().map(|kept| kept.weight).sum()), (100, 100));
    }

    #[test]
    fn a_busy_core_keeps_few_and_each_stands_for_its_share() {
        let all = kept(1_000_000, Duration::from_micros(10), 1 << 24);
        // Ten seconds, at most a head in ten milliseconds.
        assert!((400..=1000).contains(&all.len()), "{}", all.len());
        let weight: u64 = all.iter().map(|kept| kept.weight).sum();
        assert!((990_000..=1_000_000).contains(&weight), "{weight}");
    }

    #[test]
    fn old_heads_make_room() {
        let all = kept(1000, Duration::from_secs(2), 4096);
        let bytes: usize = all.iter().map(|kept| kept.text.len() + size_of::<Kept>()).sum();
        assert!(bytes <= 4096 && all.len() > 10, "{bytes} in {}", all.len());
        assert!(all.last().is_some_and(|last| last.text.starts_with(b"GET /999 ")));
        assert!(Heads::with_room(0).is_none());
    }
}
