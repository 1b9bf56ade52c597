//! One step of the keeper's reasoning: what is known, what time it is, what happened; and so, what to do.
//!
//! No await, no clock, no log. It looks at everything each time instead of at what the event names, so a case that an
//! event forgot cannot exist: whatever is due is found at the next look, whoever caused it. That costs in the order of 0.1 ms
//! for a thousand versions with three hundred sandboxes, off the request path (`tests/figures.rs`).

use std::time::{Duration, Instant};

use hatchway_proto::name::SandboxId;

use super::event::ReapWhy;
use super::grow;
use super::hatchery::{Exit, HatchFailure};
use super::phase::Phase;
use super::plan::{Action, Bar, Ended, Event, Listen};
use super::reap;
use super::refused::SlotRefused;
use super::state::{State, VersionKey, VersionState};

/// The least time between two looks that nothing but time calls for: while a request waits for room, and while a
/// sandbox with next to no idle timeout is busy. A sandbox that falls idle tells nobody, for that would cost every request
/// something; so the keeper asks, but only then.
const LOOK_POLL: Duration = Duration::from_millis(10);

/// Moves the state on and says what to do about it. `draw` is random over its whole range.
pub(super) fn decide(state: &mut State, now: Instant, draw: u32, event: Event) -> Vec<Action> {
    let mut actions = Vec::new();
    take_in(state, now, draw, event, &mut actions);
    start_clocks(state, now, draw, &mut actions);
    reap::reap(state, now, &mut actions);
    grow::grow(state, now, &mut actions);
    reap::end(state, now, &mut actions);
    forget(state, &mut actions);
    tell(state, now, &mut actions);
    actions
}

fn take_in(state: &mut State, now: Instant, draw: u32, event: Event, actions: &mut Vec<Action>) {
    match event {
        Event::Looked => {}
        Event::Catalog { known, adopted, retired } => {
            for (key, spec) in known {
                let mut version = VersionState::new(spec);
                version.is_retired = state.draining_since.is_some();
                state.versions.insert(key, version);
            }
            for (key, id) in adopted {
                state.adopt(key, id, now);
            }
            for key in retired {
                if let Some(version) = state.versions.get_mut(&key) {
                    version.is_retired = true;
                }
            }
        }
        Event::Shares(shares) => {
            for (key, share) in shares {
                if let Some(version) = state.versions.get_mut(&key) {
                    version.spec.share = share;
                }
            }
        }
        Event::Hatched { key, id } => hatched(state, (key, id), now),
        Event::HatchFailed { key, id, failure } => {
            hatch_failed(state, (key, id), (now, draw), &failure, actions);
        }
        Event::Exited { key, id, exit } => exited(state, (key, id), (now, draw), exit, actions),
        Event::Measured(uses) => {
            state.measured_at = Some(now);
            for (key, id, used) in uses {
                if let Some(sandbox) = state.sandbox_mut(key, id) {
                    sandbox.used = Some(used);
                }
            }
        }
        Event::Drain => state.drain(now),
        Event::Leave => {
            state.leaves = true;
            state.drain(now);
        }
    }
}

fn hatched(state: &mut State, (key, id): (VersionKey, SandboxId), now: Instant) {
    let Some(version) = state.versions.get_mut(&key) else { return };
    version.backoff.hatched();
    version.failure = None;
    if let Some(sandbox) = version.sandboxes.get_mut(&id)
        && matches!(sandbox.phase, Phase::Starting { .. })
    {
        sandbox.phase = Phase::Idle { since: now };
    }
}

/// A start has come to nothing. Who waits hears of it, unless another sandbox may still serve them.
fn hatch_failed(
    state: &mut State,
    (key, id): (VersionKey, SandboxId),
    (now, draw): (Instant, u32),
    failure: &HatchFailure,
    actions: &mut Vec<Action>,
) {
    let Some(version) = state.versions.get_mut(&key) else { return };
    if version.sandboxes.remove(&id).is_none() {
        return;
    }
    version.backoff.failed(now, draw);
    version.failure = Some((failure.reason, failure.message.as_str().into()));
    if version.tally().alive() == 0 && version.waiting > 0 {
        let refusal = start_refused(version, now, failure);
        version.waiting = 0;
        actions.push(Action::Refuse { key, refusal });
    }
}

fn start_refused(version: &VersionState, now: Instant, failure: &HatchFailure) -> SlotRefused {
    let retry_after = version.backoff.until(now).map_or(Duration::ZERO, |until| until - now);
    if failure.reason == START_CLOCK {
        return SlotRefused::StartClock { limit: version.spec.start_clock, retry_after };
    }
    SlotRefused::StartFailed {
        reason: failure.reason,
        message: failure.message.as_str().into(),
        retry_after,
    }
}

fn exited(
    state: &mut State,
    (key, id): (VersionKey, SandboxId),
    (now, draw): (Instant, u32),
    exit: Exit,
    actions: &mut Vec<Action>,
) {
    let Some(version) = state.versions.get_mut(&key) else { return };
    let Some(sandbox) = version.sandboxes.remove(&id) else { return };
    let ended = match sandbox.phase {
        Phase::Ending { .. } => Ended::Asked(sandbox.why.unwrap_or(ReapWhy::Idle)),
        Phase::Starting { .. }
        | Phase::Idle { .. }
        | Phase::Busy { .. }
        | Phase::Draining { .. } => {
            version.backoff.died(now, draw);
            Ended::Died
        }
    };
    actions.push(Action::Gone { key, id, ended, exit });
}

const START_CLOCK: &str = "start-clock";

fn start_clocks(state: &mut State, now: Instant, draw: u32, actions: &mut Vec<Action>) {
    let late: Vec<_> = state
        .sandboxes()
        .filter_map(|(key, id, version, sandbox)| match sandbox.phase {
            Phase::Starting { since } if since + version.spec.start_clock <= now => {
                Some((key, id, version.spec.start_clock))
            }
            _ => None,
        })
        .collect();
    for (key, id, clock) in late {
        let message = format!("not ready within {} ms", clock.as_millis());
        let failure = HatchFailure { reason: START_CLOCK, message };
        actions.push(Action::GiveUp { key, id, failure: Some(failure.clone()) });
        hatch_failed(state, (key, id), (now, draw), &failure, actions);
    }
}

/// Brings the request path up to date: whom to turn away, and when to call.
fn tell(state: &mut State, now: Instant, actions: &mut Vec<Action>) {
    let is_draining = state.draining_since.is_some();
    for (key, version) in &mut state.versions {
        let bar = bar(version, is_draining, now);
        if bar != version.bar {
            version.bar.clone_from(&bar);
            let is_elsewhere = bar == Some(Bar::Elsewhere);
            actions.push(Action::Bar { key: *key, bar });
            if is_elsewhere && version.waiting > 0 {
                version.waiting = 0;
                actions.push(Action::Refuse { key: *key, refusal: SlotRefused::Saturated });
            }
        }
        let listen = listen(version, now);
        if listen != version.listen {
            version.listen = listen;
            actions.push(Action::Listen { key: *key, listen });
        }
    }
}

fn bar(version: &VersionState, is_draining: bool, now: Instant) -> Option<Bar> {
    if version.is_retired {
        return Some(if is_draining { Bar::Draining } else { Bar::Retired });
    }
    if version.is_elsewhere() {
        return Some(Bar::Elsewhere);
    }
    let until = version.backoff.until(now)?;
    let (reason, message) = version.failure.clone()?;
    (version.tally().alive() == 0).then_some(Bar::BackingOff { until, reason, message })
}

fn listen(version: &VersionState, now: Instant) -> Listen {
    let tally = version.tally();
    let covered = tally.starting.saturating_mul(version.spec.concurrency.into());
    // Who waits beyond what is being hatched is known already, and something else will bring the next look.
    let is_known = version.waiting > covered;
    let waiting = if tally.alive() >= version.max() || is_known {
        Listen::NEVER
    } else {
        covered.saturating_add(1)
    };
    // Crowded already, it could not grow just now; whatever changes that brings the next look.
    let may_grow = tally.alive() < version.max()
        && tally.starting == 0
        && version.backoff.until(now).is_none()
        && !grow::is_crowded(version, tally);
    let crowded_at = grow::crowded_at(version.spec.concurrency, tally.open);
    Listen { waiting, in_flight: if may_grow { crowded_at } else { Listen::NEVER } }
}

/// Comes before `tell`, for a bar that is put up only now may find somebody in line whom this look has not seen.
fn forget(state: &mut State, actions: &mut Vec<Action>) {
    state.versions.retain(|key, version| {
        let is_over = version.is_shut() && version.sandboxes.is_empty() && version.waiting == 0;
        if is_over {
            actions.push(Action::Forget { key: *key });
        }
        !is_over
    });
}

impl State {
    /// True once a drain has come to its end, or to the end of its patience with processes that outlive a kill.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.draining_since.is_some_and(|since| {
            if self.leaves {
                return self.versions.is_empty();
            }
            let last = since + self.config.drain_limit + self.config.terminate_grace;
            self.versions.is_empty() || last <= now
        })
    }

    pub(super) fn is_measure_due(&self, now: Instant) -> bool {
        self.next_measure(now).is_some_and(|due| due <= now)
    }

    fn next_measure(&self, now: Instant) -> Option<Instant> {
        let has_open = self.sandboxes().any(|(_, _, _, sandbox)| sandbox.is_open());
        has_open.then(|| self.measured_at.map_or(now, |at| at + self.config.measure_every))
    }

    /// When `decide` would have something to do even if nothing happens until then.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        let versions = self.versions.values().filter_map(|version| self.next_look_at(version, now));
        let limit = self.config.drain_limit;
        let drain = self
            .draining_since
            .iter()
            .flat_map(|since| [*since + limit, *since + limit + self.config.terminate_grace]);
        versions.chain(drain.filter(|at| *at > now)).chain(self.next_measure(now)).min()
    }

    fn next_look_at(&self, version: &VersionState, now: Instant) -> Option<Instant> {
        let tally = version.tally();
        let is_wanted = version.waiting > 0 || tally.alive() < version.min();
        let backoff = version.backoff.until(now).filter(|_| is_wanted);
        let room = version.short.map(|_| now + LOOK_POLL);
        let may_shrink = !version.is_retired && tally.open > version.min();
        let sandboxes = version.sandboxes.values().filter_map(|sandbox| match sandbox.phase {
            Phase::Starting { since } => Some(since + version.spec.start_clock),
            Phase::Idle { since } if may_shrink => Some(since + version.spec.idle_timeout),
            // It cannot have been idle for long enough any sooner.
            Phase::Busy { .. } if may_shrink => {
                Some(now + version.spec.idle_timeout.max(LOOK_POLL))
            }
            Phase::Ending { since, is_killed: false } => Some(since + self.config.terminate_grace),
            Phase::Idle { .. }
            | Phase::Busy { .. }
            | Phase::Draining { .. }
            | Phase::Ending { .. } => None,
        });
        sandboxes.chain(backoff).chain(room).min()
    }
}
