//! A node: what it admits and what it reaps, by the rules of `node-scheduler/src/pool` as far as placing depends on them. One sandbox of
//! a function is like another, so they are counted; their slots are served in turn.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use crate::world::Function;

/// Memory of one node.
pub(crate) const MEMORY_MIB: u32 = 6 * 1024;
const CORES: u32 = 4;

/// Processor time of a running request, in thousandths of a core: it waits for others most of the time.
const CPU_MILLIS: u32 = 100;

/// Sandboxes of a function on one node.
const MAX: u32 = 4;

/// Growth begins when this share of the slots is out.
const CROWDED_PERCENT: u32 = 70;

/// An interpreter that was started before: the README's figures.
const START_US: u64 = 40_000;

/// Idle sandboxes are kept for so long.
const IDLE_US: u64 = 60_000_000;

/// Nobody waits longer for a slot: the queue clock.
const QUEUE_US: u64 = 5_000_000;

/// Who could go elsewhere waits no longer than this for a slot that others hold.
const PATIENCE_US: u64 = 100_000;

/// Sandboxes of one function.
#[derive(Debug, Default)]
struct Pool {
    sandboxes: u32,
    /// Requests that run or wait.
    in_flight: u32,
    /// When each slot is free for whoever comes next.
    slots: BinaryHeap<Reverse<u64>>,
    /// When the newest sandbox is there.
    ready_us: u64,
    /// Since when nothing runs.
    idle_us: u64,
    /// Since when there is one more than is needed.
    spare_us: Option<u64>,
    /// How long the last one waited who stood in line for a slot, until it had one or went elsewhere.
    last_wait_us: u64,
    /// Until when somebody stands there who will go elsewhere.
    tried_until_us: u64,
}

/// What came of a call: microseconds until it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// A live sandbox had a slot.
    Warm,
    /// It waited for a start.
    Cold(u64),
    /// It waited for a slot that others held.
    Waited(u64),
    /// It could go elsewhere, and does after so long.
    Refused(u64),
    /// The queue clock has rung.
    Failed,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    pools: HashMap<u32, Pool>,
    idle: BTreeSet<(u64, u32)>,
    memory_mib: u32,
    used_mib: u32,
    /// Of a sandbox of each.
    memory_of: HashMap<u32, u32>,
    in_flight: u32,
    pub(crate) is_dead: bool,
}

impl Node {
    pub(crate) fn new(memory_mib: u32) -> Self {
        Self { memory_mib, ..Self::default() }
    }

    /// A call that runs for `runs_us` once it has a slot.
    pub(crate) fn offer(
        &mut self,
        f: u32,
        of: &Function,
        (is_choosy, runs_us): (bool, u64),
        now: u64,
    ) -> Admitted {
        let (sandboxes, in_flight, is_slow) = self.pools.get(&f).map_or((0, 0, false), |pool| {
            (pool.sandboxes, pool.in_flight, pool.last_wait_us >= PATIENCE_US)
        });
        let slots = sandboxes * of.concurrency;
        let has_slot = in_flight < slots;
        let wants_more = (in_flight + 1) * 100 > slots * CROWDED_PERCENT;
        // Early growth is a guess, and ends nobody's sandbox.
        let has_grown = wants_more && sandboxes < MAX && self.hatch(f, of, !has_slot, now);
        if !has_slot && !has_grown && slots == 0 {
            return Admitted::Refused(0);
        }
        let is_tried = self.pools.get(&f).is_some_and(|pool| now < pool.tried_until_us);
        let has_line = in_flight > slots || is_tried;
        // One more would not have its turn soon.
        let is_long = in_flight >= 2 * slots || (has_line && is_slow);
        if is_choosy && !has_slot && !has_grown && is_long {
            return Admitted::Refused(0);
        }
        let pool = self.pools.get_mut(&f).expect("it has a sandbox");
        let Reverse(free) = *pool.slots.peek().expect("a sandbox has slots");
        let waits = free.saturating_sub(now);
        if is_choosy && !has_grown && waits > PATIENCE_US {
            (pool.last_wait_us, pool.tried_until_us) = (PATIENCE_US, now + PATIENCE_US);
            return Admitted::Refused(PATIENCE_US);
        }
        if waits > QUEUE_US {
            return Admitted::Failed;
        }
        pool.slots.pop();
        pool.slots.push(Reverse(now + waits + runs_us));
        if pool.in_flight == 0 {
            self.idle.remove(&(pool.idle_us, f));
        }
        pool.in_flight += 1;
        self.in_flight += 1;
        match waits {
            0 => Admitted::Warm,
            _ if free == pool.ready_us => Admitted::Cold(waits),
            _ => {
                pool.last_wait_us = waits;
                Admitted::Waited(waits)
            }
        }
    }

    /// One more sandbox, if need be in the place of idle ones of others, the idlest first.
    fn hatch(&mut self, f: u32, of: &Function, may_evict: bool, now: u64) -> bool {
        while self.used_mib + of.memory_mib > self.memory_mib {
            let victim = self.idle.iter().find(|(_, other)| *other != f).copied();
            let Some((_, other)) = victim.filter(|_| may_evict) else { return false };
            self.end(other);
        }
        self.used_mib += of.memory_mib;
        let pool = self.pools.entry(f).or_default();
        pool.ready_us = now + START_US;
        pool.slots.extend((0..of.concurrency).map(|_| Reverse(now + START_US)));
        if pool.sandboxes == 0 {
            pool.idle_us = now;
            self.idle.insert((now, f));
        }
        pool.sandboxes += 1;
        pool.spare_us = None;
        self.memory_of.insert(f, of.memory_mib);
        true
    }

    fn end(&mut self, f: u32) {
        let Some(pool) = self.pools.remove(&f) else { return };
        self.idle.remove(&(pool.idle_us, f));
        self.used_mib -= pool.sandboxes * self.memory_of[&f];
    }

    /// A request of `f` is over.
    pub(crate) fn done(&mut self, f: u32, now: u64) {
        let Some(pool) = self.pools.get_mut(&f) else { return };
        pool.in_flight -= 1;
        self.in_flight -= 1;
        if pool.in_flight == 0 {
            pool.idle_us = now;
            self.idle.insert((now, f));
        }
    }

    /// Ends what was idle for long, and spare sandboxes.
    pub(crate) fn reap(&mut self, functions: &[Function], now: u64) {
        while let Some((since, f)) = self.idle.first().copied()
            && since + IDLE_US <= now
        {
            self.end(f);
        }
        for (f, pool) in self.pools.iter_mut().filter(|(_, pool)| pool.sandboxes > 1) {
            let of = &functions[*f as usize];
            let needed = (pool.in_flight * 100).div_ceil(of.concurrency * CROWDED_PERCENT).max(1);
            if pool.sandboxes <= needed {
                pool.spare_us = None;
            } else if *pool.spare_us.get_or_insert(now) + IDLE_US <= now {
                pool.sandboxes -= 1;
                // Those that are free: more are, or it would be needed.
                (0..of.concurrency).for_each(|_| _ = pool.slots.pop());
                pool.spare_us = Some(now);
                self.used_mib -= of.memory_mib;
            }
        }
    }

    /// As it tells gateways.
    pub(crate) fn used_permille(&self) -> u16 {
        let memory = u64::from(self.used_mib) * 1000 / u64::from(self.memory_mib);
        let cpu = self.in_flight * CPU_MILLIS / CORES;
        u16::try_from(memory.max(cpu.into())).unwrap_or(u16::MAX)
    }

    pub(crate) fn taken_mib(&self) -> u32 {
        self.used_mib
    }

    /// Functions that have a sandbox here.
    pub(crate) fn functions(&self) -> impl Iterator<Item = u32> {
        self.pools.keys().copied()
    }

    /// It dies with all that it runs; how many requests that are.
    pub(crate) fn die(&mut self) -> u32 {
        let lost = self.in_flight;
        *self = Self { is_dead: true, ..Self::new(self.memory_mib) };
        lost
    }
}
