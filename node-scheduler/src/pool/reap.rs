//! Which sandboxes end: idle for their timeout, of a retired version, or in the way of somebody who needs the room.
//!
//! Shrinking needs no delay of its own. Slots come from the busiest sandbox first, so the idlest one has been idle for its whole
//! timeout only if the peak of that time did without it: a maximum over a sliding window, for free.

use std::time::Instant;

use hatchway_proto::name::SandboxId;

use super::budget::Charge;
use super::event::ReapWhy;
use super::phase::Phase;
use super::plan::Action;
use super::refused::SlotRefused;
use super::state::{State, VersionKey, VersionState};

/// An idle sandbox that may be ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Victim {
    key: VersionKey,
    id: SandboxId,
    since: Instant,
    pub(super) charge: Charge,
}

/// Chooses sandboxes to close.
pub(super) fn reap(state: &mut State, now: Instant, actions: &mut Vec<Action>) {
    if state.leaves {
        return leave(state, actions);
    }
    close_retired(state, actions);
    shed(state, actions);
    idle_timeouts(state, now, actions);
    relieve(state, actions);
}

/// Everybody is sent to the next keeper, and nobody gets a slot here. Who joins a line before the bar is up is sent there at
/// the next look.
fn leave(state: &mut State, actions: &mut Vec<Action>) {
    for (key, version) in &mut state.versions {
        if version.waiting > 0 {
            version.waiting = 0;
            actions.push(Action::Refuse { key: *key, refusal: SlotRefused::Draining });
        }
        give_up_starts(*key, version, actions);
        for (id, sandbox) in &version.sandboxes {
            if matches!(sandbox.phase, Phase::Idle { .. } | Phase::Busy { .. }) {
                actions.push(Action::Close { key: *key, id: *id });
            }
        }
    }
}

/// Forgets what is not used here any more, or was told to end: the next keeper sees to it.
fn let_go(state: &mut State, actions: &mut Vec<Action>) {
    for (key, version) in &mut state.versions {
        version.sandboxes.retain(|id, sandbox| {
            let is_over =
                matches!(sandbox.phase, Phase::Draining { in_flight: 0 } | Phase::Ending { .. });
            if is_over {
                actions.push(Action::Leave { key: *key, id: *id });
            }
            !is_over
        });
    }
}

/// Sees closed sandboxes to their end.
pub(super) fn end(state: &mut State, now: Instant, actions: &mut Vec<Action>) {
    if state.leaves {
        return let_go(state, actions);
    }
    if state.is_past_drain_limit(now) {
        force(state, now, actions);
    }
    let grace = state.config.terminate_grace;
    for (key, version) in &mut state.versions {
        for (id, sandbox) in &mut version.sandboxes {
            match sandbox.phase {
                Phase::Draining { in_flight: 0 } => {
                    sandbox.phase = Phase::Ending { since: now, is_killed: false };
                    actions.push(Action::Terminate { key: *key, id: *id });
                }
                Phase::Ending { since, is_killed: false } if since + grace <= now => {
                    sandbox.phase = Phase::Ending { since, is_killed: true };
                    actions.push(Action::Kill { key: *key, id: *id });
                }
                Phase::Starting { .. }
                | Phase::Idle { .. }
                | Phase::Busy { .. }
                | Phase::Draining { .. }
                | Phase::Ending { .. } => {}
            }
        }
    }
}

/// A retired version serves whoever waits already, and then nobody. Nothing is closed before newcomers are turned away:
/// one of them might just be taking its place.
fn close_retired(state: &mut State, actions: &mut Vec<Action>) {
    let why = if state.draining_since.is_some() { ReapWhy::Drain } else { ReapWhy::Retired };
    for (key, version) in &mut state.versions {
        if !version.is_shut() || version.waiting > 0 {
            continue;
        }
        give_up_starts(*key, version, actions);
        for (id, sandbox) in &mut version.sandboxes {
            if sandbox.is_open() {
                sandbox.why = Some(why);
                actions.push(Action::Close { key: *key, id: *id });
            }
        }
    }
}

/// What a plan gives to other nodes: the idlest first, then those that run something, which end when they have.
fn shed(state: &mut State, actions: &mut Vec<Action>) {
    for (key, version) in &mut state.versions {
        let over = version.tally().alive().saturating_sub(version.max()) as usize;
        if over == 0 || version.is_retired {
            continue;
        }
        let idle = idlest_first(version).into_iter().map(|(_, id)| id);
        let busy = version.sandboxes.iter();
        let busy = busy.filter(|(_, sandbox)| matches!(sandbox.phase, Phase::Busy { .. }));
        let all: Vec<_> = idle.chain(busy.map(|(id, _)| *id)).take(over).collect();
        for id in all {
            let Some(sandbox) = version.sandboxes.get_mut(&id) else { continue };
            sandbox.why = Some(ReapWhy::Share);
            actions.push(match sandbox.phase {
                Phase::Busy { .. } => Action::Close { key: *key, id },
                _ => Action::Reap { key: *key, id },
            });
        }
    }
}

fn give_up_starts(key: VersionKey, version: &mut VersionState, actions: &mut Vec<Action>) {
    version.sandboxes.retain(|id, sandbox| {
        let is_starting = matches!(sandbox.phase, Phase::Starting { .. });
        if is_starting {
            actions.push(Action::GiveUp { key, id: *id, failure: None });
        }
        !is_starting
    });
}

fn idle_timeouts(state: &mut State, now: Instant, actions: &mut Vec<Action>) {
    for (key, version) in &mut state.versions {
        let timeout = version.spec.idle_timeout;
        let mut idle = idlest_first(version);
        idle.truncate(spare(version, idle.len()));
        for (since, id) in idle {
            if since + timeout <= now
                && let Some(sandbox) = version.sandboxes.get_mut(&id)
            {
                sandbox.why = Some(ReapWhy::Idle);
                actions.push(Action::Reap { key: *key, id });
            }
        }
    }
}

/// Ends idle sandboxes before their time while measured memory is above the high-water mark.
fn relieve(state: &mut State, actions: &mut Vec<Action>) {
    let budget = state.config.budget;
    let leaving: u64 = state
        .sandboxes()
        .filter(|(_, _, _, sandbox)| sandbox.is_leaving())
        .map(|(_, _, _, sandbox)| sandbox.memory_bytes())
        .sum();
    let mut used = state.measured_bytes().saturating_sub(leaving);
    if used <= budget.high_water_bytes() {
        return;
    }
    let mut candidates = Candidates::of(state);
    while used > budget.low_water_bytes()
        && let Some(victim) = candidates.next()
    {
        let sandbox = state.sandbox_mut(victim.key, victim.id);
        used = used.saturating_sub(sandbox.map_or(0, |sandbox| sandbox.memory_bytes()));
        doom(state, victim, ReapWhy::Pressure, actions);
    }
}

/// The fewest idle sandboxes, in order, whose end makes something fit; none when even all of them would not.
pub(super) fn victims(state: &State, fits: impl Fn(Charge) -> bool) -> Option<Vec<Victim>> {
    let mut freed = Charge::default();
    let mut victims = Vec::new();
    for victim in Candidates::of(state) {
        freed = freed.plus(victim.charge);
        victims.push(victim);
        if fits(freed) {
            return Some(victims);
        }
    }
    None
}

/// Marks a sandbox for its end and says so.
pub(super) fn doom(state: &mut State, victim: Victim, why: ReapWhy, actions: &mut Vec<Action>) {
    if let Some(sandbox) = state.sandbox_mut(victim.key, victim.id) {
        sandbox.why = Some(why);
        actions.push(Action::Reap { key: victim.key, id: victim.id });
    }
}

/// After the drain limit: no more waiting, no more asking.
fn force(state: &mut State, now: Instant, actions: &mut Vec<Action>) {
    for (key, version) in &mut state.versions {
        if version.waiting > 0 {
            version.waiting = 0;
            actions.push(Action::Refuse { key: *key, refusal: SlotRefused::Draining });
        }
        give_up_starts(*key, version, actions);
        for (id, sandbox) in &mut version.sandboxes {
            if !matches!(sandbox.phase, Phase::Ending { is_killed: true, .. }) {
                sandbox.phase = Phase::Ending { since: now, is_killed: true };
                sandbox.why = Some(ReapWhy::Drain);
                actions.push(Action::Close { key: *key, id: *id });
                actions.push(Action::Kill { key: *key, id: *id });
            }
        }
    }
}

fn idlest_first(version: &VersionState) -> Vec<(Instant, SandboxId)> {
    let mut idle: Vec<_> = version
        .sandboxes
        .iter()
        .filter_map(|(id, sandbox)| match sandbox.phase {
            Phase::Idle { since } if !sandbox.is_doomed() => Some((since, *id)),
            _ => None,
        })
        .collect();
    idle.sort_unstable();
    idle
}

/// How many of `idle` sandboxes may go before `min` is touched.
fn spare(version: &VersionState, idle: usize) -> usize {
    let above_min = version.tally().open.saturating_sub(version.min());
    idle.min(above_min as usize)
}

/// Idle sandboxes above `min`, in the order in which they are given up: from the version that has the most of them,
/// the idlest first.
struct Candidates(Vec<Vec<Victim>>);

impl Candidates {
    fn of(state: &State) -> Self {
        let headroom = state.config.memory_headroom_percent;
        let of_version = |(key, version): (&VersionKey, &VersionState)| -> Vec<Victim> {
            let idle = idlest_first(version);
            let spare = spare(version, idle.len());
            let victim = |(since, id): (Instant, SandboxId)| Victim {
                key: *key,
                id,
                since,
                charge: version.charge(&version.sandboxes[&id], headroom),
            };
            // Reversed, so that the next one is taken off the end.
            idle.into_iter().take(spare).map(victim).rev().collect()
        };
        Self(state.versions.iter().map(of_version).filter(|list| !list.is_empty()).collect())
    }
}

impl Iterator for Candidates {
    type Item = Victim;

    fn next(&mut self) -> Option<Victim> {
        let idlest = |list: &Vec<Victim>| list.last().map(|victim| std::cmp::Reverse(victim.since));
        self.0.iter_mut().max_by_key(|list| (list.len(), idlest(list)))?.pop()
    }
}

impl State {
    pub(super) fn is_past_drain_limit(&self, now: Instant) -> bool {
        self.draining_since.is_some_and(|since| since + self.config.drain_limit <= now)
    }
}
