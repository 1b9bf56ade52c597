//! Stage 1: connections come in, within limits, on every core by itself.
//!
//! [`serve`] takes them, [`crowd`] counts them in all and by address, [`door`] holds the limits.

mod crowd;
pub mod door;
mod serve;

pub use crowd::Full;
pub use door::Door;
pub use serve::start;
