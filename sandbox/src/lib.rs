//! Reading order follows.

pub mod runtime;
