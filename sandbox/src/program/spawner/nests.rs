//! How many nests to keep parked, and when to make the next: arithmetic over a given time.
//!
//! A nest takes milliseconds to make, most of it waiting in the kernel, and then costs a
//! request only a message. Each is used once. Made when nothing else is to do, no faster than a
//! bounded rate, as many as the busiest second of the last minute wanted.

use std::collections::VecDeque;

use crate::spec::Network;

const SECOND_NS: u64 = 1_000_000_000;
/// Kept even when nobody asks: the first request after a quiet night counts too.
const LEAST: u32 = 2;
/// A nest holds two small processes and a network namespace, about half a megabyte.
const MOST: u32 = 24;
/// How long a demand is remembered.
const MEMORY_SECONDS: u64 = 60;
/// Between two nests: each keeps the spawner from its orders for about a millisecond.
const SPACING_NS: u64 = 4_000_000;
/// After a nest that could not be made. Whoever hatches meanwhile hears why.
const PAUSE_NS: u64 = SECOND_NS;

/// The parked nests of one kind of network, and what was wanted of them.
#[derive(Debug)]
struct Kind {
    network: Network,
    /// Oldest first.
    parked: VecDeque<u64>,
    /// Made, and not parked yet.
    growing: Vec<u64>,
    /// How many were taken in each second, the newest last.
    taken: VecDeque<(u64, u32)>,
    /// Kept when there is no demand.
    least: u32,
}

/// All nests.
#[derive(Debug)]
pub(super) struct Nests {
    kinds: [Kind; 2],
    next_at_ns: u64,
}

/// What to do about the number of nests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Make(Network),
    End(u64),
}

impl Nests {
    pub(super) fn new() -> Self {
        let kind = |network, least| Kind {
            network,
            parked: VecDeque::new(),
            growing: Vec::new(),
            taken: VecDeque::new(),
            least,
        };
        // Most functions have no network; nests for the others are made once one was wanted.
        Self { kinds: [kind(Network::None, LEAST), kind(Network::Open, 0)], next_at_ns: 0 }
    }

    fn kind(&mut self, network: Network) -> &mut Kind {
        match network.of_nest() {
            Network::None | Network::Proxied => &mut self.kinds[0],
            Network::Open => &mut self.kinds[1],
        }
    }

    /// Takes the nest that has been parked longest; its costs are paid for certain.
    pub(super) fn take(&mut self, network: Network, now_ns: u64) -> Option<u64> {
        let kind = self.kind(network);
        kind.want(now_ns);
        kind.parked.pop_front()
    }

    /// A nest has been started.
    pub(super) fn grow(&mut self, network: Network, key: u64, now_ns: u64) {
        self.next_at_ns = now_ns + SPACING_NS;
        self.kind(network).growing.push(key);
    }

    /// A nest is isolated and waits.
    pub(super) fn park(&mut self, key: u64) {
        for kind in &mut self.kinds {
            if let Some(index) = kind.growing.iter().position(|growing| *growing == key) {
                kind.growing.swap_remove(index);
                kind.parked.push_back(key);
            }
        }
    }

    /// A nest is gone, or is somebody's now. True when it was one of ours.
    pub(super) fn forget(&mut self, key: u64) -> bool {
        let mut was_ours = false;
        for kind in &mut self.kinds {
            let before = kind.parked.len() + kind.growing.len();
            kind.parked.retain(|parked| *parked != key);
            kind.growing.retain(|growing| *growing != key);
            was_ours |= kind.parked.len() + kind.growing.len() < before;
        }
        was_ours
    }

    /// A nest could not be made: another one soon would fare no better.
    pub(super) fn pause(&mut self, now_ns: u64) {
        self.next_at_ns = now_ns + PAUSE_NS;
    }

    /// What there is to do, if it is time for it.
    pub(super) fn change(&self, now_ns: u64) -> Option<Change> {
        if now_ns < self.next_at_ns {
            return None;
        }
        self.due(now_ns)
    }

    /// How long until [`Nests::change`] may have an answer; `None` while all is as it should be.
    pub(super) fn wait_ns(&self, now_ns: u64) -> Option<u64> {
        self.due(now_ns).map(|_| self.next_at_ns.saturating_sub(now_ns))
    }

    fn due(&self, now_ns: u64) -> Option<Change> {
        self.kinds.iter().find_map(|kind| {
            let target = kind.target(now_ns) as usize;
            let have = kind.parked.len() + kind.growing.len();
            if have < target {
                return Some(Change::Make(kind.network));
            }
            let spare = kind.parked.front().filter(|_| have > target);
            spare.map(|key| Change::End(*key))
        })
    }
}

impl Kind {
    fn want(&mut self, now_ns: u64) {
        let second = now_ns / SECOND_NS;
        match self.taken.back_mut() {
            Some((last, count)) if *last == second => *count += 1,
            _ => self.taken.push_back((second, 1)),
        }
        while self.taken.front().is_some_and(|(first, _)| first + MEMORY_SECONDS < second) {
            self.taken.pop_front();
        }
    }

    /// As many as the busiest second wanted.
    fn target(&self, now_ns: u64) -> u32 {
        let second = now_ns / SECOND_NS;
        let recent = self.taken.iter().filter(|(at, _)| at + MEMORY_SECONDS >= second);
        let busiest = recent.map(|(_, count)| *count).max();
        busiest.map_or(self.least, |busiest| busiest.clamp(LEAST, MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Makes what is wanted until nothing is, parking each; gives how many were made.
    fn fill(nests: &mut Nests, now_ns: &mut u64, next: &mut u64) -> u32 {
        let mut made = 0;
        while let Some(wait) = nests.wait_ns(*now_ns) {
            *now_ns += wait;
            match nests.change(*now_ns) {
                Some(Change::Make(network)) => {
                    *next += 1;
                    nests.grow(network, *next, *now_ns);
                    nests.park(*next);
                    made += 1;
                }
                Some(Change::End(key)) => {
                    assert!(nests.forget(key));
                    *now_ns += SPACING_NS;
                }
                None => panic!("it said that it was time"),
            }
        }
        made
    }

    #[test]
    fn a_few_are_kept_when_nobody_asks() {
        let mut nests = Nests::new();
        assert_eq!(fill(&mut nests, &mut 0, &mut 0), LEAST);
        assert_eq!(nests.change(u64::MAX / 2), None);
    }

    #[test]
    fn they_are_made_no_faster_than_the_bounded_rate() {
        let mut nests = Nests::new();
        nests.grow(Network::None, 1, 100 * MS);
        assert_eq!(nests.change(101 * MS), None);
        assert_eq!(nests.wait_ns(101 * MS), Some(3 * MS));
        assert_eq!(nests.change(104 * MS), Some(Change::Make(Network::None)));
    }

    #[test]
    fn the_busiest_second_says_how_many_and_is_forgotten_after_a_minute() {
        let (mut nests, mut now, mut next) = (Nests::new(), 0, 0);
        for _ in 0..10 {
            nests.take(Network::None, 0);
        }
        assert_eq!(fill(&mut nests, &mut now, &mut next), 10);
        now += (MEMORY_SECONDS + 2) * SECOND_NS;
        assert_eq!(nests.change(now), Some(Change::End(1)), "the oldest spare one");
        assert_eq!(fill(&mut nests, &mut now, &mut next), 0);
        assert_eq!(nests.kinds[0].parked.len(), LEAST as usize);
    }

    #[test]
    fn a_storm_does_not_fill_the_machine() {
        let (mut nests, mut now, mut next) = (Nests::new(), 0, 0);
        for _ in 0..1000 {
            nests.take(Network::None, 0);
        }
        assert_eq!(fill(&mut nests, &mut now, &mut next), MOST);
    }

    #[test]
    fn those_with_the_hosts_network_are_made_once_one_was_wanted() {
        let (mut nests, mut now, mut next) = (Nests::new(), 0, 0);
        fill(&mut nests, &mut now, &mut next);
        assert_eq!(nests.take(Network::Open, now), None);
        assert_eq!(nests.change(now + SPACING_NS), Some(Change::Make(Network::Open)));
    }

    #[test]
    fn only_parked_ones_are_given_and_each_once() {
        let mut nests = Nests::new();
        nests.grow(Network::None, 7, 0);
        assert_eq!(nests.take(Network::None, 0), None, "still growing");
        nests.park(7);
        assert_eq!(nests.take(Network::None, 0), Some(7));
        assert_eq!(nests.take(Network::None, 0), None);
        assert!(!nests.forget(7), "it is not ours any more");
    }

    #[test]
    fn one_that_failed_is_followed_by_a_pause() {
        let mut nests = Nests::new();
        nests.pause(0);
        assert_eq!(nests.change(PAUSE_NS - 1), None);
        assert_eq!(nests.change(PAUSE_NS), Some(Change::Make(Network::None)));
    }
}
