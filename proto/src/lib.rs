//! What crosses a process boundary, and nothing else: no I/O, no clock.
//!
//! Reading order: [`name`] (what things are called), [`units`] (how quantities are written),
//! [`catalog`] (the objects that operators push), [`manifest`] (the file they come from).

pub mod catalog;
pub mod failure;
pub mod http1;
pub mod manifest;
pub mod name;
pub mod units;
