//! Which versions hatch: because requests wait, because `min` says so, or early, because slots run short.
//!
//! Growth is not delayed. Requests that wait come first, versions taking turns, so that one with a thousand waiters does
//! not keep a hundred others with one each from starting.

use std::time::{Duration, Instant};

use hatchway_proto::name::SandboxId;

use super::event::ReapWhy;
use super::phase::Phase;
use super::plan::Action;
use super::reap;
use super::refused::SlotRefused;
use super::state::{Ledger, Sandbox, State, Tally, VersionKey, VersionState};

/// Growth begins when this share of the slots is out: a start takes about as long as the rest takes to fill.
const CROWDED_PERCENT: u32 = 70;

/// One request at a time is no trend, whatever share of the slots it is.
const CROWDED_AT_LEAST: u32 = 2;

/// What a client is asked to wait where the end of a shortage cannot be foreseen.
const RETRY_AFTER_NO_ROOM: Duration = Duration::from_secs(1);

/// Slots in flight from which on `open` sandboxes are too few.
pub(super) fn crowded_at(concurrency: u16, open: u32) -> u32 {
    let slots = open.saturating_mul(concurrency.into());
    (u64::from(slots) * u64::from(CROWDED_PERCENT))
        .div_ceil(100)
        .try_into()
        .map_or(u32::MAX, |at: u32| at.max(CROWDED_AT_LEAST))
}

/// Whether slots run short. A peak between two looks counts as well: the next one may find nobody prepared.
pub(super) fn is_crowded(version: &VersionState, tally: Tally) -> bool {
    version.was_crowded || tally.in_flight >= crowded_at(version.spec.concurrency, tally.open)
}

/// Why a sandbox is wanted, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Waiting,
    Min,
    Early,
}

impl Need {
    /// Whether somebody else's idle sandbox is ended for it. A guess about the future does not justify that.
    fn may_evict(self) -> bool {
        match self {
            Self::Waiting | Self::Min => true,
            Self::Early => false,
        }
    }

    /// How many more sandboxes a version needs for this reason.
    fn count(self, version: &VersionState) -> u32 {
        let (spec, tally) = (&version.spec, version.tally());
        let up_to_max = version.max().saturating_sub(tally.alive());
        let wanted = match self {
            Self::Waiting => {
                version.waiting.div_ceil(spec.concurrency.into()).saturating_sub(tally.starting)
            }
            Self::Min if version.is_retired => 0,
            Self::Min => version.min().saturating_sub(tally.alive()),
            Self::Early => {
                let is_calm = version.waiting == 0 && tally.starting == 0 && !version.is_retired;
                u32::from(is_crowded(version, tally) && is_calm)
            }
        };
        wanted.min(up_to_max)
    }
}

/// What asking for room came to.
enum Room {
    Here,
    Coming,
    None(&'static str),
}

/// Hatches what is needed as far as room and the number of starts at a time allow.
pub(super) fn grow(state: &mut State, now: Instant, actions: &mut Vec<Action>) {
    if state.is_past_drain_limit(now) {
        return;
    }
    for version in state.versions.values_mut() {
        if version.waiting == 0 {
            version.short = None;
        }
    }
    let mut permits = state.config.max_hatching.max(1).saturating_sub(state.starting());
    let mut ledger = state.ledger();
    for need in [Need::Waiting, Need::Min, Need::Early] {
        let mut turns = in_turn(state, need, now);
        while permits > 0 && !turns.is_empty() {
            turns.retain_mut(|(key, count)| {
                if permits == 0 {
                    return false;
                }
                match make_room(state, &mut ledger, *key, need, actions) {
                    Room::Here => {
                        permits -= 1;
                        hatch(state, *key, now, actions);
                    }
                    Room::Coming => {}
                    Room::None(what) => {
                        run_short(state, *key, need, (now, what), actions);
                        return false;
                    }
                }
                *count -= 1;
                *count > 0
            });
        }
    }
}

/// The versions with this need, beginning behind the one that hatched last.
fn in_turn(state: &State, need: Need, now: Instant) -> Vec<(VersionKey, u32)> {
    let mut turns: Vec<_> = state
        .versions
        .iter()
        .filter(|(_, version)| version.backoff.until(now).is_none())
        .map(|(key, version)| (*key, need.count(version)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let first = turns.partition_point(|(key, _)| *key <= state.last_turn);
    turns.rotate_left(first);
    turns
}

/// Reserves room for one sandbox, by ending idle ones of others if that helps.
fn make_room(
    state: &mut State,
    ledger: &mut Ledger,
    key: VersionKey,
    need: Need,
    actions: &mut Vec<Action>,
) -> Room {
    let charge = state.versions[&key].spec.charge;
    let budget = state.config.budget;
    let with = ledger.taken.plus(charge);
    let Some(what) = with.exceeds(&budget) else {
        ledger.taken = with;
        return Room::Here;
    };
    if !need.may_evict() {
        return Room::None(what);
    }
    let victims = match with.minus(ledger.leaving).exceeds(&budget) {
        None => Vec::new(),
        Some(what) => {
            let fits = |freed| with.minus(ledger.leaving).minus(freed).exceeds(&budget).is_none();
            match reap::victims(state, fits) {
                Some(victims) => victims,
                None => return Room::None(what),
            }
        }
    };
    for victim in victims {
        ledger.leaving = ledger.leaving.plus(victim.charge);
        reap::doom(state, victim, ReapWhy::Pressure, actions);
    }
    // Taken from now on, though it is not here yet, so that nobody else counts on the same room.
    ledger.taken = with;
    Room::Coming
}

fn hatch(state: &mut State, key: VersionKey, now: Instant, actions: &mut Vec<Action>) {
    let id = SandboxId(state.next_sandbox);
    state.next_sandbox += 1;
    state.last_turn = key;
    if let Some(version) = state.versions.get_mut(&key) {
        let phase = Phase::Starting { since: now };
        version.sandboxes.insert(id, Sandbox { phase, used: None, why: None });
        version.short = None;
        actions.push(Action::Hatch { key, id });
    }
}

/// No room, and none coming. Requests with no sandbox at all hear so when patience is over; the others have a queue clock.
fn run_short(
    state: &mut State,
    key: VersionKey,
    need: Need,
    (now, what): (Instant, &'static str),
    actions: &mut Vec<Action>,
) {
    let patience = state.config.room_patience;
    let Some(version) = state.versions.get_mut(&key) else { return };
    if need != Need::Waiting {
        return;
    }
    let (since, _) = *version.short.get_or_insert((now, what));
    if version.tally().alive() == 0 && since + patience <= now {
        version.short = None;
        version.waiting = 0;
        let refusal = SlotRefused::NoRoom { what, retry_after: RETRY_AFTER_NO_ROOM };
        actions.push(Action::Refuse { key, refusal });
    }
}
