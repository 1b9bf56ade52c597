//! The one machine between all hosts: takes packets of each, and hands them to whom they are for as their way says.
//!
//! In a program rather than in the kernel, for loss, delay and limits are then the same everywhere, with or without netem, one way or
//! both, and drawn from a seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::way::Way;
use crate::Draw;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// A host's place: the order in which they were made.
pub(super) type Port = usize;

/// Packets of one host before others have their turn.
const TURN: usize = 64;

/// The longest packet of a device, and then some.
const PACKET_BYTES: usize = 2048;

/// The machine. Stopped when dropped.
#[derive(Debug)]
pub(super) struct Router {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    plan: Mutex<Plan>,
    /// Written to when the plan has changed.
    wakes: OwnedFd,
}

#[derive(Debug, Default)]
struct Plan {
    devices: Vec<Arc<File>>,
    ways: HashMap<(Port, Port), Way>,
    is_over: bool,
}

/// A packet under way: when it arrives, its number so that none overtakes another, where to, and its bytes.
type Late = Reverse<(Instant, u64, Port, Vec<u8>)>;

/// What only the thread knows.
struct Traffic {
    shared: Arc<Shared>,
    late: BinaryHeap<Late>,
    sent: u64,
    free_at: HashMap<(Port, Port), Instant>,
    draw: Draw,
}

impl Router {
    pub(super) fn start(seed: u64) -> io::Result<Self> {
        let wakes = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { plan: Mutex::default(), wakes });
        let mut traffic = Traffic {
            shared: Arc::clone(&shared),
            late: BinaryHeap::new(),
            sent: 0,
            free_at: HashMap::new(),
            draw: Draw::new(seed),
        };
        let thread = thread::Builder::new().name("router".into()).spawn(move || traffic.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// One more host.
    pub(super) fn connect(&self, device: File) -> Port {
        let plan = &mut *self.shared.plan();
        plan.devices.push(Arc::new(device));
        self.shared.wake();
        plan.devices.len() - 1
    }

    /// From now on packets travel so.
    pub(super) fn set(&self, from: Port, to: Port, way: Way) {
        self.shared.plan().ways.insert((from, to), way);
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.shared.plan().is_over = true;
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the router does not panic");
        }
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        rustix::io::write(&self.wakes, &1_u64.to_ne_bytes()).expect("it is read before it is full");
    }
}

impl Traffic {
    fn run(&mut self) {
        loop {
            let devices = {
                let plan = self.shared.plan();
                if plan.is_over {
                    return;
                }
                plan.devices.clone()
            };
            for from in self.wait(&devices) {
                self.take(from, &devices);
            }
            self.deliver(&devices);
        }
    }

    /// Waits for packets, for the arrival of one, or for a change; whose packets there are.
    fn wait(&self, devices: &[Arc<File>]) -> Vec<Port> {
        let mut watched: Vec<_> =
            devices.iter().map(|device| PollFd::new(device, PollFlags::IN)).collect();
        watched.push(PollFd::new(&self.shared.wakes, PollFlags::IN));
        let next = self.late.peek().map(|Reverse((at, ..))| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec::try_from(left).expect("a delay is short")
        });
        // Interrupted, it looks again.
        let _ = poll(&mut watched, next.as_ref());
        let is_ready = |at: &Port| !watched[*at].revents().is_empty();
        if is_ready(&devices.len()) {
            // Nothing to be read is as good as something.
            let _ = rustix::io::read(&self.shared.wakes, &mut [0; 8]);
        }
        (0..devices.len()).filter(is_ready).collect()
    }

    /// Takes what a host has sent.
    fn take(&mut self, from: Port, devices: &[Arc<File>]) {
        let mut buffer = [0; PACKET_BYTES];
        for _ in 0..TURN {
            // Nothing there, or the device is on its way out.
            let Ok(count) = (&*devices[from]).read(&mut buffer) else { return };
            let packet = &buffer[..count];
            let Some(to) = destination(packet).filter(|to| *to < devices.len()) else { continue };
            let way = self.shared.plan().ways.get(&(from, to)).copied().unwrap_or_default();
            let now = Instant::now();
            let free_at = self.free_at.entry((from, to)).or_insert(now);
            let Some(at) = way.arrival(count, now, free_at, &mut self.draw) else { continue };
            if at <= now {
                send(&devices[to], packet);
            } else {
                self.sent += 1;
                self.late.push(Reverse((at, self.sent, to, packet.to_vec())));
            }
        }
    }

    /// Hands over what has arrived.
    fn deliver(&mut self, devices: &[Arc<File>]) {
        let now = Instant::now();
        while self.late.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, _, to, packet))) = self.late.pop() else { return };
            send(&devices[to], &packet);
        }
    }
}

/// A host that takes no more loses packets, as on any network.
fn send(mut device: &File, packet: &[u8]) {
    let _ = device.write(packet);
}

/// Hosts are numbered in the last byte of their address, from 1 on. IPv6 has no host here.
fn destination(packet: &[u8]) -> Option<Port> {
    let is_ipv4 = packet.first().is_some_and(|first| first >> 4 == 4);
    let last = *packet.get(19).filter(|_| is_ipv4)?;
    usize::from(last).checked_sub(1)
}
