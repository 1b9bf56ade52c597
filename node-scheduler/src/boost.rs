//! More processor time for a start: the limit of a sandbox is lifted until it has answered once.
//!
//! A limit of half a core doubles a start that needs a whole one. Its weight among neighbours stays as it is, so a boosted
//! start takes what would be idle; and as many are boosted at a time as there are cores, so a storm of starts
//! cannot take everything that others leave.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A function uses two cores at most while it starts: one loads, another compiles and collects.
pub(crate) const BOOSTED_MILLIS: u32 = 2000;

/// A sandbox that was hatched in advance answers nobody at first.
pub(crate) const UNANSWERED: Duration = Duration::from_secs(2);

/// Who may be boosted at the moment. Cloning it shares it.
#[derive(Clone, Debug)]
pub(crate) struct Boosts(Arc<Semaphore>);

/// One boost.
#[derive(Debug)]
pub(crate) struct Boost {
    /// The limit to go back to, in thousandths of a core.
    cpu_millis: u32,
    /// What every request looks at, without a lock.
    is_over: AtomicBool,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Boosts {
    /// At most `limit` at a time; none with 0.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Semaphore::new(limit)))
    }

    /// A boost for a sandbox with a limit of `cpu_millis`, unless that is enough or too many are boosted.
    pub(crate) fn begin(&self, cpu_millis: u32) -> Option<Boost> {
        if cpu_millis >= BOOSTED_MILLIS {
            return None;
        }
        let permit = self.0.clone().try_acquire_owned().ok()?;
        Some(Boost {
            cpu_millis,
            is_over: AtomicBool::new(false),
            permit: Mutex::new(Some(permit)),
        })
    }
}

impl Boost {
    /// Ends it, and lets another begin: the limit to go back to, told once.
    pub(crate) fn end(&self) -> Option<u32> {
        if self.is_over.load(Ordering::Relaxed) || self.is_over.swap(true, Ordering::Relaxed) {
            return None;
        }
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
        Some(self.cpu_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boost_ends_once_and_lets_the_next_one_begin() {
        let boosts = Boosts::new(1);
        let boost = boosts.begin(500).expect("nobody is boosted");
        assert!(boosts.begin(500).is_none(), "one at a time");
        assert_eq!(boost.end(), Some(500));
        assert_eq!(boost.end(), None);
        assert!(boosts.begin(500).is_some(), "though the sandbox lives on");
    }

    #[test]
    fn a_sandbox_that_ends_while_it_starts_gives_its_boost_back() {
        let boosts = Boosts::new(1);
        drop(boosts.begin(500));
        assert!(boosts.begin(500).is_some());
    }

    #[test]
    fn a_limit_that_is_enough_is_not_lifted() {
        assert!(Boosts::new(1).begin(BOOSTED_MILLIS).is_none());
        assert!(Boosts::new(0).begin(500).is_none(), "switched off");
    }
}
