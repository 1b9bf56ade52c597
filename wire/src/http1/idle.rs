//! Upstream connections between two requests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::time::Instant;

use crate::Stream;
use crate::ticker;

/// How long what the runtime knows of a connection is trusted. It may be late by a turn of its loop, and a
/// request must not meet a connection that the other side has closed; under load connections are taken again
/// sooner than this, and no system call is spent.
const TRUSTED: Duration = Duration::from_millis(1);

/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// A connection, and since when it has had nothing to do.
type Kept = (Stream, Instant);

/// Idle connections of one core, by whom they lead to. The one used last goes first: it is the least
/// likely to have been closed by the other side.
#[derive(Clone, Debug)]
pub struct Idle<K>(Rc<RefCell<HashMap<K, Vec<Kept>, RandomState>>>);

impl<K> Default for Idle<K> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<K: Eq + Hash + Clone + 'static> Idle<K> {
    /// Sweeps by itself, for as long as anybody else has a hand on these connections: one that nobody asks for
    /// would never be found closed. Called on the core that they belong to.
    pub fn keep_swept(&self, limit: Duration) {
        let kept = Rc::downgrade(&self.0);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(kept) = kept.upgrade() else { return };
                Self(kept).sweep(limit);
            }
        });
    }

    /// A connection to `key` that has been idle for less than `limit` and has heard nothing since. Whoever asks has read the
    /// time in this turn.
    pub fn take(&self, key: &K, limit: Duration) -> Option<Stream> {
        let mut connections = self.0.borrow_mut();
        let kept = connections.get_mut(key)?;
        let now = ticker::recent();
        while let Some((stream, since)) = kept.pop() {
            let idle = now.duration_since(since);
            let is_quiet = if idle > TRUSTED { stream.is_silent() } else { stream.is_quiet() };
            if idle < limit && is_quiet {
                return Some(stream);
            }
        }
        connections.remove(key);
        None
    }

    /// Keeps a connection that is between two messages. It counts as idle from the last look at the clock on: a moment too
    /// early, which only has it looked at once more.
    pub fn put(&self, key: K, stream: Stream) {
        self.0.borrow_mut().entry(key).or_default().push((stream, ticker::recent()));
    }

    /// Closes what has been idle for `limit` and what was closed by the other side.
    pub fn sweep(&self, limit: Duration) {
        let now = Instant::now();
        self.0.borrow_mut().retain(|_, kept| {
            kept.retain(|(stream, since)| now.duration_since(*since) < limit && stream.is_quiet());
            !kept.is_empty()
        });
    }
}
