//! Stage 4: what a function is spared.
//!
//! [`rate`] is its limit in requests a second, [`fair`] how gateways divide it among themselves; [`line`] is
//! how many calls are in flight at a time, and who waits for a place.

pub mod fair;
mod line;
mod rate;

pub use line::Line;
pub(crate) use line::Turn;
pub use rate::Rate;
