//! The primitives that [`word`](super::word) and [`line`](super::line) are built from, in one place so that a model checker
//! can put its own under the same source: `tests/pool_loom.rs` includes both files beside a `sync` made of loom's types.

pub(super) use std::sync::Mutex;
pub(super) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
