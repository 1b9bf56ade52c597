//! Reading order follows.
