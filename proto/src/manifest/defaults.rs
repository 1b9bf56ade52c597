//! What a function gets that does not ask, and the least and the most it may ask for. Each with its reason.

use std::time::Duration;

/// A small service in any of the runtimes; eight of them in a gibibyte.
pub const MEMORY_BYTES: u64 = 128 << 20;
/// Below this no runtime comes as far as its first line.
pub(super) const MIN_MEMORY_BYTES: u64 = 4 << 20;
/// A single-threaded runtime cannot use more, and with less each cold start takes longer.
pub const CPU_MILLIS: u32 = 1000;
/// A runtime's own threads and a few workers; far from what a fork bomb needs.
pub const PIDS: u32 = 64;
/// What Linux gives a login by default.
pub const FILES: u64 = 1024;
/// Uploads in passing; it is memory of the machine.
pub const TMP_BYTES: u64 = 64 << 20;
/// An event loop or a thread pool waits more than it computes. What only computes says 1.
pub const CONCURRENCY: u16 = 16;
/// One function can use a four-core machine, and not take a larger one by surprise.
pub const MAX: u32 = 4;
/// More sandboxes of one version than this on one node is a slip of the keyboard.
pub(super) const MAX_SANDBOXES: u32 = 1000;
/// Keeps a function called every minute warm, and frees one called every hour.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Longer than people wait for a page.
pub const QUEUE_CLOCK: Duration = Duration::from_secs(5);
/// A heavy application with a cold disk starts within it.
pub const START_CLOCK: Duration = Duration::from_secs(10);
/// What proxies in front commonly allow is 60 s: the reason should come from us, not from them.
pub const FIRST_BYTE_CLOCK: Duration = Duration::from_secs(30);
/// Event streams commonly send a sign of life every 15 to 45 s.
pub const IDLE_CLOCK: Duration = Duration::from_secs(60);
/// A report or a model's long answer, and no more: what runs for hours is a job.
pub const RUN_CLOCK: Duration = Duration::from_secs(300);
/// A queue longer than this only hides that nothing answers.
pub(super) const MAX_QUEUE: u32 = 1_000_000;
/// What Linux allows by default (`/proc/sys/kernel/pid_max` on small machines).
pub(super) const MAX_PIDS: u32 = 32_768;
/// A runtime's own descriptors, with a few to spare.
pub(super) const MIN_FILES: u64 = 32;
/// What Linux allows at most (`/proc/sys/fs/nr_open`).
pub(super) const MAX_FILES: u64 = 1 << 20;
