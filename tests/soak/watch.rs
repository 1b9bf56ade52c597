//! What is measured while the load runs.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hatchway_tests::{Admin, Up, proc};

use crate::Rest;

const EVERY: Duration = Duration::from_millis(500);

/// One look at the daemon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) resident_bytes: u64,
    pub(crate) spawner_bytes: u64,
    pub(crate) descriptors: usize,
    pub(crate) sandboxes: usize,
}

/// Looks at the daemon from time to time.
pub(crate) struct Watch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Watch {
    pub(crate) fn start(up: &Up) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, admin, pid) = (Arc::clone(&is_over), up.admin.clone(), up.pid());
        let thread = thread::spawn(move || {
            let begun = Instant::now();
            let mut samples = Vec::new();
            while !over.load(Ordering::Relaxed) {
                samples.push(sample(&admin, pid, begun.elapsed()));
                thread::sleep(EVERY);
            }
            samples
        });
        Self { is_over, thread }
    }

    pub(crate) fn stop(self) -> Vec<Sample> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the daemon is there to be looked at")
    }
}

fn spawner(daemon: u32) -> u32 {
    proc::descendants_named(daemon, "hatchway-spawner").first().expect("there is a spawner").pid
}

fn sample(admin: &Admin, daemon: u32, at: Duration) -> Sample {
    Sample {
        at,
        resident_bytes: proc::resident_bytes(daemon),
        spawner_bytes: proc::resident_bytes(spawner(daemon)),
        descriptors: proc::descriptors(daemon).len(),
        sandboxes: admin.sandboxes().len(),
    }
}

/// The median of resident memory.
pub(crate) fn resident(samples: &[Sample]) -> u64 {
    let mut all: Vec<_> = samples.iter().map(|sample| sample.resident_bytes).collect();
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// What is held now, less what is prepared for next starts.
pub(crate) fn rest(up: &mut Up) -> Rest {
    let daemon = up.pid();
    let spawner = spawner(daemon);
    let prepared = proc::descendants(spawner).len();
    let open = proc::descriptors(daemon).len() + proc::descriptors(spawner).len();
    let groups = up.traces().groups();
    let trees = groups.len().max(1);
    let leaves: usize = groups.iter().map(|group| folders(group)).sum();
    Rest {
        descriptors: open.saturating_sub(2 * prepared),
        groups: (leaves / trees).saturating_sub(prepared / 2),
    }
}

fn folders(path: &Path) -> usize {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
}
