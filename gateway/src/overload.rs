//! What one core takes on at a time. When that is all, a request is answered 503 from its head alone, before anything is
//! kept for it, so that a gateway under more load than it can carry stays as large as it is and as quick to say so.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use hatchway_wire::core::{Entered, InFlight};

use crate::accept::Door;
use crate::answer::CallError;

/// Between two looks at the memory of the process: what can come in meanwhile is a small part of what is allowed.
const LOOK: Duration = Duration::from_millis(250);

/// What is under way on a core, and how much of it there may be.
#[derive(Debug)]
pub(crate) struct Load {
    requests: InFlight,
    requests_most: usize,
    memory_most: u64,
    resident: Rc<Cell<u64>>,
}

impl Load {
    /// Looks at memory by itself for as long as this lives. Called on the core that it belongs to.
    pub(crate) fn within(door: &Door) -> Self {
        let resident = Rc::new(Cell::new(0));
        tokio::task::spawn_local(watch(Rc::downgrade(&resident)));
        Self {
            requests: InFlight::default(),
            requests_most: door.requests_per_core,
            memory_most: door.memory_bytes,
            resident,
        }
    }

    /// Counts one more request.
    ///
    /// # Errors
    /// [`CallError::Busy`] and [`CallError::NoMemory`].
    pub(crate) fn enter(&self) -> Result<Entered, CallError> {
        if self.requests.count() >= self.requests_most {
            return Err(CallError::Busy { limit: self.requests_most });
        }
        if self.has_no_memory() {
            return Err(CallError::NoMemory { limit: self.memory_most });
        }
        Ok(self.requests.enter())
    }

    /// True while the process holds more than it may.
    pub(crate) fn has_no_memory(&self) -> bool {
        self.resident.get() > self.memory_most
    }
}

async fn watch(resident: Weak<Cell<u64>>) {
    // A machine that does not tell has no bound.
    let Ok(statm) = File::open("/proc/self/statm") else { return };
    while let Some(resident) = resident.upgrade() {
        resident.set(resident_bytes(&statm).unwrap_or(0));
        drop(resident);
        tokio::time::sleep(LOOK).await;
    }
}

/// The second number of `statm`, in pages (proc_pid_statm(5)).
fn resident_bytes(statm: &File) -> Option<u64> {
    const PAGE_BYTES: u64 = 4096;
    let mut text = [0; 128];
    let count = statm.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..count]).ok()?;
    Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(requests_per_core: usize, memory_bytes: u64, resident: u64) -> Load {
        Load {
            requests: InFlight::default(),
            requests_most: requests_per_core,
            memory_most: memory_bytes,
            resident: Rc::new(Cell::new(resident)),
        }
    }

    #[test]
    fn a_place_is_free_again_when_its_request_is_over() {
        let load = load(2, u64::MAX, 0);
        let under_way = [load.enter().unwrap(), load.enter().unwrap()];
        assert!(matches!(load.enter(), Err(CallError::Busy { limit: 2 })));
        drop(under_way);
        assert!(load.enter().is_ok());
    }

    #[test]
    fn a_process_that_is_too_large_takes_nothing_more() {
        let load = load(2, 1000, 1001);
        assert!(matches!(load.enter(), Err(CallError::NoMemory { limit: 1000 })));
        load.resident.set(1000);
        assert!(load.enter().is_ok());
    }

    #[test]
    fn this_process_has_a_size() {
        let statm = File::open("/proc/self/statm").unwrap();
        let bytes = resident_bytes(&statm).unwrap();
        assert!(bytes > 100_000 && bytes < 1 << 40, "{bytes}");
    }
}
