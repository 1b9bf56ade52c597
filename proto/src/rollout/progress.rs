//! How far a rollout has come, why, and what people may tell it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Move, Rollout, Step};
use crate::catalog::Release;

/// Entries that are kept: of a longer story the beginning is forgotten.
const ENTRIES: usize = 200;

/// How far a rollout has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// The step that comes next or is under way, from 0; as many as there are once all are done.
    pub step: usize,
    /// When that began, in milliseconds since 1970, by the clock of the gateway that led then.
    pub since_unix_ms: u64,
    /// The share that the canary has by this rollout.
    pub weight_bp: u16,
    /// Since when.
    pub weighted_unix_ms: u64,
    /// Requests of stable and of the canary before this step.
    pub before: (u64, u64),
    /// It waits for more requests than this step's time has brought.
    pub is_waiting: bool,
    /// What was done so far, and why, the oldest first.
    pub journal: Vec<Entry>,
}

/// What a rollout is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Phase {
    /// It goes from step to step.
    Progressing,
    /// Nothing moves until somebody says so, but a canary that is found worse is returned.
    Paused,
    /// Nothing moves at all: somebody has changed the release in the meantime, and knows why.
    HandsOff,
    /// The canary serves everybody.
    Healthy,
    /// Stable serves everybody again.
    Degraded,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// At which step, from 0.
    pub step: usize,
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What people may tell a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Stay as it is.
    Pause,
    /// Go on, past the pause that it stands at.
    Resume,
    /// Give the canary everything now, whatever steps are left.
    Promote,
    /// Give everything back to stable.
    Abort,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote => "promote",
            Self::Abort => "abort",
        })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Progressing => "progressing",
            Self::Paused => "paused",
            Self::HandsOff => "hands off",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
        })
    }
}

impl Phase {
    /// Nothing will happen any more.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Healthy | Self::Degraded => true,
            Self::Progressing | Self::Paused | Self::HandsOff => false,
        }
    }
}

impl Progress {
    /// Before the first step.
    pub fn start(now_unix_ms: u64, why: String) -> Self {
        let mut progress = Self {
            phase: Phase::Progressing,
            step: 0,
            since_unix_ms: now_unix_ms,
            weight_bp: 0,
            weighted_unix_ms: now_unix_ms,
            before: (0, 0),
            is_waiting: false,
            journal: Vec::new(),
        };
        progress.note(now_unix_ms, "start", why);
        progress
    }

    pub(super) fn note(&mut self, now: u64, what: impl Into<String>, why: impl Into<String>) {
        let (what, why) = (what.into(), why.into());
        self.journal.push(Entry { at_unix_ms: now, step: self.step, what, why });
        let surplus = self.journal.len().saturating_sub(ENTRIES);
        self.journal.drain(..surplus);
    }
}

impl Rollout {
    /// Does what somebody wants, and says what becomes of the release.
    ///
    /// # Errors
    /// Why that cannot be done.
    pub fn command(
        &mut self,
        command: Command,
        now_unix_ms: u64,
        who: &str,
        release: &Release,
    ) -> Result<Option<Move>, String> {
        let phase = &self.progress.phase;
        if phase.is_over() {
            return Err(format!("the rollout is over ({phase}): {command} comes too late"));
        }
        let why = format!("asked for by {who}");
        match command {
            Command::Pause if *phase != Phase::Progressing => {
                Err(format!("the rollout does not go on anyway: it is {phase}"))
            }
            Command::Pause => {
                self.progress.phase = Phase::Paused;
                self.progress.note(now_unix_ms, "pause", why);
                Ok(None)
            }
            Command::Resume if *phase == Phase::Progressing && !self.is_at_pause() => {
                Err("the rollout is going on already".to_owned())
            }
            Command::Resume => self.resume(now_unix_ms, why, release),
            Command::Promote if release.stable != self.plan.stable => {
                Err(self.other_stable(release))
            }
            Command::Promote => Ok(Some(self.end(now_unix_ms, Move::Promote, why))),
            Command::Abort => Ok(Some(self.end(now_unix_ms, Move::Return, why))),
        }
    }

    fn is_at_pause(&self) -> bool {
        matches!(self.plan.steps.get(self.progress.step), Some(Step::Pause { .. }))
    }

    /// The release is set again to what it was, for it may have been changed.
    fn resume(&mut self, now: u64, why: String, release: &Release) -> Result<Option<Move>, String> {
        if release.stable != self.plan.stable {
            return Err(self.other_stable(release));
        }
        let others = release.shares.iter().find(|share| share.version != self.plan.canary);
        if let Some(other) = others {
            let version = other.version;
            return Err(format!(
                "the release gives a share to {version}, which is no part of this rollout"
            ));
        }
        let is_at_pause = self.is_at_pause();
        self.progress.phase = Phase::Progressing;
        self.progress.note(now, "resume", why);
        self.progress.step += usize::from(is_at_pause);
        self.progress.since_unix_ms = now;
        self.progress.weighted_unix_ms = now;
        let is_as_left = self.plan.is_as_left(release, self.progress.weight_bp);
        Ok((!is_as_left).then_some(Move::SetWeight(self.progress.weight_bp)))
    }

    fn other_stable(&self, release: &Release) -> String {
        format!(
            "stable is {} by now, and this rollout began with {}: abort it",
            release.stable, self.plan.stable
        )
    }

    pub(super) fn end(&mut self, now: u64, done: Move, why: String) -> Move {
        let (phase, what, weight_bp) = match done {
            Move::Promote => (Phase::Healthy, "promote", 0),
            Move::Return => (Phase::Degraded, "return", 0),
            Move::SetWeight(weight) => (Phase::Progressing, "set_weight", weight),
        };
        self.progress.note(now, what, why);
        self.progress.phase = phase;
        self.progress.weight_bp = weight_bp;
        self.progress.weighted_unix_ms = now;
        done
    }
}
