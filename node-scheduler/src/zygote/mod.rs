//! Zygotes: for each version that was used lately, a process that has loaded its code, to be forked.
//!
//! A first start of a version is an ordinary one. When it has answered, a zygote is made behind its back: one at a time,
//! while nothing starts, with next to no weight for the processor. From then on its starts are forks, each taken from a
//! child that is parked already, where there is one. Whatever goes wrong with that, the start that it happens to goes on as an
//! ordinary one; the reason is counted and shown, and the version is not tried again, or not soon.
//!
//! [`table`] knows which version has what and who goes first when memory is short, without a process or a clock;
//! [`make`] makes one, [`nursery`] forks it and lets go of it; [`tend`] measures, once a second; [`trial`] finds out whether Node can be forked.

mod make;
mod nursery;
mod table;
mod tend;
mod trial;

pub(crate) use make::Blueprint;
pub(crate) use nursery::{CHILD_CLOCK, Children, Zygotes};
pub use table::ZygoteStatus;
pub(crate) use trial::Trial;

/// What an operator says of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZygoteSettings {
    /// False when every start is to be an ordinary one.
    pub is_on: bool,
    /// What all of them may use together, what is parked included.
    pub memory_bytes: u64,
}
