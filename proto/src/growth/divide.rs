//! Which node keeps how many sandboxes of a function ready, and how many it may have.
//!
//! Nodes hear of a plan at their own time. So that there are never more than the limit over all of them, what one node gives up is
//! given to another only once the first has said that it goes by the new plan, and has no more than that: until then it counts as
//! what it may still have, which the plan itself remembers ([`Share::until_heard`]) for whoever leads next.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Holds, NodeReport, Placed, Plan, Share};
use super::scaler::Wish;
use crate::name::VersionId;

/// The nodes that gateways look at first for a version: sandboxes beyond these are found by chance.
const HOME: usize = 16;

/// A version that is to be placed.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Which.
    pub version: VersionId,
    /// How many should be ready.
    pub wish: Wish,
    /// At most so many on one node.
    pub per_node: u32,
    /// The nodes that may have it, best first.
    pub order: Vec<&'a str>,
}

/// The plan that stands there, and since which revision of etcd.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Who has heard of this one goes by it.
    pub revision: i64,
}

/// The plan for a function of which there may be `max` in all, its stable version first in `wanted`. `nodes` are all that are registered,
/// those that drain among them, each with what it has said of the versions of this function; one that has said nothing yet is asked for
/// nothing.
pub fn divide(
    wanted: &[Wanted<'_>],
    max: Option<u32>,
    before: Option<Before<'_>>,
    nodes: &BTreeMap<&str, NodeReport>,
) -> Plan {
    let books = Books { wanted, before, nodes };
    let keep = books.kept(max);
    let most = max.map(|max| books.granted(max, &books.meant(max, &keep), &keep));
    let mut plan = Plan { max, ..Plan::default() };
    for one in wanted {
        let wish = one.wish;
        let placed = Placed {
            wish: wish.count,
            because: wish.because.word().to_owned(),
            ..Placed::default()
        };
        plan.versions.insert(one.version, placed);
    }
    let all: BTreeSet<_> =
        keep.keys().chain(most.iter().flat_map(BTreeMap::keys)).copied().collect();
    for (version, node) in all {
        let keep = keep.get(&(version, node)).copied().unwrap_or_default();
        let share = match &most {
            None => Share { keep, ..Share::default() },
            Some(most) => {
                let share = most.get(&(version, node)).copied().unwrap_or_default();
                Share { keep: keep.min(share.most.unwrap_or_default()), ..share }
            }
        };
        if share.keep > 0 || share.most.unwrap_or_default() > 0 || share.until_heard > 0 {
            plan.versions.entry(version).or_default().nodes.insert(node.to_owned(), share);
        }
    }
    plan
}

/// By version and node.
type Counts<'a> = BTreeMap<(VersionId, &'a str), u32>;

#[derive(Clone, Copy)]
struct Books<'a> {
    wanted: &'a [Wanted<'a>],
    before: Option<Before<'a>>,
    nodes: &'a BTreeMap<&'a str, NodeReport>,
}

impl<'a> Books<'a> {
    fn holds(&self, version: VersionId, node: &str) -> Option<Holds> {
        let report = self.nodes.get(node)?;
        Some(report.versions.get(&version).copied().unwrap_or_default())
    }

    /// What a node has room for; nothing before it has said so.
    fn cap(&self, of: &Wanted<'_>, node: &str) -> u32 {
        let held = self.nodes.get(node).and_then(|report| report.versions.get(&of.version));
        held.map_or(0, |held| held.alive.saturating_add(held.room).min(of.per_node))
    }

    /// The wishes, as far as there may be so many: first one of each version, then those of stable, then the others.
    fn kept(&self, max: Option<u32>) -> Counts<'a> {
        let mut left = max.unwrap_or(u32::MAX);
        let mut counts = vec![0; self.wanted.len()];
        for most in [1, u32::MAX] {
            for (count, one) in counts.iter_mut().zip(self.wanted) {
                let more = one.wish.count.min(most).saturating_sub(*count).min(left);
                *count += more;
                left -= more;
            }
        }
        let mut keep = Counts::new();
        for (count, one) in counts.into_iter().zip(self.wanted) {
            self.hand_out(count, one, &mut keep);
        }
        keep
    }

    /// One each to the first nodes that have room, again and again; what is left when nobody has.
    fn hand_out(&self, mut count: u32, of: &Wanted<'a>, to: &mut Counts<'a>) -> u32 {
        for home in of.order.chunks(HOME) {
            let mut has_room = true;
            while has_room && count > 0 {
                has_room = false;
                for &node in home {
                    let share = to.entry((of.version, node)).or_default();
                    if count > 0 && *share < self.cap(of, node) {
                        *share += 1;
                        count -= 1;
                        has_room = true;
                    }
                }
            }
        }
        count
    }

    /// What each may have once all have heard of it: what it keeps; what it has; one of each version; what it was given before; and
    /// then whoever has room.
    fn meant(&self, max: u32, keep: &Counts<'a>) -> Counts<'a> {
        let mut meant = keep.clone();
        let mut left = max.saturating_sub(keep.values().sum());
        let up_to = |meant: &mut Counts<'a>,
                     left: &mut u32,
                     count: &dyn Fn(&Wanted<'a>, &str) -> u32| {
            for one in self.wanted {
                for &node in &one.order {
                    let share = meant.entry((one.version, node)).or_default();
                    let more =
                        count(one, node).min(self.cap(one, node)).saturating_sub(*share).min(*left);
                    *share += more;
                    *left -= more;
                }
            }
        };
        up_to(&mut meant, &mut left, &|one, node| {
            self.holds(one.version, node).map_or(0, |holds| holds.alive)
        });
        for one in self.wanted {
            let has_one = one
                .order
                .iter()
                .any(|node| meant.get(&(one.version, node)).is_some_and(|n| *n > 0));
            if !has_one && left > 0 {
                left = left - 1 + self.hand_out(1, one, &mut meant);
            }
        }
        up_to(&mut meant, &mut left, &|one, node| self.given(one, node));
        for one in self.wanted {
            left = self.hand_out(left, one, &mut meant);
        }
        meant
    }

    /// What the plan before gives a node.
    fn given(&self, of: &Wanted<'_>, node: &str) -> u32 {
        let share = self.before.and_then(|before| before.plan.share(&of.version, node));
        share.and_then(|share| share.most).unwrap_or_default()
    }

    /// What each node may have or has, as far as anybody can know.
    fn ceilings(&self) -> Counts<'a> {
        let mut ceilings = Counts::new();
        for (&node, report) in self.nodes {
            for one in self.wanted {
                ceilings.insert((one.version, node), self.ceiling(one, node, report));
            }
            for (version, holds) in &report.versions {
                // One that no release leads to any more is on its way out, and counts while it is there.
                ceilings.entry((*version, node)).or_insert(holds.alive);
            }
        }
        ceilings
    }

    fn ceiling(&self, of: &Wanted<'_>, node: &str, report: &NodeReport) -> u32 {
        let alive = report.versions.get(&of.version).map_or(0, |holds| holds.alive);
        let share = self.before.and_then(|before| {
            let share = before.plan.share(&of.version, node)?;
            let has_heard = report.heard >= before.revision;
            let most = share.most?;
            Some(if has_heard { most } else { most.max(share.until_heard) })
        });
        // Without a limit by plan it goes by its own.
        share.unwrap_or(of.per_node).max(alive)
    }

    /// What each gets at once of what is meant for it: less at once, more only of what nobody else may still have.
    fn granted(
        &self,
        max: u32,
        meant: &Counts<'a>,
        keep: &Counts<'a>,
    ) -> BTreeMap<(VersionId, &'a str), Share> {
        let ceilings = self.ceilings();
        let mut left =
            max.saturating_sub(ceilings.values().fold(0, |sum, n| sum.saturating_add(*n)));
        let mut may = ceilings.clone();
        // What is to be kept ready comes first.
        for goal in [keep, meant] {
            for (at, count) in goal {
                let may = may.entry(*at).or_default();
                let more = count.saturating_sub(*may).min(left);
                *may += more;
                left -= more;
            }
        }
        let share = |(at, may): (&(VersionId, &'a str), &u32)| {
            let most = meant.get(at).copied().unwrap_or_default().min(*may);
            (*at, Share { keep: 0, most: Some(most), until_heard: *may })
        };
        may.iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests;
