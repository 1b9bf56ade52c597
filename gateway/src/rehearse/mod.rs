//! What a change of the rules would do to the requests of now: before it is made.
//!
//! Each core keeps the heads of some requests ([`keep`]), without what is secret in them ([`mask`]); whoever is about to
//! change the rules has them decided once more, by the rules that are served and by those that would be ([`compare`]).

mod compare;
mod keep;
mod mask;

pub use compare::rehearse;
pub use keep::{Heads, Kept, Recorder};
