//! A Node handler behind its adapter, called with a real client.

#![allow(clippy::unwrap_used, reason = "a test that cannot start has failed")]

mod answers;
mod arguments;
mod context;
mod life;
#[path = "../runtime_support/mod.rs"]
mod runtime_support;
mod streams;
