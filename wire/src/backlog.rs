//! What requests leave behind for a slow reader: an access log, spans of traces.
//!
//! Every core has a share of its own, a batch `B` behind a lock that nobody else wants but the reader, once in a while and
//! for as long as it takes to put an empty batch in its place. Whatever bounds a batch is in `B`: a core never waits. The
//! reader is woken once for many requests: by the first one, after which it lets more come, or by a batch that fills up.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long the first entry waits for others: long beside what it costs to wake a thread, short for a person who looks.
const LINGER: Duration = Duration::from_millis(100);

/// Nothing waits.
const QUIET: u8 = 0;
/// Something does.
const RUNG: u8 = 1;
/// It is much, or somebody waits for it.
const URGENT: u8 = 2;

#[derive(Debug, Default)]
struct Bell {
    state: AtomicU8,
    is_over: AtomicBool,
    reader: OnceLock<Thread>,
}

impl Bell {
    /// Costs a load where the bell has been rung already. What was put under a lock before is seen by who takes it after.
    fn ring(&self, how: u8) {
        if self.state.load(Ordering::Relaxed) < how {
            self.wake(how);
        }
    }

    fn wake(&self, how: u8) {
        if self.state.fetch_max(how, Ordering::Release) < how
            && let Some(reader) = self.reader.get()
        {
            reader.unpark();
        }
    }
}

/// One core's end.
#[derive(Debug)]
pub struct Share<B> {
    batch: Arc<Mutex<B>>,
    bell: Arc<Bell>,
}

/// The ends of all cores. Cheap to clone.
#[derive(Debug)]
pub struct Backlog<B> {
    shares: Arc<Mutex<Vec<Arc<Mutex<B>>>>>,
    bell: Arc<Bell>,
}

impl<B> Clone for Backlog<B> {
    fn clone(&self) -> Self {
        Self { shares: Arc::clone(&self.shares), bell: Arc::clone(&self.bell) }
    }
}

impl<B> Default for Backlog<B> {
    fn default() -> Self {
        Self { shares: Arc::default(), bell: Arc::default() }
    }
}

/// How a batch stands after something was put into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// There is room.
    Low,
    /// It should be read soon.
    High,
}

/// Whoever is slower than requests.
pub trait Reader<B> {
    /// Reads a batch, of whatever size, and leaves it empty.
    fn take(&mut self, batch: &mut B);

    /// All cores have been looked at.
    fn turn(&mut self);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A batch is whole between two entries, whoever has panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B> Share<B> {
    /// Lets `put` add to the batch of this core. Never waits for longer than the reader needs to take a batch.
    pub fn add(&self, put: impl FnOnce(&mut B) -> Level) {
        let level = put(&mut lock(&self.batch));
        self.bell.ring(match level {
            Level::Low => RUNG,
            Level::High => URGENT,
        });
    }
}

impl<B: Default> Backlog<B> {
    /// The end of one more core.
    pub fn share(&self) -> Share<B> {
        let batch = Arc::new(Mutex::new(B::default()));
        lock(&self.shares).push(Arc::clone(&batch));
        Share { batch, bell: Arc::clone(&self.bell) }
    }

    /// Does not let the reader wait for more.
    pub fn hurry(&self) {
        self.bell.wake(URGENT);
    }

    /// Nothing more comes: once the reader has read what there is, it is told so.
    pub fn close(&self) {
        self.bell.is_over.store(true, Ordering::Relaxed);
        self.bell.wake(URGENT);
    }

    /// Reads on the thread that calls this, the only one that ever does, until the backlog is closed.
    pub fn read(&self, reader: &mut impl Reader<B>) {
        self.bell.reader.get_or_init(thread::current);
        let mut spare = B::default();
        loop {
            self.wait();
            // Before anything is looked at: whoever rings from here on is heard in the next turn.
            self.bell.state.swap(QUIET, Ordering::AcqRel);
            let is_over = self.bell.is_over.load(Ordering::Relaxed);
            // Cloned: a core that starts does not wait for a slow reader.
            let shares = lock(&self.shares).clone();
            for share in shares {
                std::mem::swap(&mut *lock(&share), &mut spare);
                reader.take(&mut spare);
            }
            reader.turn();
            if is_over {
                return;
            }
        }
    }

    /// Waits for the first entry, and then a little for more.
    fn wait(&self) {
        let state = &self.bell.state;
        while state.load(Ordering::Acquire) == QUIET {
            thread::park();
        }
        let until = Instant::now() + LINGER;
        while state.load(Ordering::Acquire) < URGENT {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return };
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    type Numbers = Vec<u64>;

    impl<F: FnMut(u64)> Reader<Numbers> for F {
        fn take(&mut self, batch: &mut Numbers) {
            batch.drain(..).for_each(self);
        }

        fn turn(&mut self) {}
    }

    fn put(share: &Share<Numbers>, number: u64, level: Level) {
        share.add(|batch| {
            batch.push(number);
            level
        });
    }

    #[test]
    fn everything_that_cores_put_is_read_once_and_in_order_of_each_core() {
        let backlog = Backlog::<Numbers>::default();
        let reading = backlog.clone();
        let reader = thread::spawn(move || {
            let mut read = vec![Vec::new(); 4];
            reading.read(&mut |number: u64| read[(number % 4) as usize].push(number / 4));
            read
        });
        let cores: Vec<_> = (0..4)
            .map(|core| {
                let share = backlog.share();
                thread::spawn(move || {
                    for number in 0..20_000 {
                        let level = if number % 1000 == 0 { Level::High } else { Level::Low };
                        put(&share, number * 4 + core, level);
                    }
                })
            })
            .collect();
        cores.into_iter().for_each(|core| core.join().expect("it does not panic"));
        backlog.close();
        let read = reader.join().expect("it does not panic");
        let all: Numbers = (0..20_000).collect();
        assert!(read.iter().all(|numbers| *numbers == all));
    }

    #[test]
    fn the_first_entry_wakes_a_reader_that_waits() {
        let backlog = Backlog::<Numbers>::default();
        let (share, reading) = (backlog.share(), backlog.clone());
        let (tell, told) = mpsc::channel();
        let reader = thread::spawn(move || {
            reading.read(&mut |number| tell.send(number).expect("it listens"));
        });
        for number in 0..3 {
            put(&share, number, Level::Low);
            assert_eq!(told.recv(), Ok(number));
        }
        backlog.close();
        reader.join().expect("it does not panic");
    }

    #[test]
    fn what_was_put_before_the_reader_began_is_read_by_a_close() {
        let backlog = Backlog::<Numbers>::default();
        let share = backlog.share();
        put(&share, 7, Level::Low);
        backlog.close();
        let mut read = Vec::new();
        backlog.read(&mut |number| read.push(number));
        assert_eq!(read, [7]);
    }
}
