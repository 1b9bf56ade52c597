//! The system calls a function may make: last of all, for every step before needs some that
//! are not among them.
//!
//! [`table`] lists them, [`compile`] turns the list into a program that finds a number by
//! halving the range. The kernel runs the program once for every number when it is installed,
//! to remember the ones that are always allowed: asking one by one cost 1 ms there, halving
//! costs 40 us.

mod compile;
mod table;

use super::{AtStep, Step, StepError};
use crate::sys::confine::install_filter;

/// Allows what [`table`] lists, for this process and everything it starts.
pub(crate) fn filter() -> Result<(), StepError> {
    install_filter(&compile::program(&table::ranges())).at(Step::Seccomp, "")
}
