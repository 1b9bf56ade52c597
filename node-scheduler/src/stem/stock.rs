//! Which cells are parked, how many of each kind there should be, and which go first when memory is short. No process, no clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use hatchway_sandbox::runtime::StemKind;

/// How long a demand is remembered.
const MEMORY: Duration = Duration::from_secs(60);
/// Starts that come together are wanted together, too.
const TOGETHER: Duration = Duration::from_secs(1);
/// Of one kind. A start that finds none waits for a runtime to boot, which on a busy machine takes longer than making the cell
/// would have cost: more of them help only where starts come in storms, and there zygotes take over.
const MOST: usize = 4;
/// Kinds that are kept without having been asked for: those of most versions.
const MOST_KINDS: usize = 4;
/// Until one has been measured.
const GUESSED_BYTES: u64 = 12 << 20;
/// After one that could not be made: the next one soon would fare no better.
const PAUSE: Duration = Duration::from_secs(30);

/// The cells of one kind.
#[derive(Debug)]
struct Shelf<C> {
    /// Oldest first.
    parked: VecDeque<C>,
    is_making: bool,
    /// When one was wanted.
    wanted: VecDeque<Instant>,
    /// True when a version here could want one.
    is_known: bool,
    /// Of each, as last measured.
    cell_bytes: u64,
    /// Set after a failure.
    not_before: Option<Instant>,
}

/// All cells.
#[derive(Debug)]
pub(super) struct Stock<C>(BTreeMap<StemKind, Shelf<C>>);

impl<C> Default for Stock<C> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<C> Default for Shelf<C> {
    fn default() -> Self {
        Self {
            parked: VecDeque::new(),
            is_making: false,
            wanted: VecDeque::new(),
            is_known: false,
            cell_bytes: GUESSED_BYTES,
            not_before: None,
        }
    }
}

impl<C> Shelf<C> {
    /// As many as starts have wanted together lately, and one in any case where one could be wanted.
    fn target(&self, now: Instant) -> usize {
        let wanted = self.wanted.iter().copied();
        let recent: Vec<Instant> =
            wanted.filter(|at| now.saturating_duration_since(*at) < MEMORY).collect();
        let together = |from: &Instant| {
            recent.iter().filter(|at| *at >= from && **at < *from + TOGETHER).count()
        };
        let busiest = recent.iter().map(together).max().unwrap_or(0);
        busiest.max(self.is_known.into()).min(MOST)
    }

    /// True when nothing of it would be missed.
    fn is_idle(&self, now: Instant) -> bool {
        let is_barred = self.not_before.is_some_and(|at| at > now);
        self.parked.is_empty() && !self.is_making && !is_barred && self.target(now) == 0
    }

    fn bytes(&self) -> u64 {
        (self.parked.len() as u64 + u64::from(self.is_making)) * self.cell_bytes
    }
}

impl<C> Stock<C> {
    /// Takes the cell of that kind that has waited longest. That one was wanted is remembered, whether there is one or not.
    pub(super) fn take(&mut self, kind: StemKind, now: Instant) -> Option<C> {
        let shelf = self.0.entry(kind).or_default();
        shelf.wanted.retain(|at| now.saturating_duration_since(*at) < MEMORY);
        // As many as matter: the oldest have been forgotten above.
        if shelf.wanted.len() >= 2 * MOST {
            shelf.wanted.pop_front();
        }
        shelf.wanted.push_back(now);
        shelf.parked.pop_front()
    }

    /// Versions of so many that are served could want one of each kind.
    pub(super) fn know(&mut self, versions: &BTreeMap<StemKind, usize>) {
        let mut by_use: Vec<_> = versions.iter().map(|(kind, count)| (*count, *kind)).collect();
        by_use.sort_unstable_by(|one, other| other.cmp(one));
        by_use.truncate(MOST_KINDS);
        for (kind, shelf) in &mut self.0 {
            shelf.is_known = by_use.iter().any(|(_, known)| known == kind);
        }
        for (_, kind) in by_use {
            self.0.entry(kind).or_default().is_known = true;
        }
    }

    /// The kind of which one is to be made now, by whoever asks: the one that lacks most, as long as all fit into `limit_bytes`.
    pub(super) fn begin(&mut self, limit_bytes: u64, now: Instant) -> Option<StemKind> {
        let used: u64 = self.0.values().map(Shelf::bytes).sum();
        let lacking = self.0.iter().filter(|(_, shelf)| {
            let may = shelf.not_before.is_none_or(|at| at <= now) && !shelf.is_making;
            may && used + shelf.cell_bytes <= limit_bytes
        });
        let missing = lacking
            .map(|(kind, shelf)| (shelf.target(now).saturating_sub(shelf.parked.len()), *kind));
        let (missing, kind) = missing.max_by_key(|(missing, _)| *missing)?;
        (missing > 0).then(|| {
            self.0.entry(kind).or_default().is_making = true;
            kind
        })
    }

    /// One has booted.
    pub(super) fn made(&mut self, kind: StemKind, cell: C, bytes: u64) {
        let shelf = self.0.entry(kind).or_default();
        (shelf.is_making, shelf.not_before) = (false, None);
        if bytes > 0 {
            shelf.cell_bytes = bytes;
        }
        shelf.parked.push_back(cell);
    }

    /// One could not be made.
    pub(super) fn failed(&mut self, kind: StemKind, now: Instant) {
        let shelf = self.0.entry(kind).or_default();
        (shelf.is_making, shelf.not_before) = (false, Some(now + PAUSE));
    }

    /// Takes out what is not wanted any more, what does not fit into `limit_bytes`, and what has ended.
    pub(super) fn let_go(
        &mut self,
        limit_bytes: u64,
        now: Instant,
        has_ended: impl Fn(&C) -> bool,
    ) -> Vec<C> {
        let mut gone = Vec::new();
        for shelf in self.0.values_mut() {
            let (ended, alive): (Vec<C>, VecDeque<C>) = split(shelf.parked.drain(..), &has_ended);
            shelf.parked = alive;
            gone.extend(ended);
            let spare = shelf.parked.len().saturating_sub(shelf.target(now));
            gone.extend(shelf.parked.drain(..spare));
        }
        self.0.retain(|_, shelf| !shelf.is_idle(now));
        let mut used: u64 = self.0.values().map(Shelf::bytes).sum();
        // The largest first: of the others more are left.
        while used > limit_bytes {
            let largest = self.0.values_mut().filter(|shelf| !shelf.parked.is_empty());
            let Some(shelf) = largest.max_by_key(|shelf| shelf.cell_bytes) else { break };
            used = used.saturating_sub(shelf.cell_bytes);
            gone.extend(shelf.parked.pop_front());
        }
        gone
    }

    /// How many are parked of each kind, and what they use together.
    pub(super) fn parked(&self) -> (BTreeMap<StemKind, usize>, u64) {
        let counts = self.0.iter().map(|(kind, shelf)| (*kind, shelf.parked.len())).collect();
        let used = self.0.values().map(|shelf| shelf.parked.len() as u64 * shelf.cell_bytes).sum();
        (counts, used)
    }
}

/// Those of which `is_so` holds, and the others.
fn split<C, A: Default + Extend<C>, B: Default + Extend<C>>(
    all: impl Iterator<Item = C>,
    is_so: impl Fn(&C) -> bool,
) -> (A, B) {
    let (mut those, mut others) = (A::default(), B::default());
    for one in all {
        if is_so(&one) { those.extend([one]) } else { others.extend([one]) }
    }
    (those, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const NODE: StemKind = StemKind::Node { heap_mib: Some(128) };
    const PYTHON: StemKind = StemKind::Python;

    fn known(kinds: &[(StemKind, usize)]) -> BTreeMap<StemKind, usize> {
        kinds.iter().copied().collect()
    }

    /// Makes what is wanted until nothing is; gives how many.
    fn fill(stock: &mut Stock<u32>, limit_bytes: u64, now: Instant) -> usize {
        let mut made = 0;
        while let Some(kind) = stock.begin(limit_bytes, now) {
            stock.made(kind, 7, 10 * MIB);
            made += 1;
        }
        made
    }

    #[test]
    fn one_is_kept_of_each_kind_that_a_version_could_want() {
        let (mut stock, now) = (Stock::default(), Instant::now());
        assert_eq!(fill(&mut stock, 64 * MIB, now), 0, "nobody could want one");
        stock.know(&known(&[(NODE, 3), (PYTHON, 1)]));
        assert_eq!(fill(&mut stock, 64 * MIB, now), 2);
        stock.know(&known(&[(NODE, 3)]));
        assert_eq!(stock.let_go(64 * MIB, now, |_| false), [7]);
        assert_eq!(stock.parked(), (known(&[(NODE, 1)]), 10 * MIB));
    }

    #[test]
    fn as_many_as_were_wanted_together_for_a_minute() {
        let (mut stock, now) = (Stock::default(), Instant::now());
        stock.know(&known(&[(NODE, 1)]));
        for _ in 0..3 {
            stock.take(NODE, now);
        }
        assert_eq!(fill(&mut stock, 640 * MIB, now), 3);
        for _ in 0..100 {
            stock.take(NODE, now);
        }
        assert_eq!(fill(&mut stock, 640 * MIB, now), MOST, "a storm does not fill the machine");
        let later = now + MEMORY;
        assert_eq!(stock.let_go(640 * MIB, later, |_| false).len(), MOST - 1);
        assert_eq!(stock.take(NODE, later), Some(7));
    }

    #[test]
    fn each_is_given_away_once() {
        let (mut stock, now) = (Stock::default(), Instant::now());
        stock.know(&known(&[(NODE, 1)]));
        fill(&mut stock, 64 * MIB, now);
        assert_eq!(stock.take(PYTHON, now), None, "of another kind");
        assert_eq!(stock.take(NODE, now), Some(7));
        assert_eq!(stock.take(NODE, now), None);
    }

    #[test]
    fn they_keep_within_their_memory_and_give_it_back() {
        let (mut stock, now) = (Stock::default(), Instant::now());
        stock.know(&known(&[(NODE, 1), (PYTHON, 1)]));
        assert_eq!(fill(&mut stock, 15 * MIB, now), 1);
        assert_eq!(stock.let_go(9 * MIB, now, |_| false).len(), 1);
        assert_eq!(fill(&mut stock, 9 * MIB, now), 0);
    }

    #[test]
    fn one_is_made_at_a_time_and_a_failure_is_followed_by_a_pause() {
        let (mut stock, now) = (Stock::<u32>::default(), Instant::now());
        stock.know(&known(&[(NODE, 1)]));
        assert_eq!(stock.begin(64 * MIB, now), Some(NODE));
        assert_eq!(stock.begin(64 * MIB, now), None, "it is being made");
        stock.failed(NODE, now);
        assert_eq!(stock.begin(64 * MIB, now + PAUSE / 2), None);
        assert_eq!(stock.begin(64 * MIB, now + PAUSE), Some(NODE));
    }

    #[test]
    fn one_that_has_ended_is_replaced() {
        let (mut stock, now) = (Stock::default(), Instant::now());
        stock.know(&known(&[(NODE, 1)]));
        fill(&mut stock, 64 * MIB, now);
        assert_eq!(stock.let_go(64 * MIB, now, |_| true), [7]);
        assert_eq!(fill(&mut stock, 64 * MIB, now), 1);
    }
}
