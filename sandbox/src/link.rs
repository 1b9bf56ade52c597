//! The node's end of the socket to its spawner.
//!
//! Orders are sent by whoever has one, without a thread in between: a packet goes out whole. A
//! thread of ours reads the events and hands each to whoever waits for it, so that a handle
//! works from any runtime. It starts with the first order, or when it is told to, and not before: until
//! then the node may still have to drop its privileges, which takes a process of one thread.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::net::{RecvFlags, Shutdown, shutdown};
use tokio::sync::{oneshot, watch};

use crate::cgroup::GroupPaths;
use crate::exit::Exit;
use crate::outbox::Outbox;
use crate::protocol::event::{Event, PhasesNs};
use crate::protocol::order::{Door, Order};
use crate::protocol::packet::{self, Receiver};
use crate::steps::StepError;
use crate::tier::Tier;

/// What is known of a sandbox once its program runs.
#[derive(Debug)]
pub(crate) struct Hatched {
    pub(crate) pid: i32,
    pub(crate) groups: GroupPaths,
    pub(crate) tier: Tier,
    pub(crate) phases: PhasesNs,
    /// The listener of a proxied one.
    pub(crate) proxy: Option<OwnedFd>,
}

/// How a start may end badly, as the link sees it.
#[derive(Debug)]
pub(crate) enum Unhatched {
    Step(StepError),
    SpawnerLost,
}

type HatchAnswer = Result<Hatched, Unhatched>;

/// What waits for events.
#[derive(Debug, Default)]
struct Waiting {
    hatches: HashMap<u64, oneshot::Sender<HatchAnswer>>,
    exits: HashMap<u64, watch::Sender<Option<Exit>>>,
    connects: HashMap<u64, oneshot::Sender<io::Result<OwnedFd>>>,
    next_call: u64,
    /// Set once the socket has closed; nobody will be answered after.
    is_lost: bool,
}

#[derive(Debug)]
struct Shared {
    socket: OwnedFd,
    waiting: Mutex<Waiting>,
    outbox: Outbox,
    /// Another node commands the spawner from now on: nothing more is said, and nothing is believed to have ended.
    has_left: AtomicBool,
}

/// The handle; the socket closes with it, and every sandbox ends, unless it has been left to another node.
#[derive(Debug)]
pub(crate) struct Link {
    shared: Arc<Shared>,
    /// Whether sandboxes live on when this node goes without a word.
    pub(crate) keeps: bool,
    threads: Mutex<Threads>,
    gone: watch::Sender<bool>,
}

#[derive(Debug)]
enum Threads {
    /// Not started; the spawner's process is waited for by the reading one, if it is our child.
    Unborn(Option<Child>),
    Running,
}

/// A poisoned lock only says that some other thread panicked; the tables stay true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// To a spawner that is our child, or that an earlier node has started.
    pub(crate) fn new(socket: OwnedFd, spawner: Option<Child>, keeps: bool) -> Self {
        Self {
            keeps,
            shared: Arc::new(Shared {
                socket,
                waiting: Mutex::default(),
                outbox: Outbox::default(),
                has_left: AtomicBool::new(false),
            }),
            threads: Mutex::new(Threads::Unborn(spawner)),
            gone: watch::Sender::new(false),
        }
    }

    /// Orders a sandbox. The answer comes by the first channel, its end by the second.
    pub(crate) fn hatch(
        &self,
        id: u64,
        bytes: Vec<u8>,
        descriptors: Vec<OwnedFd>,
    ) -> io::Result<(oneshot::Receiver<HatchAnswer>, watch::Receiver<Option<Exit>>)> {
        self.start_threads()?;
        let (answer, answered) = oneshot::channel();
        let exit = watch::Sender::new(None);
        let exited = exit.subscribe();
        {
            let mut waiting = lock(&self.shared.waiting);
            if waiting.is_lost {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            waiting.hatches.insert(id, answer);
            waiting.exits.insert(id, exit);
        }
        if let Err(error) = self.shared.send(bytes, descriptors) {
            let mut waiting = lock(&self.shared.waiting);
            waiting.hatches.remove(&id);
            waiting.exits.remove(&id);
            return Err(error);
        }
        Ok((answered, exited))
    }

    /// Waits for the end of a sandbox that runs already.
    pub(crate) fn expect_exit(&self, id: u64) -> watch::Receiver<Option<Exit>> {
        let exit = watch::Sender::new(None);
        let exited = exit.subscribe();
        lock(&self.shared.waiting).exits.insert(id, exit);
        exited
    }

    /// Orders nothing more, and ends nothing by dropping it.
    pub(crate) fn fall_silent(&self) {
        self.shared.has_left.store(true, Ordering::SeqCst);
    }

    /// Leaves every sandbox to the next node: the last order.
    pub(crate) fn leave(&self) {
        self.fall_silent();
        if let Ok(bytes) = packet::encode(&Order::HandOver) {
            // A spawner that is gone has nothing to leave.
            let _ = self.shared.outbox.send(&self.shared.socket, bytes, Vec::new());
        }
    }

    pub(crate) fn has_left(&self) -> bool {
        self.shared.has_left.load(Ordering::SeqCst)
    }

    /// Sends an order that nothing answers. A spawner that is gone has carried it out already.
    pub(crate) fn order(&self, order: &Order) {
        self.order_with(order, Vec::new());
    }

    /// Sends an order that nothing answers, with what comes beside it.
    pub(crate) fn order_with(&self, order: &Order, descriptors: Vec<OwnedFd>) {
        if let Ok(bytes) = packet::encode(order) {
            let _ = self.shared.send(bytes, descriptors);
        }
    }

    /// Asks for a connection. Dropping the future drops a connection that comes too late.
    pub(crate) async fn connect(&self, id: u64, door: Door) -> io::Result<OwnedFd> {
        let lost = || io::Error::new(io::ErrorKind::BrokenPipe, "the spawner is gone");
        let (answer, answered) = oneshot::channel();
        let call = {
            let mut waiting = lock(&self.shared.waiting);
            if waiting.is_lost {
                return Err(lost());
            }
            waiting.next_call += 1;
            let call = waiting.next_call;
            waiting.connects.insert(call, answer);
            call
        };
        let bytes = packet::encode(&Order::Connect { id, call, door })?;
        if let Err(error) = self.shared.send(bytes, Vec::new()) {
            lock(&self.shared.waiting).connects.remove(&call);
            return Err(error);
        }
        answered.await.unwrap_or_else(|_| Err(lost()))
    }

    /// Waits until the spawner's process has ended and everything is gone with it.
    pub(crate) async fn stopped(&self) -> io::Result<()> {
        self.start_threads()?;
        self.order(&Order::Stop);
        let mut gone = self.gone.subscribe();
        let ended = gone.wait_for(|gone| *gone).await;
        ended.map(|_| ()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Hears what the spawner says from now on.
    pub(crate) fn start_threads(&self) -> io::Result<()> {
        let mut threads = lock(&self.threads);
        let Threads::Unborn(_) = &*threads else {
            return Ok(());
        };
        let Threads::Unborn(spawner) = std::mem::replace(&mut *threads, Threads::Running) else {
            return Ok(());
        };
        let (shared, gone) = (Arc::clone(&self.shared), self.gone.clone());
        thread::Builder::new()
            .name("spawner-events".to_owned())
            .spawn(move || read_events(&shared, spawner, &gone))?;
        let shared = Arc::clone(&self.shared);
        thread::Builder::new()
            .name("spawner-orders".to_owned())
            .spawn(move || shared.outbox.send_late(&shared.socket))?;
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // To a spawner that would wait for another node.
        self.order(&Order::Farewell);
        self.shared.outbox.close();
        // The reading thread holds the socket too and waits in it: this wakes it, and tells
        // the spawner that nobody is left.
        let _ = shutdown(&self.shared.socket, Shutdown::Both);
        if let Threads::Unborn(Some(spawner)) = &mut *lock(&self.threads) {
            let _ = spawner.wait();
        }
    }
}

impl Shared {
    fn send(&self, bytes: Vec<u8>, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        if self.has_left.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.outbox.send(&self.socket, bytes, descriptors)
    }
}

/// The reading thread: hands out events until the socket closes, then collects the spawner.
fn read_events(shared: &Shared, spawner: Option<Child>, gone: &watch::Sender<bool>) {
    let mut receiver = Receiver::new();
    while let Ok(Some((bytes, attached))) = receiver.receive(&shared.socket, RecvFlags::empty()) {
        match packet::decode(bytes) {
            Ok(event) => hand_out(&mut lock(&shared.waiting), event, attached),
            Err(error) => {
                tracing::error!(%error, "spawner speaks nonsense");
                break;
            }
        }
    }
    // The spawner ends when we close; one that does not would keep its sandboxes.
    let _ = shutdown(&shared.socket, Shutdown::Both);
    let has_left = shared.has_left.load(Ordering::SeqCst);
    if let Some(spawner) = spawner.filter(|_| !has_left) {
        collect(spawner);
    }
    let mut waiting = lock(&shared.waiting);
    waiting.is_lost = true;
    for (_, hatch) in waiting.hatches.drain() {
        let _ = hatch.send(Err(Unhatched::SpawnerLost));
    }
    if has_left {
        // They live on: nobody is told that they have ended.
        waiting.connects.clear();
        gone.send_replace(true);
        return;
    }
    for (_, exit) in waiting.exits.drain() {
        exit.send_replace(Some(Exit::lost("ended together with the spawner")));
    }
    waiting.connects.clear();
    gone.send_replace(true);
}

fn collect(mut spawner: Child) {
    match spawner.wait() {
        Ok(status) if status.success() => tracing::debug!("spawner stopped"),
        Ok(status) => tracing::error!(%status, "spawner lost"),
        Err(error) => tracing::error!(%error, "spawner lost"),
    }
}

/// Gives an event to whoever waits for it; one that nobody waits for any more is dropped.
fn hand_out(waiting: &mut Waiting, event: Event, attached: Vec<OwnedFd>) {
    match event {
        Event::Hatched { id, pid, groups, tier, phases } => {
            if let Some(hatch) = waiting.hatches.remove(&id) {
                let proxy = attached.into_iter().next();
                let _ = hatch.send(Ok(Hatched { pid, groups, tier, phases, proxy }));
            }
        }
        Event::Failed { id, error } => {
            if let Some(hatch) = waiting.hatches.remove(&id) {
                let _ = hatch.send(Err(Unhatched::Step(error)));
            }
            waiting.exits.remove(&id);
        }
        Event::Exited { id, exit } => {
            if let Some(sender) = waiting.exits.remove(&id) {
                sender.send_replace(Some(exit));
            }
        }
        Event::Connected { call, errno } => {
            if let Some(connect) = waiting.connects.remove(&call) {
                let socket = attached.into_iter().next();
                let answer = socket.ok_or_else(|| io::Error::from_raw_os_error(errno));
                let _ = connect.send(answer);
            }
        }
        Event::Note { message } => tracing::warn!(%message, "spawner"),
        // Read before any thread is there.
        Event::Kept { .. } | Event::AllKept { .. } | Event::Stopped => {}
    }
}
