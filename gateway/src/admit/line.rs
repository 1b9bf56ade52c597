//! How many calls of a function are in flight over this gateway at a time, and the line of those that wait for a place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::answer::CallError;

/// The places of one function, shared by all cores. Who waits is served in the order of its coming.
#[derive(Debug)]
pub struct Line {
    most: u32,
    places: Arc<Semaphore>,
    waiting: AtomicU32,
}

impl Line {
    /// So many calls at a time, 0 counts as 1.
    pub fn new(most: u32) -> Self {
        let most = most.max(1);
        let places = usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            most,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicU32::new(0),
        }
    }

    /// Calls at a time.
    pub fn most(&self) -> u32 {
        self.most
    }
}

/// A call's place, or its wish for one. Whatever it is, it goes with the call: who leaves makes room.
#[derive(Debug)]
pub(crate) struct Turn {
    line: Arc<Line>,
    place: Option<OwnedSemaphorePermit>,
}

/// One of those who wait.
struct Waiting<'l>(&'l Line);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turn {
    pub(crate) fn new(line: Arc<Line>) -> Self {
        Self { line, place: None }
    }

    /// True when it has a place, or there is one that nobody waits for.
    pub(crate) fn comes_now(&mut self) -> bool {
        if self.place.is_none() {
            self.place = Arc::clone(&self.line.places).try_acquire_owned().ok();
        }
        self.place.is_some()
    }

    /// Waits for a place, behind `depth` others at most and no longer than `clock`. Cancel safe: dropped, it leaves the line.
    ///
    /// # Errors
    /// [`CallError::LineFull`] and [`CallError::LineClock`].
    pub(crate) async fn come(&mut self, depth: u32, clock: Duration) -> Result<(), CallError> {
        if self.comes_now() {
            return Ok(());
        }
        let before = self.line.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.line);
        if before >= depth {
            return Err(CallError::LineFull { depth });
        }
        let place = timeout(clock, Arc::clone(&self.line.places).acquire_owned()).await;
        let place = place.map_err(|_| CallError::LineClock { most: self.line.most })?;
        self.place = Some(place.expect("the places are never closed"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Duration = Duration::from_secs(10);

    fn turn(line: &Arc<Line>) -> Turn {
        Turn::new(Arc::clone(line))
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_served_in_turn_and_who_leaves_makes_room() {
        let line = Arc::new(Line::new(1));
        let mut first = turn(&line);
        assert!(first.comes_now() && first.comes_now(), "one place is enough for one call");
        let (mut second, mut third, mut fourth) = (turn(&line), turn(&line), turn(&line));
        let mut waits = Box::pin(second.come(2, CLOCK));
        assert!(futures_poll(&mut waits).await.is_none());
        let mut behind = Box::pin(third.come(2, CLOCK));
        assert!(futures_poll(&mut behind).await.is_none());
        assert!(matches!(fourth.come(2, CLOCK).await, Err(CallError::LineFull { depth: 2 })));
        drop(waits);
        drop(first);
        assert!(matches!(futures_poll(&mut behind).await, Some(Ok(()))), "the second has left");
        assert!(!fourth.comes_now());
        drop(behind);
        drop(third);
        assert!(fourth.comes_now());
        assert_eq!(line.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_queue_clock() {
        let line = Arc::new(Line::new(1));
        let (mut first, mut second) = (turn(&line), turn(&line));
        assert!(first.comes_now());
        let waited = second.come(9, CLOCK).await;
        assert!(matches!(waited, Err(CallError::LineClock { most: 1 })));
        assert_eq!(line.waiting.load(Ordering::Relaxed), 0);
    }

    /// What the future has at once.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
