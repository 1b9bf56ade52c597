//! The access log: a line of JSON for every request, written when it is over.
//!
//! A request never waits for it. What its line will say is noted on its core, in the order of its life: [`entry`] is what
//! the head says and what is learnt on the way, [`record`] all of it at the end, put into the core's [`batch`] (bounded: what does
//! not fit is counted). One thread takes the batches ([`log`]), makes lines of them ([`line`]) and writes many at a time
//! ([`sink`]).

mod batch;
mod config;
mod entry;
mod line;
mod log;
mod record;
mod sink;

pub use config::AccessConfig;
pub(crate) use entry::Entry;
pub(crate) use log::Scribe;
pub use log::{AccessLog, Scribes};
