//! Reading order follows.

pub mod pool;
