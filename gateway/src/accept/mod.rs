//! Stage 1: connections come in, within limits, on every core by itself.
//!
//! [`ports`] are the sockets, [`serve`] takes connections from them, [`crowd`] counts them in all and by address, [`door`]
//! holds the limits.

mod crowd;
pub mod door;
mod ports;
mod serve;

pub use crowd::Full;
pub use door::{Door, DoorConfig};
pub use ports::Ports;
pub use serve::start;
