//! Which sandbox runs a request: one state machine that admits and reaps the sandboxes of all versions on a node.
//!
//! A request looks up its [`VersionPool`] and asks it for a [`Slot`]. Warm, that is a compare-and-swap on the `word` of a
//! sandbox and nothing else. Otherwise the request joins the `line` of its version, and the `keeper` is called: the
//! one owner of everything slow, which looks at all words and lines, asks `decide` what to do, and does it.
//!
//! Reading order: `hatchery` (what makes sandboxes), `word` and `line` (what makes admission safe), `version` and `slot`
//! (what a request sees), `phase`, `state`, `decide` with `grow` and `reap` (all thinking), `keeper` (all acting), `adopt` (from one
//! keeper to the next).

mod act;
mod adopt;
mod backoff;
mod budget;
mod clock;
mod config;
mod decide;
mod event;
mod front;
mod grow;
mod handle;
mod hatchery;
mod keeper;
mod line;
mod phase;
mod plan;
mod reap;
mod refused;
mod resident;
mod shared;
mod slot;
mod state;
mod status;
mod sync;
mod version;
mod word;

#[cfg(test)]
mod tests;

pub use adopt::{Estate, Orphan};
pub use budget::Budget;
pub use config::PoolConfig;
pub use event::{PoolEvent, ReapWhy, Whose};
pub use handle::Pool;
pub use hatchery::{Exit, HatchFailure, Hatched, Hatchery, LiveSandbox, StartPhases, Usage};
pub use keeper::Keeper;
pub use phase::Phase;
pub use refused::SlotRefused;
pub use slot::{Slot, Waited};
pub use status::{Load, SandboxStatus};
pub use version::VersionPool;
