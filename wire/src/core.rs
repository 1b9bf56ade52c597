//! A thread per core, each with a single-threaded runtime and its own of everything.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use tokio::runtime;
use tokio::sync::{Notify, watch};
use tokio::task::LocalSet;

use crate::ticker::Ticker;

/// What the code of one core is given.
#[derive(Clone, Debug)]
pub struct Core {
    /// 0-based number of the core.
    pub index: usize,
    /// Its clocks; also says when it drains.
    pub ticker: Ticker,
}

/// The threads that carry requests.
#[derive(Debug)]
pub struct Cores {
    threads: Vec<JoinHandle<()>>,
    drain: watch::Sender<Drain>,
}

/// Whether a core drains.
#[derive(Clone, Debug)]
enum Drain {
    No,
    Yes,
    /// Another process takes its place. Whoever drops the other end has heard.
    HandsOver(mpsc::Sender<()>),
}

/// As many threads as this process may use at a time.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Cores {
    /// Starts a thread per item of `shares`; each runs `work(core, share)` until it ends, which it does
    /// when its core drains and nothing is left to finish. `work` is called on its core, so that it may
    /// start tasks before it gives its future.
    ///
    /// # Errors
    /// As clone(2), or as the runtime's epoll and eventfd.
    pub fn start<S, W, F>(name: &str, shares: Vec<S>, work: W) -> io::Result<Self>
    where
        S: Send + 'static,
        W: Fn(Core, S) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let (drain, draining) = watch::channel(Drain::No);
        let mut threads = Vec::with_capacity(shares.len());
        for (index, share) in shares.into_iter().enumerate() {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (work, draining) = (work.clone(), draining.clone());
            let thread = Builder::new().name(format!("{name}-{index}")).spawn(move || {
                let core = Core { index, ticker: Ticker::default() };
                let local = LocalSet::new();
                local.spawn_local(core.ticker.clone().run());
                local.spawn_local(tell_drain(draining, core.ticker.clone()));
                local.block_on(&runtime, async move { work(core, share).await });
            })?;
            threads.push(thread);
        }
        Ok(Self { threads, drain })
    }

    /// Tells every core to take nothing new and to finish what runs.
    pub fn drain(&self) {
        self.drain.send_replace(Drain::Yes);
    }

    /// As [`Cores::drain`], because another process takes the place of this one. Comes back once every core has heard: what is
    /// refused from then on is refused after whoever asked was told of the other one.
    pub fn hand_over(&self) {
        let (hears, heard) = mpsc::channel();
        self.drain.send_replace(Drain::HandsOver(hears));
        // One for each; a core that has ended has nobody to tell.
        for _ in self.threads.iter().filter(|thread| !thread.is_finished()) {
            let _ = heard.recv();
        }
    }

    /// Waits for every core to end.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a core ended by a panic");
            }
        }
    }
}

async fn tell_drain(mut draining: watch::Receiver<Drain>, ticker: Ticker) {
    let drain = draining.wait_for(|drain| !matches!(drain, Drain::No)).await;
    match drain.as_deref() {
        Ok(Drain::HandsOver(hears)) => {
            ticker.hand_over();
            // Who asked waits for as many as there are.
            let _ = hears.send(());
        }
        Ok(Drain::Yes | Drain::No) => ticker.drain(),
        Err(_) => {}
    }
}

/// Counts what is under way on a core, so that a drain knows when it is over.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Rc<Count>);

#[derive(Debug, Default)]
struct Count {
    now: Cell<usize>,
    none: Notify,
}

/// One that is under way; over when dropped.
#[derive(Debug)]
pub struct Entered(Rc<Count>);

impl InFlight {
    /// Counts one more.
    pub fn enter(&self) -> Entered {
        self.0.now.set(self.0.now.get() + 1);
        Entered(Rc::clone(&self.0))
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        self.0.now.get()
    }

    /// Waits until none is. Cancel safe.
    pub async fn none(&self) {
        while self.count() > 0 {
            self.0.none.notified().await;
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.now.set(self.0.now.get() - 1);
        if self.0.now.get() == 0 {
            self.0.none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn what_a_core_runs_may_start_tasks_before_its_first_wait() {
        let (ran, has_run) = mpsc::channel();
        let cores = Cores::start("test", vec![(), ()], move |core, ()| {
            let ran = ran.clone();
            let task = tokio::task::spawn_local(async move {
                ran.send(core.index).expect("the test waits for it");
            });
            async move { task.await.expect("the task does not panic") }
        })
        .expect("threads can be started");
        cores.join();
        let mut indices: Vec<usize> = has_run.iter().collect();
        indices.sort_unstable();
        assert_eq!(indices, [0, 1]);
    }

    #[test]
    fn a_drain_ends_a_core_once_nothing_is_under_way() {
        let (events, seen) = mpsc::channel();
        let cores = Cores::start("test", vec![()], move |core, ()| {
            let (events, under_way) = (events.clone(), InFlight::default());
            let entered = under_way.enter();
            tokio::task::spawn_local({
                let (events, ticker) = (events.clone(), core.ticker.clone());
                async move {
                    ticker.drained().await;
                    events.send("finished").expect("the test waits for it");
                    drop(entered);
                }
            });
            async move {
                core.ticker.drained().await;
                under_way.none().await;
                events.send("ended").expect("the test waits for it");
            }
        })
        .expect("threads can be started");
        cores.drain();
        cores.join();
        assert_eq!(seen.iter().collect::<Vec<_>>(), ["finished", "ended"]);
    }
}
