//! A rollout: a canary is given a growing share in steps, compared with stable all the while, and at the end serves
//! everybody or nobody. No I/O and no clock: what the time is and what gateways have counted are arguments.
//!
//! Reading order: [`plan`] is what an operator asks for, [`progress`] how far it has come and what people may do about
//! it, [`decide`] its next move. [`counts`] is what gateways report, [`evidence`] what has been made of that, by the bets
//! of [`bet`]: what is claimed of false alarms is shown there.

pub mod bet;
pub mod counts;
pub mod decide;
pub mod evidence;
pub mod plan;
pub mod progress;

use serde::{Deserialize, Serialize};

pub use counts::{Counts, Histogram, Seen};
pub use decide::Move;
pub use evidence::Evidence;
pub use plan::{Analysis, Plan, PlanError, Step, TooLittle};
pub use progress::{Command, Entry, Phase, Progress};

/// A rollout of one function, as it is kept: what was asked for, and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// What was asked for.
    pub plan: Plan,
    /// How far it has come.
    pub progress: Progress,
}
